//! Data as Go's templates see it.
//!
//! Maps are shared and mutable, as in Go: a clone of a [`Value`] that holds a map is the same map, and what
//! `set` writes through one is seen through all. Cloning is therefore always cheap; [`Value::deep_copy`]
//! makes an independent value.
//!
//! Kinds of numbers matter: what comes from values files is [`Value::Float`] (JSON knows nothing else),
//! what a template writes or computes is [`Value::Int`], and `eq` of the two is an error, as in Go.

mod host;
mod list;
mod map;
mod text;

pub use host::Host;
pub(crate) use list::bytes_of;
pub use list::{List, ListKind};
pub use map::{Map, MapKind};
pub use text::Str;

use std::rc::Rc;

/// A signed integer's Go type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntKind {
    /// `int`
    Int,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
}

/// An unsigned integer's Go type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UintKind {
    /// `uint`
    Uint,
    /// `uint8`, of indexing a string
    Uint8,
    /// `uint64`, of a parsed version's parts
    Uint64,
}

/// Deepest nesting that is traversed.
pub(crate) const DEEPEST: usize = 400;

/// Highest number of values in one traversal: maps that share maps can multiply without end.
pub(crate) const LARGEST: usize = 2_000_000;

/// One value of a template.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Go's untyped nil: `null`, or what a map does not have.
    #[default]
    Nil,
    /// `bool`
    Bool(bool),
    /// A signed integer; see [`Value::int`] for the usual kind.
    Int(i64, IntKind),
    /// An unsigned integer.
    Uint(u64, UintKind),
    /// `float64`: every number of a values file.
    Float(f64),
    /// A Go string: any bytes, usually UTF-8.
    Str(Str),
    /// A slice; see [`ListKind`] for its element type.
    List(List),
    /// A shared mutable map with string keys.
    Map(Map),
    /// A Go value with fields and methods of its own: `.Capabilities`, `.Files`, a time, a version.
    Host(Rc<dyn Host>),
}

impl Value {
    /// An `int`, as literals and `len` give it.
    #[must_use]
    pub fn int(value: i64) -> Self {
        Self::Int(value, IntKind::Int)
    }

    /// An `int64`, as sprig's arithmetic gives it.
    #[must_use]
    pub fn int64(value: i64) -> Self {
        Self::Int(value, IntKind::Int64)
    }

    /// A `string`; as in Go, it may hold bytes that are not UTF-8.
    pub fn str(text: impl Into<Str>) -> Self {
        Self::Str(text.into())
    }

    /// A `[]interface {}`.
    #[must_use]
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(List::new(ListKind::Any, items))
    }

    /// A `[]string`.
    pub fn strings<S: Into<Str>>(items: impl IntoIterator<Item = S>) -> Self {
        let items: Vec<_> = items.into_iter().map(Self::str).collect();
        Self::List(List::new(ListKind::Str, items))
    }

    /// A host object.
    pub fn host(host: impl Host) -> Self {
        Self::Host(Rc::new(host))
    }

    /// The text, where this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&Str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The map, where this is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, where this is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// Whether this is Go's untyped nil.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// A copy that shares no map with this value; host objects are shared, since nothing changes them.
    /// What nests deeper or is larger than any document is shared, too.
    #[must_use]
    pub fn deep_copy(&self) -> Self {
        self.copy(0, &mut LARGEST.clone())
    }

    /// Like [`Value::deep_copy`]; none: not all of it could be copied.
    pub(crate) fn whole_copy(&self) -> Option<Self> {
        let mut left = LARGEST;
        let copy = self.copy(0, &mut left);
        (left > 0).then_some(copy)
    }

    fn copy(&self, depth: usize, left: &mut usize) -> Self {
        *left = if depth < DEEPEST {
            left.saturating_sub(1)
        } else {
            0
        };
        match self {
            Self::List(list) if *left > 0 => Self::List(List::new(
                list.kind(),
                list.items()
                    .iter()
                    .map(|item| item.copy(depth + 1, left))
                    .collect::<Vec<_>>(),
            )),
            Self::Map(map) if *left > 0 => Self::Map(Map::of(
                map.kind(),
                map.entries()
                    .into_iter()
                    .map(|(key, value)| (key, value.copy(depth + 1, left)))
                    .collect(),
            )),
            other => other.clone(),
        }
    }

    /// What Go's `encoding/json` makes of this document: every number a `float64`.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::str(text.as_str()),
            serde_json::Value::Array(items) => {
                Self::list(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(fields) => Self::Map(
                fields
                    .iter()
                    .map(|(key, value)| (Str::from(key.as_str()), Self::from_json(value)))
                    .collect(),
            ),
        }
    }
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::List(_))
}

/// Drops values without recursion, since templates can nest them deeper than the stack allows.
fn release(values: impl Iterator<Item = Value>) {
    let mut left: Vec<Value> = values.filter(is_container).collect();
    while let Some(value) = left.pop() {
        match value {
            Value::Map(mut map) => {
                if let Some(own) = map.take_own() {
                    left.extend(own.into_values().filter(is_container));
                }
            }
            Value::List(mut list) => left.extend(list.take_own().into_iter().filter(is_container)),
            _ => {}
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::str(text)
    }
}

impl From<Str> for Value {
    fn from(text: Str) -> Self {
        Self::Str(text)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}
