//! From manifests to what is applied: namespace filled in, marked, stripped of what is the server's.
//! Pure.

use flotilla_render::Manifest;
use flotilla_shared::object::ObjectRef;
use serde_json::{Value, json};

use crate::plan::{APPLICATION_ANNOTATION, Desired};

/// Fields of metadata that only a server may set; in Git they are left over from an export (A13).
const SERVER_FIELDS: [&str; 8] = [
    "managedFields",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
    "uid",
    "generation",
    "selfLink",
];

/// kubectl's copy of an earlier configuration is no configuration.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Prepares a manifest. `namespaced` tells whether its kind lives in a namespace; where that is not
/// known yet (its definition comes in the same commit) the manifest's own word is taken.
#[must_use]
pub fn desired(
    manifest: &Manifest,
    application: &str,
    default_namespace: &str,
    namespaced: Option<bool>,
) -> Desired {
    let mut value = manifest.value.clone();
    let namespace = match namespaced {
        Some(false) => String::new(),
        Some(true) if manifest.namespace().is_empty() => default_namespace.to_owned(),
        Some(true) | None => manifest.namespace().to_owned(),
    };
    if let Value::Object(root) = &mut value {
        root.remove("status");
        if let Some(Value::Object(metadata)) = root.get_mut("metadata") {
            for field in SERVER_FIELDS {
                metadata.remove(field);
            }
            if namespace.is_empty() {
                metadata.remove("namespace");
            } else {
                metadata.insert("namespace".to_owned(), Value::String(namespace.clone()));
            }
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            if !annotations.is_object() {
                *annotations = json!({});
            }
            if let Value::Object(annotations) = annotations {
                annotations.remove(LAST_APPLIED);
                annotations.insert(APPLICATION_ANNOTATION.to_owned(), json!(application));
            }
        }
    }
    Desired {
        object: ObjectRef {
            namespace,
            ..manifest.object()
        },
        version: manifest.version().to_owned(),
        value,
    }
}
