//! What the API server refuses that a GitOps agent can run into.

use serde_json::Value;

use crate::kinds::Kind;
use crate::status::{Failure, bad_request, failure, invalid};

/// etcd's limit on one object.
const MAX_OBJECT: usize = 1_572_864;

/// Checks an object that is about to be stored.
pub(crate) fn object(kind: &Kind, object: &Value) -> Result<(), Failure> {
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let refuse = |why: &str| Err(invalid(&kind.kind, &kind.group, name, why));
    if name.is_empty() {
        return refuse("metadata.name: Required value: name or generateName is required");
    }
    let rbac = kind.group == "rbac.authorization.k8s.io";
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let well_formed = name.len() <= 253
        && name.chars().all(good)
        && name.starts_with(ends)
        && name.ends_with(ends);
    if !rbac && !well_formed {
        return refuse(&format!(
            "metadata.name: Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of \
             lower case alphanumeric characters, '-' or '.', and must start and end with an \
             alphanumeric character"
        ));
    }
    if object.to_string().len() > MAX_OBJECT {
        return Err(failure(
            500,
            "InternalError",
            "etcdserver: request is too large",
        ));
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ConfigMap") => text_values(object, "data", "ConfigMap"),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => {
            let labels = object.pointer("/spec/template/metadata/labels");
            let wanted = object
                .pointer("/spec/selector/matchLabels")
                .and_then(Value::as_object);
            let Some(wanted) = wanted else {
                return refuse("spec.selector: Required value");
            };
            let fits = wanted
                .iter()
                .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
            if !fits {
                return refuse(
                    "spec.template.metadata.labels: Invalid value: `selector` does not match template \
                     `labels`",
                );
            }
            Ok(())
        }
        ("", "Service") => {
            let external =
                object.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName");
            let headless =
                object.pointer("/spec/clusterIP").and_then(Value::as_str) == Some("None");
            let ports = object.pointer("/spec/ports").and_then(Value::as_array);
            if !external && !headless && ports.is_none_or(Vec::is_empty) {
                return refuse("spec.ports: Required value");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn text_values(object: &Value, field: &str, kind: &str) -> Result<(), Failure> {
    let values = object
        .get(field)
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    for (key, value) in values {
        let word = match value {
            Value::String(_) | Value::Null => continue,
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        return Err(bad_request(format!(
            "{kind} in version \"v1\" cannot be handled as a {kind}: json: cannot unmarshal {word} into \
             Go struct field {kind}.{field}.{key} of type string"
        )));
    }
    Ok(())
}

/// Checks a change for fields that cannot change.
pub(crate) fn change(kind: &Kind, before: &Value, after: &Value) -> Result<(), Failure> {
    let name = before
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let fields: &[&str] = match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => &["/spec/selector"],
        ("batch", "Job") => &["/spec/template", "/spec/selector"],
        ("", "PersistentVolumeClaim") => &["/spec/accessModes", "/spec/storageClassName"],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &["/roleRef"],
        ("", "Service") => &["/spec/clusterIP"],
        _ => &[],
    };
    for field in fields {
        let (old, new) = (before.pointer(field), after.pointer(field));
        if old.is_some() && old != new {
            let dotted = field.trim_start_matches('/').replace('/', ".");
            let value = new.map(ToString::to_string).unwrap_or_default();
            return Err(invalid(
                &kind.kind,
                &kind.group,
                name,
                &format!("{dotted}: Invalid value: {value}: field is immutable"),
            ));
        }
    }
    let locked = before.get("immutable") == Some(&Value::Bool(true));
    if locked && before.get("data") != after.get("data") {
        return Err(invalid(
            &kind.kind,
            &kind.group,
            name,
            "data: Forbidden: field is immutable when `immutable` is set",
        ));
    }
    Ok(())
}
