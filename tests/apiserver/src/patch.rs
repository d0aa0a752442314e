//! Patch types other than apply: RFC 6902, RFC 7396, and strategic merge (with the merge keys of the built-in types).

use serde_json::{Map, Value};

use crate::schema::{Schema, any};
use crate::status::{Failure, bad_request, rejected, unsupported_media_type};

/// Applies a patch of a content type.
pub(crate) fn patch(
    content_type: &str,
    schema: &Schema,
    custom: bool,
    target: &Value,
    body: &Value,
) -> Result<Value, Failure> {
    let mut after = target.clone();
    match content_type {
        "application/json-patch+json" => {
            let patch: json_patch::Patch = serde_json::from_value(body.clone())
                .map_err(|error| bad_request(format!("error decoding patch: {error}")))?;
            json_patch::patch(&mut after, &patch).map_err(|_| rejected())?;
        }
        "application/merge-patch+json" => merge(&mut after, body),
        "application/strategic-merge-patch+json" if !custom => {
            strategic(schema, &mut after, body)?;
        }
        _ => return Err(unsupported_media_type()),
    }
    Ok(after)
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

fn directive(patch: &Map<String, Value>) -> &str {
    patch
        .get("$patch")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn strategic(schema: &Schema, target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    match directive(patch) {
        "replace" => {
            let mut patch = patch.clone();
            patch.remove("$patch");
            *target = Value::Object(patch);
            return Ok(());
        }
        "delete" => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return Ok(());
    };
    if let Some(Value::Array(keys)) = patch.get("$retainKeys") {
        target.retain(|name, _| keys.iter().any(|key| key.as_str() == Some(name)));
    }
    for (name, value) in patch {
        if name.starts_with("$setElementOrder/") || name == "$retainKeys" || name == "$patch" {
            continue;
        }
        if let Some(name) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(list)) = target.get_mut(name) {
                list.retain(|item| !gone.contains(item));
            }
            continue;
        }
        let field = schema.field(name).unwrap_or_else(|| any());
        match (value, &field.merge_key) {
            (Value::Null, _) => {
                target.remove(name);
            }
            (Value::Array(items), Some(key)) => {
                let order = patch.get(&format!("$setElementOrder/{name}"));
                let list = target
                    .entry(name.clone())
                    .or_insert_with(|| Value::Array(Vec::new()));
                if !list.is_array() {
                    *list = Value::Array(Vec::new());
                }
                if let Value::Array(list) = list {
                    let before = list.clone();
                    merge_list(field.items(), list, items, key, name)?;
                    let order = order.and_then(Value::as_array).unwrap_or(items);
                    arrange(list, &before, order, key);
                }
            }
            (Value::Object(_), _) => {
                let place = target.entry(name.clone()).or_insert(Value::Null);
                strategic(field, place, value)?;
            }
            (value, _) => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
    // `$setElementOrder` also sorts a list for which the patch has no items.
    for (name, order) in patch {
        let Some(name) = name.strip_prefix("$setElementOrder/") else {
            continue;
        };
        if patch.contains_key(name) {
            continue;
        }
        let key = schema.field(name).and_then(|field| field.merge_key.clone());
        let order = order.as_array();
        if let (Some(Value::Array(list)), Some(key), Some(order)) =
            (target.get_mut(name), key, order)
        {
            let before = list.clone();
            arrange(list, &before, order, &key);
        }
    }
    Ok(())
}

fn merge_list(
    schema: &Schema,
    list: &mut Vec<Value>,
    items: &[Value],
    key: &str,
    name: &str,
) -> Result<(), Failure> {
    if key.is_empty() {
        for item in items {
            if !list.contains(item) {
                list.push(item.clone());
            }
        }
        return Ok(());
    }
    let replaces = |item: &Value| {
        item.as_object()
            .is_some_and(|item| directive(item) == "replace" && item.len() == 1)
    };
    if items.iter().any(replaces) {
        *list = items
            .iter()
            .filter(|item| !replaces(item))
            .cloned()
            .collect();
        return Ok(());
    }
    for item in items {
        let Some(fields) = item.as_object() else {
            list.push(item.clone());
            continue;
        };
        let Some(id) = fields.get(key) else {
            return Err(bad_request(format!(
                "map: {item} does not contain declared merge key: {key} ({name})"
            )));
        };
        let at = list.iter().position(|have| have.get(key) == Some(id));
        match (directive(fields), at) {
            ("delete", Some(at)) => {
                list.remove(at);
            }
            ("delete", None) => {}
            (_, Some(at)) => {
                if let Some(have) = list.get_mut(at) {
                    strategic(schema, have, item)?;
                }
            }
            (_, None) => {
                let mut fresh = Value::Object(Map::new());
                strategic(schema, &mut fresh, item)?;
                list.push(fresh);
            }
        }
    }
    Ok(())
}

/// Whether two items have the same key, or are equal plain values.
fn is_same(a: &Value, b: &Value, key: &str) -> bool {
    if key.is_empty() {
        a == b
    } else {
        a.get(key) == b.get(key)
    }
}

/// Sorts a list: items that the patch names are in the order of the patch, and items that only the server has stay
/// before the item that they preceded.
fn arrange(list: &mut Vec<Value>, before: &[Value], order: &[Value], key: &str) {
    let place =
        |list: &[Value], item: &Value| list.iter().position(|other| is_same(other, item, key));
    let (mut named, mut rest): (Vec<Value>, Vec<Value>) = std::mem::take(list)
        .into_iter()
        .partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    rest.sort_by_key(|item| place(before, item));
    let (mut named, mut rest) = (named.into_iter().peekable(), rest.into_iter().peekable());
    loop {
        let first = match (rest.peek(), named.peek()) {
            (Some(left), Some(right)) => match (place(before, left), place(before, right)) {
                (Some(left), Some(right)) if left < right => rest.next(),
                _ => named.next(),
            },
            (Some(_), None) => rest.next(),
            (None, _) => named.next(),
        };
        match first {
            Some(item) => list.push(item),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::named;
    use serde_json::json;

    #[test]
    fn lists_are_merged_by_their_key() {
        let schema = named("io.k8s.api.core.v1.PodSpec");
        let target = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "nodeSelector": {"x": "y"}});
        let body = json!({"containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
            "nodeSelector": null});
        let kind = "application/strategic-merge-patch+json";
        let after = patch(kind, &schema, false, &target, &body).unwrap();
        assert_eq!(
            after,
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "c"}]})
        );
        assert_eq!(
            patch(kind, &schema, true, &target, &body).unwrap_err().code,
            415
        );
    }
}
