//! Maps, which are shared and change in place; and defaults for missing values.

use std::collections::HashSet;

use super::equal::empty;
use super::{Function, Type, bytes, many, map, pure, strval};
use crate::fmt::type_name;
use crate::value::{Map, MapKind, Str, Value};

use Type::{Any, Bool, Map as M, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    many("dict", &[], Any, |a| {
        let dict = Map::new();
        for pair in a.chunks(2) {
            let value = pair.get(1).cloned().unwrap_or_else(|| Value::from(""));
            dict.insert(strval(&pair[0]), value);
        }
        Ok(Value::Map(dict))
    }),
    pure("get", &[M, S], |a| {
        Ok(map(a, 0)
            .get(bytes(a, 1))
            .unwrap_or_else(|| Value::from("")))
    }),
    pure("set", &[M, S, Any], set),
    pure("unset", &[M, S], |a| {
        map(a, 0).remove(bytes(a, 1));
        Ok(any(&a[0]))
    }),
    pure("hasKey", &[M, S], |a| {
        Ok(Value::Bool(map(a, 0).contains(bytes(a, 1))))
    }),
    many("pluck", &[S], M, |a| {
        let found = (1..a.len()).filter_map(|index| map(a, index).get(bytes(a, 0)));
        Ok(Value::list(found.collect()))
    }),
    // Go returns keys and values in random order; sorted order keeps renders stable.
    many("keys", &[], M, |a| {
        let keys = (0..a.len()).flat_map(|index| map(a, index).keys());
        Ok(Value::strings(keys))
    }),
    pure("values", &[M], |a| {
        let values = map(a, 0).entries().into_iter().map(|entry| entry.1);
        Ok(Value::list(values.collect()))
    }),
    many("pick", &[M], S, |a| {
        let from = map(a, 0);
        let picked = Map::new();
        for key in a[1..].iter().filter_map(Value::as_str) {
            if let Some(value) = from.get(key) {
                picked.insert(key.clone(), value);
            }
        }
        Ok(Value::Map(picked))
    }),
    many("omit", &[M], S, |a| {
        let omitted: Vec<&Str> = a[1..].iter().filter_map(Value::as_str).collect();
        let kept = map(a, 0)
            .entries()
            .into_iter()
            .filter(|entry| !omitted.contains(&&entry.0));
        Ok(Value::Map(kept.collect()))
    }),
    many("dig", &[], Any, dig),
    pure("deepCopy", &[Any], |a| copy(&a[0])),
    pure("mustDeepCopy", &[Any], |a| copy(&a[0])),
    many("default", &[Any], Any, |a| {
        Ok(match a.get(1) {
            Some(given) if !empty(given) => given.clone(),
            _ => a[0].clone(),
        })
    }),
    pure("empty", &[Any], |a| Ok(Value::Bool(empty(&a[0])))),
    many("coalesce", &[], Any, |a| {
        Ok(a.iter()
            .find(|value| !empty(value))
            .cloned()
            .unwrap_or_default())
    }),
    many("all", &[], Any, |a| Ok(Value::Bool(!a.iter().any(empty)))),
    many("any", &[], Any, |a| {
        Ok(Value::Bool(a.iter().any(|value| !empty(value))))
    }),
    pure("ternary", &[Any, Any, Bool], |a| {
        Ok(a[usize::from(!matches!(a[2], Value::Bool(true)))].clone())
    }),
];

/// The map as a function with a parameter of that type gives it back: its name is lost.
fn any(value: &Value) -> Value {
    match value {
        Value::Nil => Value::Map(Map::new()),
        other => other.clone(),
    }
}

fn copy(value: &Value) -> Result<Value, String> {
    super::data::present(value)?;
    let copy = value.whole_copy();
    copy.ok_or_else(|| "the value is too deep or too large to copy".to_owned())
}

fn set(arguments: &[Value]) -> Result<Value, String> {
    let Value::Map(target) = &arguments[0] else {
        return Err("assignment to entry in nil map".to_owned());
    };
    let Value::Str(key) = &arguments[1] else {
        return Ok(Value::Nil);
    };
    if reaches(&arguments[2], target) {
        let key = crate::fmt::quote(key.as_bytes());
        return Err(format!("a map cannot hold itself (set {key})"));
    }
    target.insert(key.clone(), arguments[2].clone());
    Ok(arguments[0].clone())
}

/// Returns whether the value contains the map: a cycle could not be printed, and would never be freed.
pub(super) fn reaches(value: &Value, target: &Map) -> bool {
    let nested = |value: &Value| match value {
        Value::Map(map) => !map.is_empty() || map.same(target),
        Value::List(list) => !list.is_empty(),
        _ => false,
    };
    if !nested(value) {
        return false;
    }
    let mut left = vec![value.clone()];
    // Each value is visited once, however many other values hold it.
    let mut seen = HashSet::new();
    while let Some(value) = left.pop() {
        match value {
            Value::Map(map) if map.same(target) => return true,
            Value::Map(map) if seen.insert(map.identity()) => {
                left.extend(
                    map.entries()
                        .into_iter()
                        .map(|entry| entry.1)
                        .filter(nested),
                );
            }
            Value::List(list) if seen.insert(list.identity()) => {
                left.extend(list.items().iter().filter(|value| nested(value)).cloned());
            }
            _ => {}
        }
    }
    false
}

fn dig(arguments: &[Value]) -> Result<Value, String> {
    let [keys @ .., default, from] = arguments else {
        return Err("dig needs at least three arguments".to_owned());
    };
    if keys.is_empty() {
        return Err("dig needs at least three arguments".to_owned());
    }
    let mut current = from.clone();
    for (index, key) in keys.iter().enumerate() {
        let here = match &current {
            Value::Map(map) if map.kind() == MapKind::Any => map.clone(),
            other => {
                let kind = if other.is_nil() {
                    "nil"
                } else {
                    type_name(other)
                };
                return Err(format!(
                    "interface conversion: interface {{}} is {kind}, not map[string]interface {{}}"
                ));
            }
        };
        let Value::Str(key) = key else {
            let kind = if key.is_nil() { "nil" } else { type_name(key) };
            return Err(format!(
                "interface conversion: interface {{}} is {kind}, not string"
            ));
        };
        match here.get(key) {
            None => return Ok(default.clone()),
            Some(value) if index + 1 == keys.len() => return Ok(value),
            Some(value) => current = value,
        }
    }
    Ok(current)
}
