//! Values with their schema: field sets, comparison, merging and removing (the algorithms of structured-merge-diff,
//! which kube-apiserver uses).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::fieldset::{Set, field, item};
use crate::schema::{Merge, Schema, any};

/// How a value is merged.
enum Form<'v> {
    Leaf,
    List(&'v [Value]),
    Map(&'v Map<String, Value>),
}

fn form<'v>(schema: &Schema, value: &'v Value) -> Form<'v> {
    match value {
        Value::Array(list) if *schema.merge() != Merge::Atomic => Form::List(list),
        Value::Object(map) if !schema.is_atomic() => Form::Map(map),
        _ => Form::Leaf,
    }
}

fn child<'s>(schema: &'s Schema, name: &str) -> &'s Schema {
    schema.field(name).unwrap_or_else(|| any())
}

fn is_declared(schema: &Schema, name: &str) -> bool {
    match schema.shape() {
        crate::schema::Shape::Object(object) => object.fields.contains_key(name),
        _ => false,
    }
}

/// The set of all fields of a value.
pub(crate) fn fields(schema: &Schema, value: &Value) -> Set {
    let mut set = Set::default();
    collect(schema, value, &mut Vec::new(), &mut set);
    set
}

fn collect(schema: &Schema, value: &Value, path: &mut Vec<String>, set: &mut Set) {
    match form(schema, value) {
        Form::Leaf => {
            let granular_null = value.is_null() && !path.is_empty();
            if granular_null || !value.is_null() {
                set.insert(path);
            }
        }
        Form::List(list) => {
            let elements: Vec<String> = list.iter().filter_map(|v| item(schema, v)).collect();
            for value in list {
                let Some(element) = item(schema, value) else {
                    continue;
                };
                let is_double = elements.iter().filter(|other| **other == element).count() > 1;
                path.push(element);
                if !is_double {
                    collect(schema.items(), value, path, set);
                }
                set.insert(path);
                path.pop();
            }
        }
        Form::Map(map) => {
            for (name, value) in map {
                path.push(field(name));
                collect(child(schema, name), value, path, set);
                let is_bare = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if is_bare || !is_declared(schema, name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
    }
}

/// The difference of two values.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) removed: Set,
    pub(crate) modified: Set,
    pub(crate) added: Set,
}

/// Compares two values.
pub(crate) fn compare(schema: &Schema, before: &Value, after: &Value) -> Comparison {
    let mut found = Comparison::default();
    walk(
        schema,
        Some(before),
        Some(after),
        &mut Vec::new(),
        &mut found,
    );
    found
}

fn note(
    before: Option<&Value>,
    after: Option<&Value>,
    path: &[String],
    found: &mut Comparison,
    is_leaf: bool,
) {
    match (before, after) {
        (None, _) => found.added.insert(path),
        (_, None) => found.removed.insert(path),
        (Some(before), Some(after)) if is_leaf && before != after => found.modified.insert(path),
        _ => {}
    }
}

fn walk(
    schema: &Schema,
    before: Option<&Value>,
    after: Option<&Value>,
    path: &mut Vec<String>,
    found: &mut Comparison,
) {
    let shown = match after {
        Some(Value::Null) | None => before.or(after),
        _ => after,
    };
    let Some(shown) = shown else { return };
    let is_empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(_) => false,
    };
    match form(schema, shown) {
        Form::Leaf => note(before, after, path, found, true),
        _ if is_empty(before) && is_empty(after) => note(before, after, path, found, true),
        Form::List(_) => {
            let index = |value: Option<&Value>| -> BTreeMap<String, Vec<Value>> {
                let mut index: BTreeMap<String, Vec<Value>> = BTreeMap::new();
                for value in value.and_then(Value::as_array).into_iter().flatten() {
                    if let Some(element) = item(schema, value) {
                        index.entry(element).or_default().push(value.clone());
                    }
                }
                index
            };
            let (left, right) = (index(before), index(after));
            let all: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for element in all {
                let (l, r) = (left.get(element), right.get(element));
                path.push(element.clone());
                let is_double = |list: Option<&Vec<Value>>| list.is_some_and(|l| l.len() > 1);
                if is_double(l) || is_double(r) {
                    // Duplicate items are one field as a whole; if the other side has a single item, all of its fields
                    // count as added or removed.
                    let single = |list: Option<&Vec<Value>>| list?.first().cloned();
                    match (is_double(l), is_double(r)) {
                        (true, true) if l != r => found.modified.insert(path),
                        (true, false) => {
                            found.removed.insert(path);
                            walk(schema.items(), None, single(r).as_ref(), path, found);
                        }
                        (false, true) => {
                            walk(schema.items(), single(l).as_ref(), None, path, found);
                            found.added.insert(path);
                        }
                        _ => {}
                    }
                } else {
                    let (l, r) = (l.and_then(|l| l.first()), r.and_then(|r| r.first()));
                    walk(schema.items(), l, r, path, found);
                }
                path.pop();
            }
            note(before, after, path, found, false);
        }
        Form::Map(_) => {
            let names: BTreeSet<&String> = [before, after]
                .into_iter()
                .flatten()
                .filter_map(Value::as_object)
                .flat_map(Map::keys)
                .collect();
            let get =
                |value: Option<&'_ Value>, name: &str| value.and_then(|v| v.get(name)).cloned();
            for name in names {
                let (l, r) = (get(before, name), get(after, name));
                path.push(field(name));
                walk(child(schema, name), l.as_ref(), r.as_ref(), path, found);
                path.pop();
            }
            note(before, after, path, found, false);
        }
    }
}

/// Merges two values: the right one takes precedence. The error names a duplicate list item.
pub(crate) fn merge(schema: &Schema, left: &Value, right: &Value) -> Result<Value, String> {
    merged(schema, Some(left), Some(right), "").map(Option::unwrap_or_default)
}

fn merged(
    schema: &Schema,
    left: Option<&Value>,
    right: Option<&Value>,
    place: &str,
) -> Result<Option<Value>, String> {
    let Some(right) = right else {
        return Ok(left.cloned());
    };
    let shown = match (right, left) {
        (Value::Null, Some(left)) if !left.is_null() => left,
        _ => right,
    };
    match form(schema, shown) {
        Form::Leaf => Ok(Some(right.clone())),
        Form::List(_) => {
            let empty = Vec::new();
            let l = left.and_then(Value::as_array).unwrap_or(&empty);
            let r = right.as_array().unwrap_or(&empty);
            if l.is_empty() && r.is_empty() {
                return Ok(Some(right.clone()));
            }
            let out = merged_list(schema, l, r, place)?;
            Ok((!out.is_empty()).then_some(Value::Array(out)))
        }
        Form::Map(_) => {
            let empty = Map::new();
            let l = left.and_then(Value::as_object).unwrap_or(&empty);
            let r = right.as_object().unwrap_or(&empty);
            if l.is_empty() && r.is_empty() {
                return Ok(Some(right.clone()));
            }
            let mut out = Map::new();
            let names: BTreeSet<&String> = l.keys().chain(r.keys()).collect();
            for name in names {
                let place = format!("{place}.{name}");
                if let Some(value) = merged(child(schema, name), l.get(name), r.get(name), &place)?
                {
                    out.insert(name.clone(), value);
                }
            }
            Ok((!out.is_empty()).then_some(Value::Object(out)))
        }
    }
}

/// The right side determines the order; items that only the left side has keep their position.
fn merged_list(
    schema: &Schema,
    left: &[Value],
    right: &[Value],
    place: &str,
) -> Result<Vec<Value>, String> {
    let index = |list: &[Value]| -> Vec<(String, Value)> {
        list.iter()
            .filter_map(|value| Some((item(schema, value)?, value.clone())))
            .collect()
    };
    let (left, right) = (index(left), index(right));
    let mut seen = BTreeSet::new();
    for (element, _) in &right {
        if !seen.insert(element) {
            return Err(format!("{place}: duplicate entries for key {element}"));
        }
    }
    let find = |list: &[(String, Value)], element: &str| {
        let mut found = list.iter().filter(|(have, _)| have == element);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value.clone()),
            _ => None,
        }
    };
    let on_left = |element: &str| left.iter().any(|(have, _)| have == element);
    let on_right = |element: &str| right.iter().any(|(have, _)| have == element);
    let mut shared: std::collections::VecDeque<&String> = right
        .iter()
        .map(|(element, _)| element)
        .filter(|element| on_left(element))
        .collect();
    let mut next = shared.pop_front();
    let mut done: BTreeSet<&String> = BTreeSet::new();
    let mut out = Vec::new();
    let (mut l, mut r) = (0usize, 0usize);
    while l < left.len() || r < right.len() {
        if let (Some((mine, _)), Some((theirs, value))) = (left.get(l), right.get(r)) {
            if mine == theirs {
                done.insert(theirs);
                out.extend(merged(
                    schema.items(),
                    find(&left, mine).as_ref(),
                    Some(value),
                    place,
                )?);
                l += 1;
                r += 1;
                next = shared.pop_front();
                continue;
            }
            if on_right(mine) && next.is_some_and(|next| next != mine) {
                l += 1;
                continue;
            }
        }
        if let Some((mine, value)) = left.get(l) {
            if !on_right(mine) {
                out.push(value.clone());
                l += 1;
                continue;
            } else if done.contains(mine) {
                l += 1;
            }
        }
        if let Some((theirs, value)) = right.get(r) {
            done.insert(theirs);
            out.extend(merged(
                schema.items(),
                find(&left, theirs).as_ref(),
                Some(value),
                place,
            )?);
            r += 1;
            if next == Some(theirs) {
                next = shared.pop_front();
            }
        }
    }
    Ok(out)
}

/// The value without the fields of a set.
pub(crate) fn without(schema: &Schema, value: &Value, set: &Set) -> Value {
    removed(schema, value, set).unwrap_or(Value::Null)
}

fn removed(schema: &Schema, value: &Value, set: &Set) -> Option<Value> {
    match value {
        Value::Array(list) => {
            if list.is_empty() || *schema.merge() == Merge::Atomic {
                return None;
            }
            let mut out = Vec::new();
            let mut matched = false;
            for value in list {
                let element = item(schema, value);
                if element.as_deref().is_some_and(|element| set.has(element)) {
                    continue;
                }
                match element.as_deref().and_then(|element| set.below(element)) {
                    Some(below) => {
                        matched = true;
                        out.push(removed_or_bare(schema.items(), value, below));
                    }
                    None => out.push(value.clone()),
                }
            }
            (matched || !out.is_empty()).then_some(Value::Array(out))
        }
        Value::Object(map) => {
            if map.is_empty() || schema.is_atomic() {
                return None;
            }
            let mut out = Map::new();
            let mut matched = false;
            for (name, value) in map {
                let element = field(name);
                if set.has(&element) {
                    continue;
                }
                match set.below(&element) {
                    Some(below) => {
                        matched = true;
                        let value = removed_or_bare(child(schema, name), value, below);
                        out.insert(name.clone(), value);
                    }
                    None => {
                        out.insert(name.clone(), value.clone());
                    }
                }
            }
            (matched || !out.is_empty()).then_some(Value::Object(out))
        }
        value => Some(value.clone()),
    }
}

fn removed_or_bare(schema: &Schema, value: &Value, set: &Set) -> Value {
    removed(schema, value, set).unwrap_or(match value {
        Value::Object(_) => Value::Object(Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::named;
    use serde_json::json;

    fn pod() -> Schema {
        named("io.k8s.api.core.v1.PodSpec")
    }

    #[test]
    fn ports_are_told_apart_by_port_and_protocol() {
        let left = json!({"containers": [{"name": "a", "ports": [
            {"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP", "name": "x"}]}]});
        let right =
            json!({"containers": [{"name": "a", "ports": [{"containerPort": 53, "name": "y"}]}]});
        let merged = merge(&pod(), &left, &right).unwrap();
        let ports = merged.pointer("/containers/0/ports").unwrap();
        assert_eq!(ports.as_array().unwrap().len(), 2);
        assert_eq!(ports.pointer("/1/name").unwrap(), "y");
    }

    #[test]
    fn the_order_of_the_right_side_leads() {
        let list = |names: &[&str]| json!({"containers": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()});
        let check = |left: &[&str], right: &[&str], expected: &[&str]| {
            let merged = merge(&pod(), &list(left), &list(right)).unwrap();
            assert_eq!(merged, list(expected), "{left:?} {right:?}");
        };
        check(&["a", "b"], &["b", "a"], &["b", "a"]);
        check(&["a", "x", "b"], &["b", "a"], &["x", "b", "a"]);
        check(&["a"], &["b"], &["a", "b"]);
        assert!(merge(&pod(), &list(&[]), &list(&["a", "a"])).is_err());
    }

    #[test]
    fn differences_are_named() {
        let left = json!({"nodeSelector": {"a": "1"}, "containers": [{"name": "a", "image": "1"}]});
        let right = json!({"nodeSelector": {"b": "1"}, "containers": [{"name": "a", "image": "2"}, {"name": "c"}]});
        let found = compare(&pod(), &left, &right);
        assert_eq!(
            found.modified.paths(),
            [".nodeSelector", ".containers[name=\"a\"].image"]
        );
        assert_eq!(
            found.added.paths(),
            [".containers[name=\"c\"]", ".containers[name=\"c\"].name"]
        );
        let rest = without(&pod(), &right, &found.added);
        assert_eq!(
            rest.pointer("/containers")
                .unwrap()
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }
}
