//! Field sets as in managedFields (`FieldsV1`, KEP-555).
//!
//! A path element is stored in its serialised form: `f:name`, `k:{"name":"x"}`, `v:"x"`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::schema::{Merge, Schema, Shape, any};

/// A set of paths: the members at this level, and the sets below.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Set {
    members: BTreeSet<String>,
    children: BTreeMap<String, Set>,
}

pub(crate) fn field(name: &str) -> String {
    format!("f:{name}")
}

impl Set {
    /// Parses `FieldsV1`.
    pub(crate) fn read(fields: &Value) -> Self {
        let mut set = Self::default();
        for (element, below) in fields.as_object().into_iter().flatten() {
            if element == "." {
                continue;
            }
            let Some(map) = below.as_object() else {
                continue;
            };
            if map.is_empty() || map.contains_key(".") {
                set.members.insert(element.clone());
            }
            let child = Self::read(below);
            if !child.is_empty() {
                set.children.insert(element.clone(), child);
            }
        }
        set
    }

    /// Serialises to `FieldsV1`.
    pub(crate) fn write(&self) -> Value {
        let mut map = Map::new();
        for element in &self.members {
            map.insert(element.clone(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            let mut below = child.write();
            if let (true, Value::Object(below)) = (self.members.contains(element), &mut below) {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.clone(), below);
        }
        Value::Object(map)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    pub(crate) fn insert(&mut self, path: &[String]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// A set of paths of plain fields.
    pub(crate) fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<String> = path.iter().map(|name| field(name)).collect();
            set.insert(&path);
        }
        set
    }

    pub(crate) fn has(&self, element: &str) -> bool {
        self.members.contains(element)
    }

    pub(crate) fn below(&self, element: &str) -> Option<&Self> {
        self.children.get(element).filter(|child| !child.is_empty())
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            let merged = set
                .children
                .get(element)
                .map_or_else(|| child.clone(), |mine| mine.union(child));
            set.children.insert(element.clone(), merged);
        }
        set
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: self
                .children
                .iter()
                .filter_map(|(element, child)| {
                    let both = child.intersection(other.children.get(element)?);
                    (!both.is_empty()).then(|| (element.clone(), both))
                })
                .collect(),
        }
    }

    /// The difference of two sets; children of a member of the other set remain.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self
                .children
                .iter()
                .filter_map(|(element, child)| {
                    let rest = match other.children.get(element) {
                        Some(theirs) => child.difference(theirs),
                        None => child.clone(),
                    };
                    (!rest.is_empty()).then(|| (element.clone(), rest))
                })
                .collect(),
        }
    }

    /// The recursive difference: children of a member of the other set are removed as well.
    pub(crate) fn recursive_difference(&self, other: &Self) -> Self {
        let mut set = self.difference(other);
        set.children
            .retain(|element, _| !other.members.contains(element));
        for (element, child) in &mut set.children {
            if let Some(theirs) = other.children.get(element) {
                *child = child.recursive_difference(theirs);
            }
        }
        set.children.retain(|_, child| !child.is_empty());
        set
    }

    /// Adds the declared fields on the path to each member.
    pub(crate) fn with_named_fields(&self, schema: &Schema) -> Self {
        let mut set = self.clone();
        for (element, child) in &mut set.children {
            let below = below(schema, element);
            if let (Some(name), Shape::Object(object)) =
                (element.strip_prefix("f:"), schema.shape())
                && object.fields.contains_key(name)
            {
                set.members.insert(element.clone());
            }
            *child = child.with_named_fields(below);
        }
        set
    }

    /// Every path as in error messages: `.spec.containers[name="web"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found
    }

    fn collect(&self, prefix: &str, found: &mut Vec<String>) {
        for element in &self.members {
            found.push(format!("{prefix}{}", written(element)));
        }
        for (element, child) in &self.children {
            child.collect(&format!("{prefix}{}", written(element)), found);
        }
    }
}

/// The schema of an element.
pub(crate) fn below<'s>(schema: &'s Schema, element: &str) -> &'s Schema {
    match element.strip_prefix("f:") {
        Some(name) => schema.field(name).unwrap_or_else(|| any()),
        None => schema.items(),
    }
}

fn written(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(keys) = element.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
        let keys: Vec<String> = keys
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        return format!("[{}]", keys.join(","));
    }
    match element.strip_prefix("v:") {
        Some(value) => format!("[={value}]"),
        None => element.to_owned(),
    }
}

/// The element for an item of a set or a map list; none if the list is atomic or the item has no key.
pub(crate) fn item(schema: &Schema, value: &Value) -> Option<String> {
    match schema.merge() {
        Merge::Atomic => None,
        Merge::Set => Some(format!("v:{value}")),
        Merge::Map(keys) => {
            let object = value.as_object()?;
            let mut element = Map::new();
            for key in keys {
                let default = schema
                    .items()
                    .field(key)
                    .and_then(|field| field.default.clone());
                if let Some(value) = object.get(key).cloned().or(default) {
                    element.insert(key.clone(), value);
                }
            }
            (!element.is_empty()).then(|| format!("k:{}", Value::Object(element)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_are_read_written_and_told() {
        let fields = json!({"f:spec": {"f:a": {}, "k:{\"name\":\"x\"}": {".": {}, "f:b": {}}}});
        let set = Set::read(&fields);
        assert_eq!(set.write(), fields);
        assert_eq!(
            set.paths(),
            [".spec.a", ".spec[name=\"x\"]", ".spec[name=\"x\"].b"]
        );
        let without = set.difference(&Set::of(&[&["spec", "a"]]));
        assert_eq!(without.paths().len(), 2);
        assert!(set.recursive_difference(&Set::of(&[&["spec"]])).is_empty());
        assert_eq!(set.union(&without), set);
        assert_eq!(set.intersection(&without), without);
    }
}
