//! `.Files`.

use base64::Engine as _;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::File;
use super::glob::Glob;
use crate::value::{Host, List, ListKind, Map, Str, UintKind, Value};
use crate::yaml;

/// A chart's files that are no templates, as `.Files` gives them.
#[derive(Clone, Debug, Default)]
pub struct Files(BTreeMap<String, Arc<[u8]>>);

impl Files {
    pub(crate) fn new(files: &[File]) -> Self {
        Self(
            files
                .iter()
                .map(|file| (file.name.clone(), Arc::clone(&file.data)))
                .collect(),
        )
    }

    fn base_names<F: Fn(&[u8]) -> Value>(&self, content: F) -> Value {
        let map: Map = self
            .0
            .iter()
            .map(|(name, data)| {
                let base = name.rsplit('/').next().unwrap_or(name);
                (Str::from(base), content(data))
            })
            .collect();
        // Helm ignores encoding errors here and returns an empty text.
        match yaml::emit(&Value::Map(map)) {
            Ok(text) => {
                let bytes = text.as_bytes();
                Value::Str(Str::from(bytes.strip_suffix(b"\n").unwrap_or(bytes)))
            }
            Err(_) => Value::from(""),
        }
    }

    fn lines(&self, name: &str) -> Result<Value, String> {
        let Some(data) = self.0.get(name) else {
            return Ok(Value::strings(Vec::<Str>::new()));
        };
        if data.is_empty() {
            return Err("runtime error: index out of range [-1]".to_owned());
        }
        let text = data.strip_suffix(b"\n").unwrap_or(data);
        Ok(Value::strings(
            text.split(|byte| *byte == b'\n').map(Str::from),
        ))
    }
}

fn bytes(data: &[u8]) -> Value {
    let items: Vec<Value> = data
        .iter()
        .map(|byte| Value::Uint(u64::from(*byte), UintKind::Uint8))
        .collect();
    Value::List(List::new(ListKind::Bytes, items))
}

impl Host for Files {
    fn type_name(&self) -> &'static str {
        "engine.files"
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.0.get(name).map(|data| bytes(data))
    }

    fn has_method(&self, name: &str) -> bool {
        matches!(
            name,
            "Get" | "GetBytes" | "Glob" | "AsConfig" | "AsSecrets" | "Lines"
        )
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let expected = usize::from(!matches!(name, "AsConfig" | "AsSecrets"));
        if arguments.len() != expected {
            return Err(format!(
                "wrong number of args for {name}: want {expected} got {}",
                arguments.len()
            ));
        }
        let argument = match arguments.first() {
            None => String::new(),
            Some(Value::Str(text)) => text.lossy().into_owned(),
            Some(_) => return Err("wrong type for value; expected string".to_owned()),
        };
        let data = self.0.get(&argument);
        match name {
            "Get" => Ok(Value::Str(Str::from(
                data.map_or(&[][..], |data| &data[..]),
            ))),
            "GetBytes" => Ok(bytes(data.map_or(&[], |data| data))),
            "Glob" => {
                let glob = Glob::new(&argument);
                let found = self.0.iter().filter(|(name, _)| glob.matches(name));
                let found = found.map(|(name, data)| (name.clone(), Arc::clone(data)));
                Ok(Value::host(Self(found.collect())))
            }
            "AsConfig" => Ok(self.base_names(|data| Value::Str(Str::from(data)))),
            "AsSecrets" => Ok(self.base_names(|data| {
                Value::from(base64::engine::general_purpose::STANDARD.encode(data))
            })),
            "Lines" => self.lines(&argument),
            _ => Err(format!("can't evaluate field {name} in type engine.files")),
        }
    }

    fn display(&self) -> String {
        let entries = self.0.iter().map(|(name, data)| {
            let bytes: Vec<_> = data.iter().map(u8::to_string).collect();
            format!("{name}:[{}]", bytes.join(" "))
        });
        format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
    }

    fn truth(&self) -> bool {
        !self.0.is_empty()
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        let entries = self.0.iter();
        Some(
            entries
                .map(|(name, data)| (Value::from(name.as_str()), bytes(data)))
                .collect(),
        )
    }

    fn len(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn to_data(&self) -> Value {
        Value::Map(
            self.0
                .iter()
                .map(|(name, data)| {
                    let text = base64::engine::general_purpose::STANDARD.encode(data);
                    (Str::from(name.as_str()), Value::from(text))
                })
                .collect(),
        )
    }
}
