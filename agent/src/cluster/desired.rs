//! Turns manifests into objects to apply: namespace filled in, marked, and stripped of fields that
//! the server owns. Pure.

use std::collections::BTreeSet;

use base64::Engine as _;
use flotilla_render::Manifest;
use flotilla_shared::digest::Digest;
use flotilla_shared::object::{ObjectNames, ObjectRef};
use serde_json::{Map, Value, json};

use crate::observe::facts::is_aggregating;
use crate::plan::{APPLICATION_ANNOTATION, Desired, HOOK_ANNOTATION};

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

/// kubectl's copy of an earlier configuration is not part of the configuration.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Longest name of a Job, which becomes a label of its pods.
const MAX_NAME: usize = 63;

/// Values shared by all objects of an application.
#[derive(Debug, Clone)]
pub struct ApplicationDefaults<'a> {
    pub application: &'a str,
    /// For namespaced objects that name none.
    pub default_namespace: &'a str,
    /// Digest of the application's content; hooks run once for each.
    pub content: Digest,
    /// Workloads whose number of replicas is set by an autoscaler of the same content.
    pub autoscaled: &'a BTreeSet<ObjectRef>,
}

/// Prepares a manifest. `namespaced` says whether its kind is namespaced; if that is not known yet
/// (its definition comes in the same commit), the manifest decides.
#[must_use]
pub fn desired(
    manifest: &Manifest,
    setting: &ApplicationDefaults<'_>,
    namespaced: Option<bool>,
) -> Desired {
    let mut value = manifest.value.clone();
    let namespace = match namespaced {
        Some(false) => String::new(),
        Some(true) if manifest.namespace().is_empty() => setting.default_namespace.to_owned(),
        Some(true) | None => manifest.namespace().to_owned(),
    };
    let mut object = ObjectRef::from(ObjectNames {
        namespace,
        ..manifest.object().into()
    });
    let is_aggregating = is_aggregating(&value);
    if let Value::Object(root) = &mut value {
        root.remove("status");
        if object.kind == "Secret" && object.group.is_empty() {
            encode_string_data(root);
        }
        if setting.autoscaled.contains(&object)
            && let Some(Value::Object(spec)) = root.get_mut("spec")
        {
            spec.remove("replicas");
        }
        if is_aggregating {
            // Kubernetes aggregates the rules itself and overwrites what others write there.
            root.remove("rules");
        }
        if let Some(Value::Object(metadata)) = root.get_mut("metadata") {
            let is_hook = metadata
                .get("annotations")
                .is_some_and(|annotations| annotations.get(HOOK_ANNOTATION).is_some());
            if is_hook {
                object = ObjectRef::from(ObjectNames {
                    name: hook_name(&object.name, setting.content),
                    ..object.into()
                });
                metadata.insert("name".to_owned(), json!(object.name));
            }
            set_owner(metadata, &object.namespace, setting.application);
        }
    }
    Desired::new(object, manifest.version().to_owned(), &value)
}

fn set_owner(metadata: &mut Map<String, Value>, namespace: &str, application: &str) {
    for field in SERVER_FIELDS {
        metadata.remove(field);
    }
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), json!(namespace));
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

/// Jobs cannot be changed, and a hook runs once for each content: so each content has its own Job.
fn hook_name(name: &str, content: Digest) -> String {
    let suffix = &content.to_string()[..8];
    let mut name = name.to_owned();
    while name.len() + 1 + suffix.len() > MAX_NAME {
        name.pop();
    }
    format!("{name}-{suffix}")
}

/// `stringData` is write-only: the server stores it as `data`. What cannot be read back cannot be
/// compared, and server-side apply cannot remove it.
fn encode_string_data(root: &mut Map<String, Value>) {
    let Some(Value::Object(plain)) = root.remove("stringData") else {
        return;
    };
    let data = root.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = json!({});
    }
    if let Value::Object(data) = data {
        for (key, value) in plain {
            if let Value::String(text) = value {
                let encoded = base64::engine::general_purpose::STANDARD.encode(text);
                data.insert(key, Value::String(encoded));
            } else {
                // Passed through: the API server refuses it with the same reason as it would the original.
                data.insert(key, value);
            }
        }
    }
}

/// Workloads that an autoscaler among `manifests` scales: their number of replicas is its to set (A3).
#[must_use]
pub fn autoscaled(manifests: &[Manifest], default_namespace: &str) -> BTreeSet<ObjectRef> {
    let scalers = manifests
        .iter()
        .filter(|manifest| is_scaler(manifest.group(), manifest.kind()));
    scalers
        .filter_map(|scaler| {
            let namespace = match scaler.namespace() {
                "" => default_namespace,
                namespace => namespace,
            };
            scale_target(scaler.group(), namespace, &scaler.value)
        })
        .collect()
}

/// Kinds of autoscalers, by group and kind.
pub(super) const SCALERS: [(&str, &str); 2] = [
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("keda.sh", "ScaledObject"),
];

/// Whether objects of a kind set others' number of replicas.
pub(super) fn is_scaler(group: &str, kind: &str) -> bool {
    SCALERS.contains(&(group, kind))
}

/// Returns the scale target of an autoscaler.
pub(super) fn scale_target(group: &str, namespace: &str, scaler: &Value) -> Option<ObjectRef> {
    let target = scaler.pointer("/spec/scaleTargetRef")?;
    let text = |key: &str| target.get(key).and_then(Value::as_str);
    let is_keda = group == "keda.sh";
    let api_version = text("apiVersion").or(is_keda.then_some("apps/v1"))?;
    Some(ObjectRef::from(ObjectNames {
        group: api_version
            .split_once('/')
            .map_or("", |(group, _)| group)
            .to_owned(),
        kind: text("kind").or(is_keda.then_some("Deployment"))?.to_owned(),
        namespace: namespace.to_owned(),
        name: text("name")?.to_owned(),
    }))
}
