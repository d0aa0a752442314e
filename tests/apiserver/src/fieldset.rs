//! Sets of fields as managedFields keeps them (`FieldsV1`, structured-merge-diff): paths of `f:name`,
//! `k:{...}` and `v:...` elements.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::kinds::{ListType, is_atomic_map, list_type};

/// A path; each element in FieldsV1's own text.
pub(crate) type Path = Vec<String>;

/// A set of paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSet(pub(crate) BTreeSet<Path>);

/// What nobody owns: the object's identity.
fn is_identity(path: &[String]) -> bool {
    let is = |want: &[&str]| path.len() == want.len() && path.iter().zip(want).all(|(a, b)| a == b);
    is(&["f:apiVersion"])
        || is(&["f:kind"])
        || path.first().is_some_and(|first| first == "f:metadata")
            && path.get(1).is_some_and(|second| {
                matches!(
                    second.as_str(),
                    "f:name"
                        | "f:namespace"
                        | "f:uid"
                        | "f:resourceVersion"
                        | "f:generation"
                        | "f:creationTimestamp"
                        | "f:managedFields"
                        | "f:selfLink"
                        | "f:deletionTimestamp"
                )
            })
}

impl FieldSet {
    /// The fields that a value sets.
    pub(crate) fn of(value: &Value, custom: bool) -> Self {
        let mut set = Self::default();
        collect(value, &mut Vec::new(), None, custom, &mut set.0);
        set.0.retain(|path| !is_identity(path));
        set
    }

    pub(crate) fn to_value(&self) -> Value {
        fn insert(at: &mut Map<String, Value>, path: &[String], dot: bool) {
            let Some((first, rest)) = path.split_first() else {
                if dot {
                    at.insert(".".to_owned(), Value::Object(Map::new()));
                }
                return;
            };
            let next = at
                .entry(first.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(next) = next {
                insert(next, rest, dot);
            }
        }
        let mut root = Map::new();
        for path in &self.0 {
            // Where something else continues below, the element itself is the dot.
            insert(&mut root, path, self.has_below(path));
        }
        Value::Object(root)
    }

    fn has_below(&self, path: &Path) -> bool {
        self.0
            .range(path.clone()..)
            .nth(1)
            .is_some_and(|next| next.starts_with(path))
    }

    pub(crate) fn from_value(value: &Value) -> Self {
        fn walk(value: &Value, path: &mut Path, set: &mut BTreeSet<Path>) {
            let Value::Object(map) = value else { return };
            if map.is_empty() {
                set.insert(path.clone());
            }
            for (element, below) in map {
                if element == "." {
                    set.insert(path.clone());
                } else {
                    path.push(element.clone());
                    walk(below, path, set);
                    path.pop();
                }
            }
        }
        let mut set = Self::default();
        walk(value, &mut Vec::new(), &mut set.0);
        set.0.remove(&Vec::new());
        set
    }
}

/// The name of an `f:` element.
fn field(element: &str) -> Option<&str> {
    element.strip_prefix("f:")
}

fn collect(
    value: &Value,
    path: &mut Path,
    list_parent: Option<&str>,
    custom: bool,
    set: &mut BTreeSet<Path>,
) {
    let name = path.last().and_then(|last| field(last)).map(str::to_owned);
    match value {
        Value::Object(map) => {
            let parent = parent_name(path);
            let atomic = name
                .as_deref()
                .is_some_and(|name| is_atomic_map(parent.as_deref(), name, custom));
            if atomic || (map.is_empty() && !path.is_empty()) {
                set.insert(path.clone());
                return;
            }
            for (key, below) in map {
                path.push(format!("f:{key}"));
                collect(below, path, name.as_deref().or(list_parent), custom, set);
                path.pop();
            }
        }
        Value::Array(items) => {
            let kind = list_type(list_parent, name.as_deref().unwrap_or_default(), custom);
            match kind {
                ListType::Atomic => {
                    set.insert(path.clone());
                }
                ListType::Set => {
                    for item in items {
                        path.push(format!("v:{item}"));
                        set.insert(path.clone());
                        path.pop();
                    }
                }
                ListType::Map(keys) => {
                    for item in items {
                        path.push(key_element(item, &keys));
                        set.insert(path.clone());
                        if let Value::Object(map) = item {
                            for (key, below) in map {
                                path.push(format!("f:{key}"));
                                collect(below, path, name.as_deref(), custom, set);
                                path.pop();
                            }
                        }
                        path.pop();
                    }
                }
            }
        }
        _ => {
            set.insert(path.clone());
        }
    }
}

/// The field that a path's last element is in.
fn parent_name(path: &[String]) -> Option<String> {
    path.iter()
        .rev()
        .skip(1)
        .find_map(|element| field(element))
        .map(str::to_owned)
}

/// `k:{"name":"x"}`.
pub(crate) fn key_element(item: &Value, keys: &[(&'static str, Option<&'static str>)]) -> String {
    let mut map = Map::new();
    for (key, default) in keys {
        let value = item.get(*key).cloned();
        if let Some(value) = value.or_else(|| default.map(|text| Value::String(text.to_owned()))) {
            map.insert((*key).to_owned(), value);
        }
    }
    format!("k:{}", Value::Object(map))
}

/// Whether an item of a list is the one that an element names.
fn is_item(item: &Value, element: &str) -> bool {
    if let Some(value) = element.strip_prefix("v:") {
        return *value == *item.to_string();
    }
    let Some(Ok(Value::Object(keys))) = element.strip_prefix("k:").map(serde_json::from_str) else {
        return false;
    };
    keys.iter().all(|(key, value)| match item.get(key) {
        Some(have) => have == value,
        None => value == "TCP",
    })
}

/// The value at a path.
pub(crate) fn value_at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    let Some((first, rest)) = path.split_first() else {
        return Some(value);
    };
    let next = match field(first) {
        Some(name) => value.get(name)?,
        None => value.as_array()?.iter().find(|item| is_item(item, first))?,
    };
    value_at(next, rest)
}

/// Takes the value at a path out; parents that become empty through it go too.
pub(crate) fn remove_at(value: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    match (field(first), value) {
        (Some(name), Value::Object(map)) => {
            if rest.is_empty() {
                map.remove(name);
            } else if let Some(below) = map.get_mut(name) {
                remove_at(below, rest);
                let is_empty = match below {
                    Value::Object(map) => map.is_empty(),
                    Value::Array(items) => items.is_empty(),
                    _ => false,
                };
                if is_empty {
                    map.remove(name);
                }
            }
        }
        (None, Value::Array(items)) => {
            if rest.is_empty() {
                items.retain(|item| !is_item(item, first));
            } else if let Some(item) = items.iter_mut().find(|item| is_item(item, first)) {
                remove_at(item, rest);
            }
        }
        _ => {}
    }
}
