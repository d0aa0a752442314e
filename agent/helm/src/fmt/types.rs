//! Go's names of types and kinds.

use crate::value::{IntKind, ListKind, MapKind, UintKind, Value};

/// `reflect.TypeOf(value).String()`; `<nil>` for nil, as `%T` prints it.
#[must_use]
pub fn type_name(value: &Value) -> &str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_, IntKind::Int) => "int",
        Value::Int(_, IntKind::Int32) => "int32",
        Value::Int(_, IntKind::Int64) => "int64",
        Value::Uint(_, UintKind::Uint) => "uint",
        Value::Uint(_, UintKind::Uint8) => "uint8",
        Value::Uint(_, UintKind::Uint64) => "uint64",
        Value::Float(_) => "float64",
        Value::Str(_) => "string",
        Value::List(list) => match list.kind() {
            ListKind::Any => "[]interface {}",
            ListKind::Str => "[]string",
            ListKind::Int => "[]int",
            ListKind::Bytes => "[]uint8",
            ListKind::Lists => "[][]interface {}",
            ListKind::Maps => "[]map[string]interface {}",
        },
        Value::Map(map) => match map.kind() {
            MapKind::Any => "map[string]interface {}",
            MapKind::Str => "map[string]string",
            MapKind::Values => "common.Values",
        },
        Value::Host(host) => host.type_name(),
    }
}

/// `reflect.ValueOf(value).Kind().String()`; `invalid` for nil.
#[must_use]
pub fn kind_name(value: &Value) -> &str {
    match value {
        Value::Nil => "invalid",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        Value::Host(host) => host.kind(),
        other => type_name(other),
    }
}
