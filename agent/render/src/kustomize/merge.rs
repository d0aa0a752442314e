//! Strategic merge and JSON 6902, as far as they can be done exactly; the rest is refused.

use serde_json::{Map, Value};

/// The merge key of a built-in kind's list, by the list's field name.
fn merge_key(field: &str, items: &[Value]) -> Option<&'static str> {
    Some(match field {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "hostAliases" => "ip",
        "ports" if items.iter().any(|item| item.get("containerPort").is_some()) => "containerPort",
        "ports" => "port",
        _ => return None,
    })
}

/// Whether `patch` holds a strategic merge directive other than `$patch: delete`.
fn foreign_directive(patch: &Map<String, Value>) -> Option<&String> {
    patch.keys().find(|key| key.starts_with('$'))
}

/// Merges `patch` into `target`; `null` removes a key.
pub(super) fn strategic(target: &mut Value, patch: &Value, builtin: bool) -> Result<(), String> {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    if let Some(directive) = foreign_directive(changes) {
        return Err(format!(
            "the directive {directive} here is not supported by this version"
        ));
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else {
        return Ok(());
    };
    for (key, change) in changes {
        match change {
            Value::Null => {
                fields.remove(key);
            }
            Value::Array(items) => {
                let old = match fields.remove(key) {
                    Some(Value::Array(old)) => old,
                    _ => Vec::new(),
                };
                fields.insert(key.clone(), Value::Array(list(key, old, items, builtin)?));
            }
            change => {
                let delete = change.get("$patch").and_then(Value::as_str) == Some("delete");
                if delete {
                    fields.remove(key);
                } else if change.is_object() {
                    strategic(
                        fields.entry(key.clone()).or_insert(Value::Null),
                        change,
                        builtin,
                    )?;
                } else {
                    fields.insert(key.clone(), change.clone());
                }
            }
        }
    }
    Ok(())
}

fn list(
    field: &str,
    mut old: Vec<Value>,
    items: &[Value],
    builtin: bool,
) -> Result<Vec<Value>, String> {
    let doubtful = [
        "finalizers",
        "ownerReferences",
        "secrets",
        "ephemeralContainers",
        "resourceClaims",
        "topologySpreadConstraints",
        "conditions",
    ];
    if doubtful.contains(&field) {
        return Err(format!(
            "patches of the list {field} are not supported by this version; use JSON 6902"
        ));
    }
    let both: Vec<Value> = old.iter().chain(items).cloned().collect();
    let key = if builtin {
        merge_key(field, &both)
    } else {
        None
    };
    let Some(key) = key else {
        let directive = items
            .iter()
            .filter_map(Value::as_object)
            .any(|item| foreign_directive(item).is_some());
        if directive {
            return Err(format!(
                "a directive in the list {field} has no merge key to act by"
            ));
        }
        return Ok(items.to_vec());
    };
    let mut added = Vec::new();
    for item in items {
        let Some(id) = item.get(key) else {
            return Err(format!("an item of {field} lacks its merge key {key}"));
        };
        if field == "ports"
            && both
                .iter()
                .filter(|other| other.get(key) == Some(id))
                .count()
                > 2
        {
            return Err(format!(
                "{field} has {id} more than once, so {key} alone does not tell them apart"
            ));
        }
        let at = old.iter().position(|other| other.get(key) == Some(id));
        let directive = item.get("$patch").and_then(Value::as_str);
        match (at, directive) {
            (Some(at), Some("delete")) => {
                old.remove(at);
            }
            (None, Some("delete")) => {}
            (Some(at), None) => strategic(&mut old[at], item, true)?,
            (None, None) => {
                let mut fresh = Value::Null;
                strategic(&mut fresh, item, true)?;
                added.push(fresh);
            }
            (_, Some(other)) => return Err(format!("$patch: {other} is not supported in {field}")),
        }
    }
    // kustomize puts what a patch adds before what was there.
    added.extend(old);
    Ok(added)
}

/// Applies JSON 6902 operations `add`, `remove`, `replace` and `test`.
pub(super) fn json6902(target: &mut Value, operations: &[Value]) -> Result<(), String> {
    for operation in operations {
        let text = |key: &str| operation.get(key).and_then(Value::as_str);
        let op = text("op").ok_or("an operation has no op")?;
        let path = text("path").ok_or("an operation has no path")?;
        let value = || {
            operation
                .get("value")
                .cloned()
                .ok_or(format!("{op} {path} has no value"))
        };
        let (parent, last) = path
            .rsplit_once('/')
            .ok_or(format!("{path:?} is no JSON pointer"))?;
        let last = last.replace("~1", "/").replace("~0", "~");
        if op == "test" {
            if target.pointer(path) != Some(&value()?) {
                return Err(format!("test of {path} failed"));
            }
            continue;
        }
        let missing = || format!("{op} {path}: there is no such place");
        match target.pointer_mut(parent).ok_or_else(missing)? {
            Value::Object(fields) => match op {
                "add" => drop(fields.insert(last, value()?)),
                "replace" => *fields.get_mut(&last).ok_or_else(missing)? = value()?,
                "remove" => drop(fields.remove(&last).ok_or_else(missing)?),
                _ => return Err(format!("operation {op} is not supported by this version")),
            },
            Value::Array(items) => {
                let end = items.len();
                let index = if last == "-" && op == "add" {
                    end
                } else {
                    last.parse::<usize>().map_err(|_| missing())?
                };
                match op {
                    "add" if index <= end => items.insert(index, value()?),
                    "replace" if index < end => items[index] = value()?,
                    "remove" if index < end => drop(items.remove(index)),
                    "add" | "replace" | "remove" => return Err(missing()),
                    _ => return Err(format!("operation {op} is not supported by this version")),
                }
            }
            _ => return Err(missing()),
        }
    }
    Ok(())
}
