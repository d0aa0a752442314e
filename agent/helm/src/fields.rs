//! Fields of a map, read as Go's JSON decoder fills a struct.

use std::collections::BTreeMap;

use crate::value::{Map, Value};
use crate::yaml;

/// A value has another type than its field, in the words of Go's JSON decoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go {place}"
)]
pub(crate) struct Mismatch {
    found: &'static str,
    /// `value of type T`, or `struct field T.name of type F`.
    place: String,
}

impl Mismatch {
    pub(crate) fn new(value: &Value, place: impl Into<String>) -> Self {
        Self {
            found: json_kind(value),
            place: place.into(),
        }
    }
}

/// Reads the fields of one map as Go's JSON decoder fills a struct.
pub(crate) struct Fields<'a> {
    map: &'a Map,
    owner: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(map: &'a Map, owner: &'static str) -> Self {
        Self { map, owner }
    }

    /// Go takes a key in any case where the exact one is missing; `null` leaves a field as it is.
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let found = self.map.get(name).or_else(|| {
            let entries = self.map.entries().into_iter();
            let mut same = entries.filter(|(key, _)| {
                key.to_str()
                    .is_some_and(|key| key.eq_ignore_ascii_case(name))
            });
            same.next().map(|(_, value)| value)
        });
        found.filter(|value| !value.is_nil())
    }

    fn mismatch(&self, value: &Value, name: &str, kind: &str) -> Mismatch {
        let place = format!("struct field {}.{name} of type {kind}", self.owner);
        Mismatch::new(value, place)
    }

    pub(crate) fn text(&self, name: &str, into: &mut String) -> Result<(), Mismatch> {
        if let Some(value) = self.get(name) {
            *into = coerce(&value).ok_or_else(|| self.mismatch(&value, name, "string"))?;
        }
        Ok(())
    }

    pub(crate) fn flag(&self, name: &str, into: &mut bool) -> Result<(), Mismatch> {
        match self.get(name) {
            None => Ok(()),
            Some(Value::Bool(value)) => {
                *into = value;
                Ok(())
            }
            Some(other) => Err(self.mismatch(&other, name, "bool")),
        }
    }

    pub(crate) fn list(&self, name: &str, kind: &str) -> Result<Option<Vec<Value>>, Mismatch> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list.items().to_vec())),
            Some(other) => Err(self.mismatch(&other, name, kind)),
        }
    }

    pub(crate) fn texts(&self, name: &str, into: &mut Vec<String>) -> Result<(), Mismatch> {
        if let Some(items) = self.list(name, "[]string")? {
            let item = |value: &Value| {
                if value.is_nil() {
                    return Ok(String::new());
                }
                coerce(value).ok_or_else(|| self.mismatch(value, name, "string"))
            };
            *into = items.iter().map(item).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    pub(crate) fn text_map(
        &self,
        name: &str,
        into: &mut BTreeMap<String, String>,
    ) -> Result<(), Mismatch> {
        match self.get(name) {
            None => Ok(()),
            Some(Value::Map(map)) => {
                for (key, value) in map.entries() {
                    let text = if value.is_nil() {
                        String::new()
                    } else {
                        coerce(&value).ok_or_else(|| self.mismatch(&value, name, "string"))?
                    };
                    into.insert(key.lossy().into_owned(), text);
                }
                Ok(())
            }
            Some(other) => Err(self.mismatch(&other, name, "map[string]string")),
        }
    }

    /// A list of maps; `None` stands for a `null` among them.
    pub(crate) fn maps(
        &self,
        name: &str,
        kind: &str,
    ) -> Result<Option<Vec<Option<Map>>>, Mismatch> {
        let Some(items) = self.list(name, kind)? else {
            return Ok(None);
        };
        let item = |value: Value| match value {
            Value::Map(map) => Ok(Some(map)),
            Value::Nil => Ok(None),
            other => Err(self.mismatch(&other, name, kind.trim_start_matches("[]*"))),
        };
        items
            .into_iter()
            .map(item)
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// Go's word for a kind of JSON.
fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Map(_) => "object",
        Value::List(_) => "array",
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    }
}

/// sigs.k8s.io/yaml writes numbers and booleans as text where text is wanted.
fn coerce(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.lossy().into_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(number, _) => Some(number.to_string()),
        Value::Float(number) => Some(yaml::float32_text(*number)),
        _ => None,
    }
}
