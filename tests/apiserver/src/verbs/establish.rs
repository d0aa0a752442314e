//! The controllers inside the API server that handle definitions.

use serde_json::{Value, json};

use super::text;
use crate::clock::now;
use crate::fieldset::Set;
use crate::managed::{self, Write};
use crate::store::{Key, Store};

/// Serves the kind of a definition at once, and sets its status accordingly, like kube-apiserver's controllers.
pub(super) fn establish(store: &mut Store, key: &Key, definition: &Value) {
    store.serve(definition);
    let mut names = definition
        .pointer("/spec/names")
        .cloned()
        .unwrap_or_default();
    if let Value::Object(names) = &mut names {
        names.retain(|_, value| !value.is_null());
    }
    let mut conditions = definition
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for (kind, reason, message) in [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        (
            "Established",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
    ] {
        if !conditions.iter().any(|have| text(have, "/type") == kind) {
            conditions.push(json!({
                "type": kind, "status": "True", "reason": reason, "message": message,
                "lastTransitionTime": now(),
            }));
        }
    }
    let stored = definition
        .pointer("/status/storedVersions")
        .cloned()
        .unwrap_or_default();
    let status =
        json!({"conditions": conditions, "acceptedNames": names, "storedVersions": stored});
    if definition.get("status") == Some(&status) {
        return;
    }
    let mut after = definition.clone();
    if let Value::Object(map) = &mut after {
        map.insert("status".to_owned(), status);
    }
    let (schema, now) = (
        crate::schema::named(
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        ),
        now(),
    );
    let write = Write {
        schema: &schema,
        api_version: "apiextensions.k8s.io/v1",
        manager: "kube-apiserver",
        subresource: "status",
        reset: Set::of(&[&["spec"], &["metadata"]]),
        now: &now,
    };
    managed::update(&write, definition, &mut after, false);
    store.put(key.clone(), after);
}
