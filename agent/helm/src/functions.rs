//! What Go, Helm and sprig offer to templates.
//!
//! Each function declares its parameters' Go types, because a template that passes another type is an error
//! with words of its own. Bodies are plain functions of values; the few that need the release (`include`,
//! `tpl`, `lookup`, what draws on randomness) get the engine.

mod builtin;
mod cast;
mod certificates;
mod civil;
mod crypto;
mod data;
mod date;
mod decimal;
mod dicts;
mod duration;
mod equal;
mod generated;
mod layout;
mod lists;
mod math;
mod memory;
mod merge;
mod paths;
mod reflect;
mod regex;
mod release;
mod scrypt;
pub mod semver;
mod strings;
mod time;
mod urls;
mod words;

use std::collections::HashMap;
use std::sync::OnceLock;

pub(crate) use memory::Memory;

use crate::fmt;
use crate::template::{Engine, Fault, Place};
use crate::value::{IntKind, ListKind, Map, MapKind, Str, Value};

/// A parameter's Go type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// `interface {}`
    Any,
    /// `reflect.Value`, which Go's own functions take: anything at all.
    Reflect,
    Str,
    Int,
    Uint32,
    Float,
    Bool,
    /// `map[string]interface {}`
    Map,
    /// `[]interface {}`
    List,
    /// `time.Time`
    Time,
    /// A certificate of sprig, which no value of ours is.
    Certificate,
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Reflect => "reflect.Value",
            Self::Str => "string",
            Self::Int => "int",
            Self::Uint32 => "uint32",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Map => "map[string]interface {}",
            Self::List => "[]interface {}",
            Self::Time => "time.Time",
            Self::Certificate => "sprig.certificate",
        }
    }

    pub(crate) fn can_be_nil(self) -> bool {
        matches!(self, Self::Any | Self::Reflect | Self::Map | Self::List)
    }

    pub(crate) fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any | Self::Reflect, _)
            | (Self::Str, Value::Str(_))
            | (Self::Int, Value::Int(_, IntKind::Int))
            | (Self::Float, Value::Float(_))
            | (Self::Bool, Value::Bool(_)) => true,
            (Self::Map, Value::Map(map)) => map.kind() != MapKind::Str,
            (Self::List, Value::List(list)) => list.kind() == ListKind::Any,
            (Self::Time, Value::Host(host)) => host.type_name() == "time.Time",
            (Self::Certificate, Value::Host(host)) => host.type_name() == "sprig.certificate",
            _ => false,
        }
    }
}

type Pure = fn(&[Value]) -> Result<Value, String>;
type WithEngine = fn(&mut Engine<'_>, &Place, &[Value]) -> Result<Value, Fault>;
type WithMemory = fn(&mut Engine<'_>, &[Value]) -> Result<Value, Fault>;

/// What a function does.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// A function of its arguments.
    Pure(Pure),
    /// Needs the release, and where it is called.
    Engine(WithEngine),
    /// Needs the release's bounds or what it has compiled before.
    Shared(WithMemory),
    /// `call`, for which no value of ours is a function.
    Call,
    /// `and`, which evaluates no more than it must.
    And,
    /// `or`, evaluated as `and` is.
    Or,
}

/// One function of the language.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Type],
    /// The type of any further arguments.
    pub(crate) rest: Option<Type>,
    pub(crate) body: Body,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn pure(name: &'static str, params: &'static [Type], body: Pure) -> Function {
    Function {
        name,
        params,
        rest: None,
        body: Body::Pure(body),
    }
}

const fn many(name: &'static str, params: &'static [Type], rest: Type, body: Pure) -> Function {
    Function {
        name,
        params,
        rest: Some(rest),
        body: Body::Pure(body),
    }
}

const fn placed(name: &'static str, params: &'static [Type], body: WithEngine) -> Function {
    Function {
        name,
        params,
        rest: None,
        body: Body::Engine(body),
    }
}

const fn shared(name: &'static str, params: &'static [Type], body: WithMemory) -> Function {
    Function {
        name,
        params,
        rest: None,
        body: Body::Shared(body),
    }
}

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    static ALL: OnceLock<HashMap<&'static str, &'static Function>> = OnceLock::new();
    ALL.get_or_init(|| {
        let rooms: [&'static [Function]; 19] = [
            builtin::FUNCTIONS,
            certificates::FUNCTIONS,
            crypto::FUNCTIONS,
            data::FUNCTIONS,
            date::FUNCTIONS,
            dicts::FUNCTIONS,
            duration::FUNCTIONS,
            generated::FUNCTIONS,
            lists::FUNCTIONS,
            math::FUNCTIONS,
            merge::FUNCTIONS,
            paths::FUNCTIONS,
            reflect::FUNCTIONS,
            regex::FUNCTIONS,
            release::FUNCTIONS,
            semver::FUNCTIONS,
            strings::FUNCTIONS,
            urls::FUNCTIONS,
            words::FUNCTIONS,
        ];
        // Helm's own come after sprig's where both have a name.
        rooms
            .into_iter()
            .flatten()
            .map(|function| (function.name, function))
            .collect()
    })
    .get(name)
    .copied()
}

/// A method of Helm's own map type, by name; the receiver is the first argument.
pub(crate) fn values_method(name: &str) -> Option<Pure> {
    match name {
        "AsMap" => Some(|arguments| Ok(arguments[0].clone())),
        "YAML" => Some(|arguments| crate::yaml::emit(&arguments[0]).map(Value::Str)),
        "Table" => Some(|arguments| {
            let path = match arguments.get(1) {
                Some(Value::Str(path)) => path.lossy().into_owned(),
                _ => return Err("wrong number of args for Table: want 1 got 0".to_owned()),
            };
            let mut current = arguments[0].clone();
            for part in path.split('.') {
                let next = current.as_map().and_then(|map| map.get(part));
                match next {
                    Some(next @ Value::Map(_)) => current = next,
                    _ => return Err(format!("{} is not a table", fmt::quote(part.as_bytes()))),
                }
            }
            Ok(current)
        }),
        _ => None,
    }
}

/// The bytes of a string argument, whose type is already checked.
fn bytes(arguments: &[Value], index: usize) -> &[u8] {
    match arguments.get(index) {
        Some(Value::Str(text)) => text.as_bytes(),
        _ => b"",
    }
}

/// A string argument as text.
fn lossy(arguments: &[Value], index: usize) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes(arguments, index))
}

/// An integer argument, whose type is already checked.
fn int(arguments: &[Value], index: usize) -> i64 {
    match arguments.get(index) {
        Some(Value::Int(number, _)) => *number,
        _ => 0,
    }
}

/// A map argument; a nil map is empty.
fn map(arguments: &[Value], index: usize) -> Map {
    match arguments.get(index) {
        Some(Value::Map(map)) => map.clone(),
        _ => Map::new(),
    }
}

/// sprig's `strval`.
fn strval(value: &Value) -> Str {
    match value {
        Value::Str(text) => text.clone(),
        Value::List(list) if list.kind() == ListKind::Bytes => Str::from(
            list.items()
                .iter()
                .map(|item| match item {
                    Value::Uint(byte, _) => u8::try_from(*byte).unwrap_or(0),
                    _ => 0,
                })
                .collect::<Vec<u8>>(),
        ),
        other => Str::from(fmt::sprint(std::slice::from_ref(other))),
    }
}
