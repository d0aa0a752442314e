//! What Go, Helm and sprig offer to templates.
//!
//! Each function declares its parameters' Go types, because a template that passes another type is an error with words
//! of its own. Bodies are plain functions of values; the few that need the release (`lookup`, and what depends on
//! randomness) get its state, and `include` and `tpl` get the template executor.

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

use std::sync::LazyLock;

use crate::fmt;
use crate::template::{Body, Function, Functions, Nested, Placed, Pure, Shared, Type};
use crate::value::{ListKind, Map, Str, Value, bytes_of};

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

const fn placed(name: &'static str, params: &'static [Type], body: Placed) -> Function {
    Function {
        name,
        params,
        rest: None,
        body: Body::Placed(body),
    }
}

const fn shared(name: &'static str, params: &'static [Type], body: Shared) -> Function {
    Function {
        name,
        params,
        rest: None,
        body: Body::Shared(body),
    }
}

const fn nested(name: &'static str, params: &'static [Type], body: Nested) -> Function {
    Function {
        name,
        params,
        rest: None,
        body: Body::Nested(body),
    }
}

/// All functions, for [`Templates::new`](crate::template::Templates::new).
#[must_use]
pub fn all() -> &'static Functions {
    static ALL: LazyLock<Functions> = LazyLock::new(|| {
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
        // Helm's functions come last, since they replace sprig's of the same name.
        Functions::new(rooms.into_iter().flatten())
    });
    &ALL
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
        Value::List(list) if list.kind() == ListKind::Bytes => Str::from(bytes_of(&list.items())),
        other => Str::from(fmt::sprint(std::slice::from_ref(other))),
    }
}
