//! The scale subresource (`autoscaling/v1` Scale).

use serde_json::{Value, json};

use super::{Call, Outcome, existing, text, write};
use crate::fieldset::Set;
use crate::kinds::{Kind, Scale, builtin_scale, scale_schema};
use crate::managed;
use crate::patch::patch;
use crate::status::{Failure, not_allowed};
use crate::store::Store;

fn shape(kind: &Kind, version: &str) -> Scale {
    kind.versions
        .get(version)
        .and_then(|version| version.scale.clone())
        .unwrap_or_else(builtin_scale)
}

/// The scale of an object.
fn of(kind: &Kind, version: &str, object: &Value) -> Value {
    let shape = shape(kind, version);
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let selector = match &shape.selector {
        Some(pointer) => text(object, pointer).to_owned(),
        None => {
            let labels = object
                .pointer("/spec/selector/matchLabels")
                .and_then(Value::as_object);
            let pairs: Vec<String> = labels
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            pairs.join(",")
        }
    };
    let mut metadata = serde_json::Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let mut status = json!({ "replicas": number(&shape.status) });
    if let (false, Value::Object(status)) = (selector.is_empty(), &mut status) {
        status.insert("selector".to_owned(), json!(selector));
    }
    let desired = number(&shape.spec);
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": if desired == 0 { json!({}) } else { json!({ "replicas": desired }) },
        "status": status,
    })
}

fn set(object: &mut Value, pointer: &str, number: i64) {
    let mut place = object;
    let mut parts = pointer.trim_start_matches('/').split('/').peekable();
    while let Some(part) = parts.next() {
        let Value::Object(map) = place else { return };
        if parts.peek().is_none() {
            map.insert(part.to_owned(), json!(number));
            return;
        }
        place = map.entry(part.to_owned()).or_insert_with(|| json!({}));
    }
}

pub(super) fn scale(store: &mut Store, kind: &Kind, call: &Call) -> Result<Outcome, Failure> {
    let target = &call.target;
    let (key, before) = existing(store, kind, call)?;
    let have = of(kind, &target.version, &before);
    let desired = match call.verb {
        "get" => return Ok(Outcome::new(200, have)),
        "update" => call.body.clone(),
        "patch" => patch(
            &call.content_type,
            &scale_schema(),
            false,
            &have,
            &call.body,
        )?,
        _ => return Err(not_allowed()),
    };
    let number = desired.pointer("/spec/replicas").and_then(Value::as_i64);
    let mut after = (*before).clone();
    set(
        &mut after,
        &shape(kind, &target.version).spec,
        number.unwrap_or(0),
    );
    let asked = text(&desired, "/metadata/resourceVersion");
    if !asked.is_empty() && asked != text(&before, "/metadata/resourceVersion") {
        return Err(crate::status::modified(kind, &target.name));
    }
    let schema = kind
        .versions
        .get(&target.version)
        .map(|version| std::sync::Arc::clone(&version.schema))
        .unwrap_or_default();
    let api_version = kind.api_version(&target.version);
    let write = managed::Write {
        schema: &schema,
        api_version: &api_version,
        manager: call.manager(),
        subresource: "scale",
        reset: Set::default(),
        // The API server records no time in this entry.
        now: "",
    };
    let fields = after.pointer("/metadata/managedFields").cloned();
    managed::update(&write, &before, &mut after, fields.is_none());
    let mut done = write::store_change(store, kind, call, &key, &before, after, Vec::new())?;
    done.value = of(kind, &target.version, &done.value);
    Ok(done)
}
