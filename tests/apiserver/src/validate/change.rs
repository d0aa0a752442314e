//! Immutable fields.

use serde_json::{Value, json};

use super::text;
use crate::kinds::Kind;
use crate::status::Cause;

/// Validates a change of a stored object.
pub(crate) fn change(kind: &Kind, before: &Value, after: &Value) -> Vec<Cause> {
    let mut causes = late_finalizers(before, after);
    let mut immutable = |pointer: &str, why: &str| {
        let (old, new) = (before.pointer(pointer), after.pointer(pointer));
        if old != new {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            let value = new.unwrap_or(&Value::Null);
            causes.push(Cause::invalid(field, value, why));
        }
    };
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") => {
            immutable("/spec/selector", "field is immutable");
        }
        ("batch", "Job") => {
            immutable("/spec/completionMode", "field is immutable");
            immutable("/spec/selector", "field is immutable");
            immutable("/spec/template", "field is immutable");
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            immutable("/roleRef", "cannot change roleRef");
        }
        ("", "Secret") => immutable("/type", "field is immutable"),
        ("scheduling.k8s.io", "PriorityClass") => {
            immutable("/value", "field is immutable");
            immutable("/preemptionPolicy", "field is immutable");
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            immutable("/spec/scope", "field is immutable");
            immutable("/spec/names/kind", "field is immutable");
        }
        _ => {}
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "StatefulSet") => stateful_set(before, after, &mut causes),
        ("", "PersistentVolumeClaim") => claim(before, after, &mut causes),
        ("", "Service") => address(before, after, &mut causes),
        ("", "ConfigMap" | "Secret") => locked(before, after, &mut causes),
        ("", "Pod") => pod(before, after, &mut causes),
        ("storage.k8s.io", "StorageClass") => {
            for field in ["provisioner", "reclaimPolicy", "volumeBindingMode"] {
                if before.get(field) != after.get(field) {
                    let value = after.get(field).unwrap_or(&Value::Null);
                    causes.push(Cause::invalid(field, value, "field is immutable"));
                }
            }
            if before.get("parameters") != after.get("parameters") {
                let why = "updates to parameters are forbidden.";
                causes.push(Cause::forbidden("parameters", why));
            }
        }
        _ => {}
    }
    causes
}

/// An object that is being deleted cannot get new finalizers. The API server reports this twice.
fn late_finalizers(before: &Value, after: &Value) -> Vec<Cause> {
    if before.pointer("/metadata/deletionTimestamp").is_none() {
        return Vec::new();
    }
    let list = |object: &Value| {
        let list = object.pointer("/metadata/finalizers");
        list.and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let old = list(before);
    let new: Vec<String> = list(after)
        .iter()
        .filter(|name| !old.contains(name))
        .map(ToString::to_string)
        .collect();
    if new.is_empty() {
        return Vec::new();
    }
    let cause = Cause::forbidden(
        "metadata.finalizers",
        &format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            new.join(", ")
        ),
    );
    vec![cause.clone(), cause]
}

fn without(value: &Value, fields: &[&str]) -> Value {
    let mut spec = value.get("spec").cloned().unwrap_or_default();
    if let Value::Object(spec) = &mut spec {
        for field in fields {
            spec.remove(*field);
        }
    }
    spec
}

fn stateful_set(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let free = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    if without(before, &free) != without(after, &free) {
        causes.push(Cause::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
             'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
             'minReadySeconds' are forbidden",
        ));
    }
}

fn claim(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    // The volume name is set when the claim is bound.
    let mut free = vec!["volumeName", "resources", "volumeAttributesClassName"];
    if before.pointer("/spec/storageClassName").is_none() {
        free.push("storageClassName");
    }
    let is_bound = text(before, "/status/phase") == "Bound";
    let resized = before.pointer("/spec/resources") != after.pointer("/spec/resources");
    if without(before, &free) != without(after, &free) || (resized && !is_bound) {
        causes.push(Cause::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName \
             for bound claims",
        ));
    }
}

fn address(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let (old, new) = (
        text(before, "/spec/clusterIP"),
        text(after, "/spec/clusterIP"),
    );
    let stays =
        text(before, "/spec/type") != "ExternalName" && text(after, "/spec/type") != "ExternalName";
    if stays && !old.is_empty() && old != new {
        let all = json!([new]);
        causes.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &all,
            "may not change once set",
        ));
    }
}

fn locked(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    if before.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    for field in ["immutable", "data", "binaryData"] {
        if before.get(field) != after.get(field) {
            causes.push(Cause::forbidden(field, why));
        }
    }
}

fn pod(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let bare = |pod: &Value| {
        let mut spec = without(
            pod,
            &[
                "activeDeadlineSeconds",
                "tolerations",
                "terminationGracePeriodSeconds",
            ],
        );
        for field in ["containers", "initContainers"] {
            for container in spec
                .get_mut(field)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
                .filter_map(Value::as_object_mut)
            {
                container.remove("image");
            }
        }
        spec
    };
    if bare(before) != bare(after) {
        causes.push(Cause::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
             additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set \
             to 1 if it was previously negative)",
        ));
    }
}
