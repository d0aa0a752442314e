//! Functions of Go's own: comparison, indexing, printing, escaping.

use super::{Body, Function, Type, many, pure};
use crate::fmt;
use crate::template::truth;
use crate::value::{ListKind, MapKind, UintKind, Value};

use Type::{Reflect, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "and",
        params: &[Reflect],
        rest: Some(Reflect),
        body: Body::And,
    },
    Function {
        name: "or",
        params: &[Reflect],
        rest: Some(Reflect),
        body: Body::Or,
    },
    pure("not", &[Reflect], |a| Ok(Value::Bool(!truth(&a[0])))),
    Function {
        name: "call",
        params: &[Reflect],
        rest: Some(Reflect),
        body: Body::Call,
    },
    many("html", &[], Type::Any, |a| Ok(escaped(a, html))),
    many("js", &[], Type::Any, |a| Ok(escaped(a, js))),
    many("urlquery", &[], Type::Any, |a| {
        Ok(escaped(a, super::urls::query_escape))
    }),
    many("index", &[Reflect], Reflect, index),
    pure("len", &[Reflect], length),
    many("print", &[], Type::Any, |a| Ok(Value::str(fmt::sprint(a)))),
    many("println", &[], Type::Any, |a| {
        Ok(Value::str(fmt::sprintln(a)))
    }),
    many("printf", &[S], Type::Any, |a| {
        Ok(Value::str(fmt::sprintf(super::bytes(a, 0), &a[1..])))
    }),
    many("eq", &[Reflect], Reflect, equal),
    pure("ne", &[Reflect, Reflect], |a| {
        Ok(Value::Bool(!same(&a[0], &a[1])?))
    }),
    pure("lt", &[Reflect, Reflect], |a| {
        Ok(Value::Bool(less(&a[0], &a[1])?))
    }),
    pure("le", &[Reflect, Reflect], |a| {
        Ok(Value::Bool(less_or_equal(&a[0], &a[1])?))
    }),
    pure("gt", &[Reflect, Reflect], |a| {
        Ok(Value::Bool(!less_or_equal(&a[0], &a[1])?))
    }),
    pure("ge", &[Reflect, Reflect], |a| {
        Ok(Value::Bool(!less(&a[0], &a[1])?))
    }),
];

/// Go's kinds of comparison.
#[derive(PartialEq, Eq)]
enum Basic {
    Bool,
    Int,
    Uint,
    Float,
    Str,
}

fn basic(value: &Value) -> Option<Basic> {
    Some(match value {
        Value::Bool(_) => Basic::Bool,
        Value::Int(..) => Basic::Int,
        Value::Uint(..) => Basic::Uint,
        Value::Float(_) => Basic::Float,
        Value::Str(_) => Basic::Str,
        _ => return None,
    })
}

const INVALID: &str = "invalid type for comparison";

fn equal(arguments: &[Value]) -> Result<Value, String> {
    let Some((first, others)) = arguments
        .split_first()
        .filter(|(_, others)| !others.is_empty())
    else {
        return Err("missing argument for comparison".to_owned());
    };
    for other in others {
        if same(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn shown(value: &Value) -> String {
    // Go prints a value of any type as text here.
    String::from_utf8_lossy(&fmt::sprintf(b"%s", std::slice::from_ref(value))).into_owned()
}

fn incompatible(one: &Value, other: &Value) -> String {
    let (one, other) = (fmt::type_name(one), fmt::type_name(other));
    format!("incompatible types for comparison: {one} and {other}")
}

fn same(one: &Value, other: &Value) -> Result<bool, String> {
    Ok(match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Int(one, _), Value::Int(other, _)) => one == other,
        (Value::Uint(one, _), Value::Uint(other, _)) => one == other,
        (Value::Int(one, _), Value::Uint(other, _))
        | (Value::Uint(other, _), Value::Int(one, _)) => u64::try_from(*one) == Ok(*other),
        #[expect(clippy::float_cmp, reason = "so does Go")]
        (Value::Float(one), Value::Float(other)) => one == other,
        (Value::Str(one), Value::Str(other)) => one == other,
        (Value::Nil, Value::Nil) => true,
        (Value::Nil, _) | (_, Value::Nil) => false,
        _ if basic(one).is_some() || basic(other).is_some() => {
            return Err(incompatible(one, other));
        }
        _ if fmt::kind_name(one) != fmt::kind_name(other) => {
            let (types, values) = (
                (fmt::type_name(one), fmt::type_name(other)),
                (shown(one), shown(other)),
            );
            return Err(format!(
                "non-comparable types {}: {}, {}: {}",
                values.0, types.0, types.1, values.1
            ));
        }
        (_, Value::List(_) | Value::Map(_)) => {
            let kind = fmt::type_name(other);
            return Err(format!("non-comparable type {}: {kind}", shown(other)));
        }
        _ => super::equal::deep_equal(one, other),
    })
}

fn less(one: &Value, other: &Value) -> Result<bool, String> {
    Ok(match (one, other) {
        (Value::Int(one, _), Value::Int(other, _)) => one < other,
        (Value::Uint(one, _), Value::Uint(other, _)) => one < other,
        (Value::Int(one, _), Value::Uint(other, _)) => {
            u64::try_from(*one).map_or(true, |one| one < *other)
        }
        (Value::Uint(one, _), Value::Int(other, _)) => {
            u64::try_from(*other).is_ok_and(|other| *one < other)
        }
        (Value::Float(one), Value::Float(other)) => one < other,
        (Value::Str(one), Value::Str(other)) => one < other,
        _ => {
            return match (basic(one), basic(other)) {
                (Some(Basic::Bool), Some(Basic::Bool)) | (None, _) | (_, None) => {
                    Err(INVALID.to_owned())
                }
                _ => Err(incompatible(one, other)),
            };
        }
    })
}

fn less_or_equal(one: &Value, other: &Value) -> Result<bool, String> {
    Ok(less(one, other)? || same(one, other)?)
}

fn length(arguments: &[Value]) -> Result<Value, String> {
    let length = match &arguments[0] {
        Value::Str(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        Value::Host(host) => match host.len() {
            Some(length) => length,
            None => return Err(format!("len of type {}", host.type_name())),
        },
        other => return Err(format!("len of type {}", fmt::type_name(other))),
    };
    Ok(Value::int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn position(index: &Value, length: usize) -> Result<usize, String> {
    let number = match index {
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => i64::try_from(*number).unwrap_or(-1),
        Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
        other => {
            let kind = fmt::type_name(other);
            return Err(format!("cannot index slice/array with type {kind}"));
        }
    };
    match usize::try_from(number) {
        Ok(index) if index < length => Ok(index),
        Ok(index) if index == length => Err("reflect: slice index out of range".to_owned()),
        _ => Err(format!("index out of range: {number}")),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let mut item = arguments[0].clone();
    if item.is_nil() {
        return Err("index of untyped nil".to_owned());
    }
    for index in &arguments[1..] {
        item = match &item {
            Value::Nil => return Err("index of nil pointer".to_owned()),
            Value::List(list) => list.get(position(index, list.len())?).unwrap_or_default(),
            Value::Str(text) => {
                let byte = text.as_bytes()[position(index, text.len())?];
                Value::Uint(u64::from(byte), UintKind::Uint8)
            }
            Value::Map(map) => match index {
                Value::Str(key) => map.get(key).unwrap_or_else(|| match map.kind() {
                    MapKind::Str => Value::from(""),
                    _ => Value::Nil,
                }),
                Value::Nil => return Err("value is nil; should be of type string".to_owned()),
                other => {
                    let kind = fmt::type_name(other);
                    return Err(format!("value has type {kind}; should be string"));
                }
            },
            Value::Host(host) => match index {
                Value::Str(key) if host.kind() == "map" => {
                    host.field(&key.lossy()).unwrap_or_default()
                }
                Value::Int(number, _) if host.kind() == "slice" => {
                    let entries = host.entries().unwrap_or_default();
                    let at = position(&Value::int(*number), entries.len())?;
                    entries
                        .into_iter()
                        .nth(at)
                        .map(|entry| entry.1)
                        .unwrap_or_default()
                }
                _ => return Err(format!("can't index item of type {}", host.type_name())),
            },
            other => {
                return Err(format!(
                    "can't index item of type {}",
                    fmt::type_name(other)
                ));
            }
        };
    }
    Ok(item)
}

/// Prints the arguments as an action would, and escapes that.
fn escaped(arguments: &[Value], escape: fn(&[u8]) -> Vec<u8>) -> Value {
    let printable: Vec<Value> = arguments
        .iter()
        .map(|value| match value {
            Value::Nil => Value::from("<no value>"),
            other => other.clone(),
        })
        .collect();
    Value::str(escape(&fmt::sprint(&printable)))
}

fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

fn js(text: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(text.len());
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            letter if letter < ' ' || !letter.is_ascii() && !fmt::is_print(letter) => {
                out.push_str(&format!("\\u{:04X}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out.into_bytes()
}

/// The items of anything that Go ranges over as a slice.
pub(super) fn items(value: &Value) -> Option<std::rc::Rc<[Value]>> {
    match value {
        Value::List(list) => Some(list.items()),
        Value::Host(host) if host.kind() == "slice" => host
            .entries()
            .map(|entries| entries.into_iter().map(|entry| entry.1).collect()),
        _ => None,
    }
}

/// A list of any items.
pub(super) fn list_of(kind: ListKind, items: Vec<Value>) -> Value {
    Value::List(crate::value::List::new(kind, items))
}
