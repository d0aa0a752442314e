//! Values from JSON and to JSON.

use serde_json::{Map as JsonMap, Number, Value};

use super::scalar::{plain_tag, time_text};
use super::{Key, Map, Node, Scalar, Tag};
use crate::kustomize::failure::{Failure, Outcome};

impl Node {
    pub(crate) fn from_json(value: Value) -> Self {
        match value {
            Value::Null => Self::null(),
            Value::Bool(flag) => Self::plain(if flag { "true" } else { "false" }),
            Value::Number(number) => {
                let tag = if number.is_f64() {
                    Tag::Float
                } else {
                    Tag::Integer
                };
                Self::Scalar(Scalar {
                    tag,
                    text: number.to_string().into(),
                    quoted: false,
                })
            }
            Value::String(text) => Self::Scalar(Scalar {
                tag: Tag::Text,
                text: text.into(),
                quoted: false,
            }),
            Value::Array(items) => Self::Sequence(items.into_iter().map(Self::from_json).collect()),
            Value::Object(map) => Self::Map(Map::from_sorted(
                map.into_iter()
                    .map(|(key, value)| (Key::from(key), Self::from_json(value)))
                    .collect(),
            )),
        }
    }

    /// To JSON, as Kustomize's output reads back.
    ///
    /// # Errors
    /// When a scalar's text is not what its tag says, or has no JSON form.
    pub(crate) fn into_json(self) -> Outcome<Value> {
        Ok(match self {
            Self::Scalar(scalar) => scalar.into_json()?,
            Self::Sequence(items) => Value::Array(
                items
                    .into_iter()
                    .map(Self::into_json)
                    .collect::<Outcome<_>>()?,
            ),
            Self::Map(map) => {
                let mut object = JsonMap::new();
                for (key, value) in map.into_entries() {
                    object.insert(key.to_string(), value.into_json()?);
                }
                Value::Object(object)
            }
        })
    }
}

impl Scalar {
    fn into_json(self) -> Outcome<Value> {
        match self.tag {
            Tag::Null => Ok(Value::Null),
            Tag::Text => Ok(Value::String(self.text.into())),
            Tag::Time => time_text(&self.text)
                .map(Value::String)
                .ok_or_else(|| self.misread("a date")),
            Tag::Bool => match self.text.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(self.misread("true or false")),
            },
            // Nearly all numbers are decimal integers.
            Tag::Integer if plain_tag(&self.text) != Tag::Integer => {
                Err(self.misread("an integer"))
            }
            Tag::Integer if self.text.len() < 18 && !self.text.starts_with(['0', '+']) => self
                .text
                .parse::<i64>()
                .map(|number| Value::Number(Number::from(number)))
                .or_else(|_| self.number()),
            Tag::Integer | Tag::Float => self.number(),
        }
    }

    fn number(&self) -> Outcome<Value> {
        match flotilla_yaml::resolve_plain(&self.text) {
            Ok(value @ Value::Number(_)) => Ok(value),
            Ok(_) => Err(self.misread("a number")),
            Err(why) => Err(Failure::render(format!("{:?}: {why}", self.text))),
        }
    }

    fn misread(&self, expected: &str) -> Failure {
        // Never the value itself: it may come from a Secret.
        Failure::render(format!(
            "a value that replaced {expected} has {} characters and is not {expected}; quote \
             the field's value in the manifest to make it text",
            self.text.chars().count()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_they_mean_to_go_yaml_v3() {
        for (text, tag) in [
            ("", Tag::Null),
            ("~", Tag::Null),
            ("yes", Tag::Text),
            ("on", Tag::Text),
            ("True", Tag::Bool),
            ("tRue", Tag::Text),
            ("12", Tag::Integer),
            ("0x1f", Tag::Integer),
            ("0777", Tag::Integer),
            ("1_000", Tag::Integer),
            ("1.10", Tag::Float),
            ("1e3", Tag::Float),
            ("1.0", Tag::Float),
            ("1.2.3", Tag::Text),
            (".5", Tag::Float),
            ("2001-01-01", Tag::Time),
            ("2001-13-01", Tag::Text),
            ("2001-01-01T10:00:00Z", Tag::Time),
            ("12:30:45", Tag::Text),
            ("-", Tag::Text),
        ] {
            assert_eq!(plain_tag(text), tag, "{text:?}");
        }
        assert_eq!(
            Scalar::plain("2001-1-2").into_json().ok(),
            Some(Value::String("2001-01-02T00:00:00Z".into()))
        );
        assert_eq!(Scalar::plain("1.0").into_json().ok(), Some(Value::from(1)));
    }
}
