//! Functions of lists.

use std::rc::Rc;

use super::builtin::{items, list_of};
use super::cast::to_int;
use super::equal::{deep_equal, empty};
use super::{Function, Type, int, many, pure};
use crate::fmt::kind_name;
use crate::value::{ListKind, Value};

use Type::{Any, Int};

pub(super) const FUNCTIONS: &[Function] = &[
    many("list", &[], Any, |a| Ok(Value::list(a.to_vec()))),
    many("tuple", &[], Any, |a| Ok(Value::list(a.to_vec()))),
    pure("append", &[Any, Any], push),
    pure("push", &[Any, Any], push),
    pure("mustAppend", &[Any, Any], push),
    pure("mustPush", &[Any, Any], push),
    pure("prepend", &[Any, Any], prepend),
    pure("mustPrepend", &[Any, Any], prepend),
    pure("first", &[Any], first),
    pure("mustFirst", &[Any], first),
    pure("last", &[Any], last),
    pure("mustLast", &[Any], last),
    pure("rest", &[Any], rest),
    pure("mustRest", &[Any], rest),
    pure("initial", &[Any], initial),
    pure("mustInitial", &[Any], initial),
    pure("reverse", &[Any], reverse),
    pure("mustReverse", &[Any], reverse),
    pure("compact", &[Any], compact),
    pure("mustCompact", &[Any], compact),
    pure("uniq", &[Any], uniq),
    pure("mustUniq", &[Any], uniq),
    many("without", &[Any], Any, without),
    many("mustWithout", &[Any], Any, without),
    pure("has", &[Any, Any], has),
    pure("mustHas", &[Any, Any], has),
    many("slice", &[Any], Any, slice),
    many("mustSlice", &[Any], Any, slice),
    many("concat", &[], Any, concat),
    pure("chunk", &[Int, Any], chunk),
    pure("mustChunk", &[Int, Any], chunk),
];

fn listed(value: &Value, what: &str) -> Result<Rc<[Value]>, String> {
    match items(value) {
        Some(items) => Ok(items),
        None if value.is_nil() => {
            Err("runtime error: invalid memory address or nil pointer dereference".to_owned())
        }
        None => Err(format!("Cannot {what} type {}", kind_name(value))),
    }
}

fn push(arguments: &[Value]) -> Result<Value, String> {
    let mut items = listed(&arguments[0], "push on")?.to_vec();
    items.push(arguments[1].clone());
    Ok(Value::list(items))
}

fn prepend(arguments: &[Value]) -> Result<Value, String> {
    let mut items = vec![arguments[1].clone()];
    items.extend_from_slice(&listed(&arguments[0], "prepend on")?);
    Ok(Value::list(items))
}

fn first(arguments: &[Value]) -> Result<Value, String> {
    let items = listed(&arguments[0], "find first on")?;
    Ok(items.first().cloned().unwrap_or_default())
}

fn last(arguments: &[Value]) -> Result<Value, String> {
    let items = listed(&arguments[0], "find last on")?;
    Ok(items.last().cloned().unwrap_or_default())
}

fn rest(arguments: &[Value]) -> Result<Value, String> {
    let items = listed(&arguments[0], "find rest on")?;
    Ok(Value::list(items.get(1..).unwrap_or_default().to_vec()))
}

fn initial(arguments: &[Value]) -> Result<Value, String> {
    let items = listed(&arguments[0], "find initial on")?;
    let end = items.len().saturating_sub(1);
    Ok(Value::list(items[..end].to_vec()))
}

fn reverse(arguments: &[Value]) -> Result<Value, String> {
    let items = listed(&arguments[0], "find reverse on")?;
    Ok(Value::list(items.iter().rev().cloned().collect()))
}

fn compact(arguments: &[Value]) -> Result<Value, String> {
    let items = listed(&arguments[0], "compact on")?;
    Ok(Value::list(
        items.iter().filter(|item| !empty(item)).cloned().collect(),
    ))
}

fn contains(list: &[Value], value: &Value) -> bool {
    list.iter().any(|item| deep_equal(value, item))
}

fn uniq(arguments: &[Value]) -> Result<Value, String> {
    let mut kept: Vec<Value> = Vec::new();
    for item in listed(&arguments[0], "find uniq on")?.iter() {
        if !contains(&kept, item) {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

fn without(arguments: &[Value]) -> Result<Value, String> {
    let items = listed(&arguments[0], "find without on")?;
    let kept = items.iter().filter(|item| !contains(&arguments[1..], item));
    Ok(Value::list(kept.cloned().collect()))
}

fn has(arguments: &[Value]) -> Result<Value, String> {
    if arguments[1].is_nil() {
        return Ok(Value::Bool(false));
    }
    let items = listed(&arguments[1], "find has on")?;
    Ok(Value::Bool(contains(&items, &arguments[0])))
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let Some(items) = items(&arguments[0]) else {
        let kind = kind_name(&arguments[0]);
        return Err(format!("list should be type of slice or array but {kind}"));
    };
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = arguments.get(1).map_or(0, to_int);
    let end = arguments.get(2).map_or(items.len() as i64, to_int);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let kind = arguments[0]
        .as_list()
        .map_or(ListKind::Any, crate::value::List::kind);
    match range.and_then(|(start, end)| items.get(start..end)) {
        Some(part) => Ok(list_of(kind, part.to_vec())),
        None => Err("reflect.Value.Slice: slice index out of bounds".to_owned()),
    }
}

fn concat(arguments: &[Value]) -> Result<Value, String> {
    let mut all = Vec::new();
    for argument in arguments {
        match items(argument) {
            Some(items) => all.extend_from_slice(&items),
            None if argument.is_nil() => return listed(argument, "").map(|_| Value::Nil),
            None => {
                return Err(format!(
                    "Cannot concat type {} as list",
                    kind_name(argument)
                ));
            }
        }
    }
    Ok(Value::list(all))
}

fn chunk(arguments: &[Value]) -> Result<Value, String> {
    let items = listed(&arguments[1], "chunk")?;
    let size = match usize::try_from(int(arguments, 0)) {
        Ok(size) if size > 0 => size,
        _ => return Err("runtime error: makeslice: len out of range".to_owned()),
    };
    let chunks = items
        .chunks(size)
        .map(|part| Value::list(part.to_vec()))
        .collect();
    Ok(list_of(ListKind::Lists, chunks))
}
