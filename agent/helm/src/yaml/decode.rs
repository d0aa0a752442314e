//! From a document's tree to data, by way of JSON as sigs.k8s.io/yaml goes: keys are strings, numbers are
//! `float64`.

use base64::Engine as _;
use std::collections::BTreeMap;

use super::node::{Node, Typing, first_document};
use super::number::float32_text;
use super::resolve::{PREFIX, Scalar, resolve, resolve_tagged};
use super::scan::{Problem, check_characters};
use crate::value::{Map, MapKind, Str, Value};

/// How whole numbers are decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Numbers {
    /// They are `float64`, as all numbers of JSON are to Go.
    #[default]
    Floats,
    /// They stay integers.
    Typed,
}

/// `sigs.k8s.io/yaml.Unmarshal` into an empty interface.
pub(super) fn decode(text: &[u8], numbers: Numbers) -> Result<Value, String> {
    let convert = |error: String| format!("error converting YAML to JSON: {error}");
    check_characters(text).map_err(|problem| convert(problem.to_string()))?;
    let document = first_document(text).map_err(|problem| convert(problem.to_string()))?;
    let Some(node) = document else {
        return Ok(Value::Nil);
    };
    let mut decoder = Decoder {
        numbers,
        ..Decoder::default()
    };
    decoder.value(&node).map_err(|failure| match failure {
        Failure::Yaml(problem) => convert(problem.to_string()),
        Failure::Json(message) => convert(message),
    })
}

enum Failure {
    Yaml(Problem),
    Json(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Yaml(problem)
    }
}

/// goyaml's guard against aliases that unfold to more than the document could hold.
#[derive(Default)]
struct Decoder {
    decoded: u64,
    by_alias: u64,
    alias_depth: u32,
    numbers: Numbers,
}

impl Decoder {
    fn count(&mut self) -> Result<(), Problem> {
        const LOW: f64 = 400_000.0;
        const HIGH: f64 = 4_000_000.0;
        self.decoded += 1;
        if self.alias_depth > 0 {
            self.by_alias += 1;
        }
        if self.by_alias <= 100 || self.decoded <= 1000 {
            return Ok(());
        }
        #[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let (decoded, by_alias) = (self.decoded as f64, self.by_alias as f64);
        let allowed = 0.99 - 0.89 * ((decoded - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
        if by_alias / decoded > allowed {
            return Err(Problem::plain("document contains excessive aliasing"));
        }
        Ok(())
    }

    fn value(&mut self, node: &Node) -> Result<Value, Failure> {
        self.count()?;
        match node {
            Node::Scalar { value, tag, typing } => match scalar(value, tag, *typing)? {
                (Scalar::Float(number), _) if !number.is_finite() => Err(Failure::Json(format!(
                    "json: unsupported value: {}",
                    infinite(number)
                ))),
                (Scalar::Int(number), _) if self.numbers == Numbers::Typed => {
                    Ok(Value::int64(number))
                }
                (meaning, text) => Ok(as_value(meaning, text)),
            },
            Node::Sequence(items) => {
                let items = items.iter().map(|item| self.value(item));
                Ok(Value::list(items.collect::<Result<Vec<_>, _>>()?))
            }
            Node::Mapping(entries) => {
                let mut map = BTreeMap::new();
                self.mapping(entries, &mut map)?;
                Ok(Value::Map(Map::of(MapKind::Any, map)))
            }
            Node::Anchored(node) => self.value(node),
            Node::Alias(node) => {
                self.alias_depth += 1;
                let value = self.value(node);
                self.alias_depth -= 1;
                value
            }
            Node::Cycle(name) => Err(cycle(name)),
        }
    }

    fn mapping(
        &mut self,
        entries: &[(Node, Node)],
        into: &mut BTreeMap<Str, Value>,
    ) -> Result<(), Failure> {
        for (key, value) in entries {
            if is_merge(key) {
                self.merge(value, into)?;
                continue;
            }
            let name = self.key(key, value)?;
            let value = self.value(value)?;
            into.insert(name, value);
        }
        Ok(())
    }

    fn key(&mut self, key: &Node, value: &Node) -> Result<Str, Failure> {
        self.count()?;
        let Node::Scalar {
            value: text,
            tag,
            typing,
        } = key.inner()
        else {
            if let Node::Cycle(name) = key.inner() {
                return Err(cycle(name));
            }
            // An error within the key takes precedence.
            if let Err(Failure::Yaml(problem)) = self.value(key) {
                return Err(problem.into());
            }
            return Err(Failure::Yaml(Problem::plain(format!(
                "invalid map key: {}",
                go_syntax(key)
            ))));
        };
        let (meaning, text) = scalar(text, tag, *typing)?;
        Ok(match meaning {
            Scalar::Text | Scalar::Timestamp => text,
            Scalar::Bool(value) => Str::from(if value { "true" } else { "false" }),
            Scalar::Int(value) => Str::from(value.to_string()),
            Scalar::Float(value) => Str::from(float32_text(value)),
            Scalar::Null | Scalar::Uint(_) => {
                let (kind, key) = match meaning {
                    Scalar::Uint(value) => ("uint64", format!("{value:#x}")),
                    _ => ("%!s(<nil>)", "<nil>".to_owned()),
                };
                return Err(Failure::Json(format!(
                    "unsupported map key of type: {kind}, key: {key}, value: {}",
                    go_syntax(value)
                )));
            }
        })
    }

    /// Merges a node; its entries replace those that precede it in the mapping, as in goyaml.v2.
    fn merge(&mut self, node: &Node, into: &mut BTreeMap<Str, Value>) -> Result<(), Failure> {
        let unmergeable =
            || Problem::plain("map merge requires map or sequence of maps as the value");
        let mut merge_mapping = |node: &Node| -> Result<(), Failure> {
            match node.inner() {
                Node::Mapping(entries) => {
                    let alias = u32::from(matches!(node, Node::Alias(_)));
                    self.count()?;
                    self.alias_depth += alias;
                    let merged = self.mapping(entries, into);
                    self.alias_depth -= alias;
                    merged
                }
                Node::Cycle(name) => Err(cycle(name)),
                _ => Err(unmergeable().into()),
            }
        };
        match node {
            // Earlier mappings win, so they are merged last.
            Node::Sequence(items) => items.iter().rev().try_for_each(merge_mapping),
            Node::Anchored(inner) => match inner.as_ref() {
                Node::Sequence(items) => items.iter().rev().try_for_each(merge_mapping),
                _ => merge_mapping(node),
            },
            _ => merge_mapping(node),
        }
    }
}

fn cycle(name: &[u8]) -> Failure {
    let name = String::from_utf8_lossy(name);
    Failure::Yaml(Problem::plain(format!(
        "anchor '{name}' value contains itself"
    )))
}

fn is_merge(key: &Node) -> bool {
    let key = match key {
        Node::Anchored(node) => node.as_ref(),
        other => other,
    };
    match key {
        Node::Scalar { value, tag, typing } => {
            value == b"<<"
                && (*typing == Typing::Implicit
                    || tag.strip_prefix(PREFIX.as_bytes()) == Some(b"merge"))
        }
        _ => false,
    }
}

/// The meaning and the text of a scalar.
fn scalar(value: &[u8], tag: &[u8], typing: Typing) -> Result<(Scalar, Str), Problem> {
    if tag.is_empty() {
        let meaning = match typing {
            Typing::Implicit => resolve(value),
            Typing::Explicit => Scalar::Text,
        };
        return Ok((meaning, Str::from(value)));
    }
    if tag.strip_prefix(PREFIX.as_bytes()) == Some(b"binary") {
        let clean: Vec<u8> = value
            .iter()
            .copied()
            .filter(|byte| !matches!(byte, b'\n' | b'\r'))
            .collect();
        let data = base64::engine::general_purpose::STANDARD
            .decode(clean)
            .map_err(|_| Problem::plain("!!binary value contains invalid base64 data"))?;
        // Binary data passes through JSON, which can only hold text.
        return Ok((Scalar::Text, Str::from(String::from_utf8_lossy(&data))));
    }
    let meaning = resolve_tagged(tag, value).map_err(Problem::plain)?;
    Ok((meaning, Str::from(value)))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "JSON's numbers become float64, which loses what Helm loses"
)]
fn as_value(meaning: Scalar, text: Str) -> Value {
    match meaning {
        Scalar::Null => Value::Nil,
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Int(value) => Value::Float(value as f64),
        Scalar::Uint(value) => Value::Float(value as f64),
        Scalar::Float(value) => Value::Float(value),
        Scalar::Timestamp | Scalar::Text => Value::Str(text),
    }
}

fn infinite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

/// `%#v` of what goyaml would have decoded, for messages.
fn go_syntax(node: &Node) -> String {
    match node.inner() {
        Node::Scalar { value, tag, typing } => match scalar(value, tag, *typing) {
            Ok((Scalar::Null, _)) => "interface {}(nil)".to_owned(),
            Ok((Scalar::Bool(value), _)) => value.to_string(),
            Ok((Scalar::Int(value), _)) => value.to_string(),
            Ok((Scalar::Uint(value), _)) => format!("{value:#x}"),
            Ok((Scalar::Float(value), _)) => value.to_string(),
            _ => format!("{:?}", String::from_utf8_lossy(value)),
        },
        Node::Sequence(items) => {
            let items: Vec<_> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Node::Mapping(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}:{}", go_syntax(key), go_syntax(value)))
                .collect();
            format!(
                "map[interface {{}}]interface {{}}{{{}}}",
                entries.join(", ")
            )
        }
        _ => String::new(),
    }
}
