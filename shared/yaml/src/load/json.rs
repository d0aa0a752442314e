//! Reads JSON as JSON, since surrogate escapes and concatenated objects are not YAML.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Value};

use super::{Document, DuplicateKeys, Limits};
use crate::error::YamlError;
use crate::scalar;

/// Returns the objects of a text that is JSON from its first brace to its end; none: it is something else, such as YAML
/// that begins with a flow mapping.
pub(super) fn objects(text: &str, limits: &Limits) -> Option<Result<Vec<Document>, YamlError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.trim_start().starts_with('{') || text.len() > limits.bytes {
        return None;
    }
    let nodes = Cell::new(0);
    let mut documents = Vec::new();
    let (mut line, mut rest) = (1, text);
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        line += breaks(rest.get(..rest.len() - trimmed.len()).unwrap_or_default());
        rest = trimmed;
        if rest.is_empty() {
            return Some(Ok(documents));
        }
        let refuse = |line, column, message: String| {
            Some(Err(YamlError {
                line,
                column,
                message,
            }))
        };
        if documents.len() >= limits.documents {
            return refuse(line, 1, format!("more than {} documents", limits.documents));
        }
        // A new deserializer for each object tells where the object ended.
        let mut objects = Deserializer::from_str(rest);
        let seed = Node {
            limits,
            nodes: &nodes,
            depth: 0,
        };
        let value = match seed.deserialize(&mut objects) {
            Ok(value) => value,
            Err(error) if error.is_data() => {
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                let at = line + error.line().saturating_sub(1);
                return refuse(at, error.column().max(1), message.to_owned());
            }
            Err(_) => return None,
        };
        documents.push(Document { value, line });
        let end = consumed(rest)?;
        line += breaks(rest.get(..end)?);
        rest = rest.get(end..)?;
    }
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Returns the offset at which the first value of a text ends.
fn consumed(text: &str) -> Option<usize> {
    let mut values = Deserializer::from_str(text).into_iter::<de::IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

/// Reads a value within limits, and refuses duplicate keys if required.
#[derive(Clone, Copy)]
struct Node<'l> {
    limits: &'l Limits,
    nodes: &'l Cell<usize>,
    depth: usize,
}

impl Node<'_> {
    fn inner(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        let limits = self.limits;
        if self.depth > limits.depth {
            let message = format!("nested deeper than {} levels", limits.depth);
            return Err(de::Error::custom(message));
        }
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > limits.nodes {
            return Err(de::Error::custom(format!(
                "more than {} values",
                limits.nodes
            )));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        scalar::number(value).ok_or_else(|| E::custom("the number is too large"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(self.inner())? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = from.next_key::<String>()? {
            if self.limits.duplicate_keys == DuplicateKeys::Refuse && map.contains_key(&key) {
                return Err(de::Error::custom(format!("key {key:?} is already there")));
            }
            let value = from.next_value_seed(self.inner())?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
