//! Server-side apply (KEP-555): merging, ownership, conflicts, removal.

use serde_json::{Map, Value, json};

use crate::fieldset::{FieldSet, key_element, remove_at, value_at};
use crate::kinds::{ListType, is_atomic_map, list_type};

/// One entry of managedFields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Managed {
    pub(crate) manager: String,
    pub(crate) operation: String,
    pub(crate) subresource: String,
    pub(crate) api_version: String,
    pub(crate) time: String,
    pub(crate) fields: FieldSet,
}

pub(crate) fn managed(object: &Value) -> Vec<Managed> {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |key: &str| {
                entry
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            Managed {
                manager: text("manager"),
                operation: text("operation"),
                subresource: text("subresource"),
                api_version: text("apiVersion"),
                time: text("time"),
                fields: FieldSet::from_value(entry.get("fieldsV1").unwrap_or(&Value::Null)),
            }
        })
        .collect()
}

pub(crate) fn set_managed(object: &mut Value, entries: &[Managed]) {
    let list: Vec<Value> = entries
        .iter()
        .filter(|entry| !entry.fields.0.is_empty())
        .map(|entry| {
            let mut value = json!({
                "manager": entry.manager,
                "operation": entry.operation,
                "apiVersion": entry.api_version,
                "time": entry.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": entry.fields.to_value(),
            });
            if let (false, Value::Object(map)) = (entry.subresource.is_empty(), &mut value) {
                map.insert("subresource".to_owned(), json!(entry.subresource));
            }
            value
        })
        .collect();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        if list.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(list));
        }
    }
}

/// A field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) manager: String,
    pub(crate) field: String,
}

/// Applies a configuration to a live object.
pub(crate) fn apply(
    live: &Value,
    applied: &Value,
    manager: &str,
    force: bool,
    custom: bool,
    now: &str,
) -> Result<Value, Vec<Conflict>> {
    let api_version = applied
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let wanted = FieldSet::of(applied, custom);
    let mut entries = managed(live);
    let mut conflicts = Vec::new();
    let is_mine = |entry: &Managed| {
        entry.manager == manager && entry.operation == "Apply" && entry.subresource.is_empty()
    };
    for entry in entries.iter_mut().filter(|entry| !is_mine(entry)) {
        let contested: Vec<_> = entry
            .fields
            .0
            .iter()
            .filter(|path| {
                wanted.0.contains(*path) && value_at(live, path) != value_at(applied, path)
            })
            .filter(|path| !matches!(value_at(applied, path), Some(Value::Object(_)) if path.last().is_some_and(|l| l.starts_with("k:"))))
            .cloned()
            .collect();
        for path in contested {
            conflicts.push(Conflict {
                manager: entry.manager.clone(),
                field: dotted(&path),
            });
            entry.fields.0.remove(&path);
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let mut result = live.clone();
    let before = entries
        .iter()
        .find(|entry| is_mine(entry))
        .map(|e| e.fields.clone());
    if let Some(before) = before {
        let mut gone: Vec<_> = before
            .0
            .iter()
            .filter(|path| !wanted.0.contains(*path))
            .filter(|path| {
                !entries
                    .iter()
                    .any(|e| !is_mine(e) && e.fields.0.contains(*path))
            })
            .filter(|path| {
                // An item stays while anybody, ourselves included, still has something in it.
                !wanted
                    .0
                    .iter()
                    .any(|w| w.starts_with(path) && w.len() > path.len())
                    && !entries.iter().any(|e| {
                        !is_mine(e)
                            && e.fields
                                .0
                                .iter()
                                .any(|o| o.starts_with(path) && o.len() > path.len())
                    })
            })
            .cloned()
            .collect();
        // An item goes as a whole before its fields, which name it.
        gone.sort_by_key(Vec::len);
        for path in gone {
            remove_at(&mut result, &path);
        }
    }
    merge(&mut result, applied, &mut Vec::new(), None, custom);
    let unchanged_time = entries
        .iter()
        .find(|entry| is_mine(entry) && entry.fields == wanted && entry.api_version == api_version)
        .map(|entry| entry.time.clone());
    let mine = Managed {
        manager: manager.to_owned(),
        operation: "Apply".to_owned(),
        subresource: String::new(),
        api_version,
        time: unchanged_time.unwrap_or_else(|| now.to_owned()),
        fields: wanted,
    };
    match entries.iter_mut().find(|entry| is_mine(entry)) {
        Some(entry) => *entry = mine,
        None => entries.push(mine),
    }
    set_managed(&mut result, &entries);
    Ok(result)
}

/// Notes what a plain write changed as its writer's; others lose what was changed or removed.
pub(crate) fn track_update(
    before: &Value,
    after: &mut Value,
    manager: &str,
    subresource: &str,
    custom: bool,
    now: &str,
) {
    let old = FieldSet::of(before, custom);
    let new = FieldSet::of(after, custom);
    let mut entries = managed(before);
    let changed: Vec<_> = new
        .0
        .iter()
        .filter(|path| !old.0.contains(*path) || value_at(before, path) != value_at(after, path))
        .filter(|path| {
            let is_status = path.first().is_some_and(|first| first == "f:status");
            is_status == (subresource == "status")
        })
        .cloned()
        .collect();
    for entry in &mut entries {
        entry
            .fields
            .0
            .retain(|path| value_at(after, path).is_some() && !changed.contains(path));
    }
    if !changed.is_empty() {
        let is_mine = |entry: &Managed| {
            entry.manager == manager
                && entry.operation == "Update"
                && entry.subresource == subresource
        };
        let api_version = after
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        match entries.iter_mut().find(|entry| is_mine(entry)) {
            Some(entry) => {
                entry.fields.0.extend(changed);
                entry.time = now.to_owned();
            }
            None => entries.push(Managed {
                manager: manager.to_owned(),
                operation: "Update".to_owned(),
                subresource: subresource.to_owned(),
                api_version,
                time: now.to_owned(),
                fields: FieldSet(changed.into_iter().collect()),
            }),
        }
    }
    set_managed(after, &entries);
}

fn dotted(path: &[String]) -> String {
    path.iter()
        .map(|element| match element.split_once(':') {
            Some(("f", name)) => format!(".{name}"),
            Some(("k", keys)) => {
                let inner = keys
                    .trim_start_matches('{')
                    .trim_end_matches('}')
                    .replace("\":", "\"=");
                format!("[{}]", inner.replace("\"=", "=").replacen('"', "", 1))
            }
            _ => format!("[{element}]"),
        })
        .collect()
}

fn merge(
    live: &mut Value,
    applied: &Value,
    path: &mut Vec<String>,
    list_parent: Option<&str>,
    custom: bool,
) {
    let name = path.last().cloned();
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) => {
            let parent = path.iter().rev().nth(1).cloned();
            let atomic = name
                .as_deref()
                .is_some_and(|name| is_atomic_map(parent.as_deref(), name, custom));
            if atomic {
                *live = applied.clone();
                return;
            }
            merge_maps(live, applied, path, name.as_deref().or(list_parent), custom);
        }
        (Value::Array(live), Value::Array(applied)) => {
            let kind = list_type(list_parent, name.as_deref().unwrap_or_default(), custom);
            match kind {
                ListType::Atomic => *live = applied.clone(),
                ListType::Set => {
                    for item in applied {
                        if !live.contains(item) {
                            live.push(item.clone());
                        }
                    }
                }
                ListType::Map(keys) => {
                    for item in applied {
                        let element = key_element(item, &keys);
                        match live
                            .iter_mut()
                            .find(|have| key_element(have, &keys) == element)
                        {
                            Some(Value::Object(have)) => {
                                if let Value::Object(item) = item {
                                    merge_maps(have, item, path, name.as_deref(), custom);
                                }
                            }
                            _ => live.push(item.clone()),
                        }
                    }
                }
            }
        }
        (live, applied) => *live = applied.clone(),
    }
}

fn merge_maps(
    live: &mut Map<String, Value>,
    applied: &Map<String, Value>,
    path: &mut Vec<String>,
    list_parent: Option<&str>,
    custom: bool,
) {
    for (key, value) in applied {
        match live.get_mut(key) {
            Some(have) => {
                path.push(key.clone());
                merge(have, value, path, list_parent, custom);
                path.pop();
            }
            None => {
                live.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec})
    }

    fn ssa(live: &Value, spec: &Value, manager: &str, force: bool) -> Result<Value, Vec<Conflict>> {
        apply(live, &object(spec), manager, force, false, "now")
    }

    #[test]
    fn owners_conflicts_force_and_removal() {
        let empty = object(&json!({}));
        let first = ssa(&empty, &json!({"replicas": 1, "paused": true}), "a", false).unwrap();
        let conflict = ssa(&first, &json!({"replicas": 2}), "b", false).unwrap_err();
        assert_eq!(
            conflict,
            [Conflict {
                manager: "a".into(),
                field: ".spec.replicas".into()
            }]
        );
        assert!(
            ssa(&first, &json!({"replicas": 1}), "b", false).is_ok(),
            "equal is shared"
        );
        let forced = ssa(&first, &json!({"replicas": 2}), "b", true).unwrap();
        assert_eq!(forced.pointer("/spec/replicas"), Some(&json!(2)));
        let dropped = ssa(&forced, &json!({"replicas": 2}), "a", false).unwrap();
        assert_eq!(
            dropped.pointer("/spec/paused"),
            None,
            "what a manager drops goes"
        );
        assert_eq!(
            ssa(&dropped, &json!({"replicas": 2}), "a", false).unwrap(),
            dropped,
            "no-op"
        );
    }

    #[test]
    fn lists_merge_by_their_keys() {
        let empty = object(&json!({}));
        let pod = |containers: Value| json!({"template": {"spec": {"containers": containers}}});
        let first = ssa(
            &empty,
            &pod(json!([{"name": "x", "image": "1"}])),
            "a",
            false,
        )
        .unwrap();
        let both = ssa(
            &first,
            &pod(json!([{"name": "y", "image": "2"}])),
            "b",
            false,
        )
        .unwrap();
        let containers = both.pointer("/spec/template/spec/containers").unwrap();
        assert_eq!(containers.as_array().map(Vec::len), Some(2));
        let left = ssa(&both, &pod(json!([])), "b", false).unwrap();
        let containers = left.pointer("/spec/template/spec/containers").unwrap();
        assert_eq!(containers, &json!([{"name": "x", "image": "1"}]));
    }

    #[test]
    fn field_sets_go_round() {
        let value = object(&json!({"template": {"spec": {"containers": [
            {"name": "x", "ports": [{"containerPort": 80}], "args": ["a"]}
        ]}}, "selector": {"matchLabels": {"a": "b"}}}));
        let set = FieldSet::of(&value, false);
        assert_eq!(FieldSet::from_value(&set.to_value()), set);
        assert!(
            set.to_value()
                .to_string()
                .contains(r#"k:{\"containerPort\":80,\"protocol\":\"TCP\"}"#)
        );
    }
}
