//! Validation of built-in kinds, as far as a GitOps agent can encounter it.

mod change;
mod metadata;
mod workload;

pub(crate) use workload::hidden_variables;

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::schema::{Schema, Shape};
use crate::status::{Cause, Failure, failure, invalid};
use crate::structural;

pub(crate) use change::change;

/// etcd's limit on the size of an object.
const MAX_OBJECT: usize = 1_572_864;

/// Validates an object that is about to be stored.
pub(crate) fn object(
    kind: &Kind,
    schema: &Schema,
    object: &Value,
    before: Option<&Value>,
) -> Result<(), Failure> {
    let name = text(object, "/metadata/name");
    let mut causes = metadata::check(kind, object);
    if kind.custom {
        causes.extend(structural::validate(schema, object));
    } else {
        // An unchanged spec is not validated again, as it was accepted when it was stored.
        let is_new = before.is_none_or(|before| before.get("spec") != object.get("spec"));
        if is_new {
            specific(kind, object, &mut causes);
            let mut missing = Vec::new();
            required(schema, object, "", &mut missing);
            for cause in missing {
                if !causes.iter().any(|have| have.field == cause.field) {
                    causes.push(cause);
                }
            }
        }
    }
    if let Some(before) = before {
        causes.extend(change(kind, before, object));
    }
    if !causes.is_empty() {
        return Err(invalid(&kind.group, &kind.kind, name, &causes));
    }
    if object.to_string().len() > MAX_OBJECT {
        return Err(failure(500, "", "etcdserver: request is too large"));
    }
    Ok(())
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn specific(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ConfigMap" | "Secret") => {
            for field in ["data", "binaryData"] {
                let map = object.get(field).and_then(Value::as_object);
                for key in map.into_iter().flatten().map(|(key, _)| key) {
                    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                    if key.is_empty() || key.len() > 253 || !key.chars().all(good) {
                        causes.push(Cause::invalid(
                            format!("{field}[{key}]"),
                            &json!(key),
                            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
                             (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation \
                             is '[-._a-zA-Z0-9]+')",
                        ));
                    }
                }
            }
        }
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => {
            workload::selector(object, causes);
            workload::template(object, "/spec/template/spec", "spec.template.spec", causes);
        }
        ("batch", "Job") => {
            workload::template(object, "/spec/template/spec", "spec.template.spec", causes);
            workload::job_restart(object, "/spec/template/spec", "spec.template.spec", causes);
        }
        ("batch", "CronJob") => {
            let pointer = "/spec/jobTemplate/spec/template/spec";
            let path = "spec.jobTemplate.spec.template.spec";
            if text(object, "/spec/schedule").is_empty() {
                causes.push(Cause::required("spec.schedule", ""));
            }
            workload::template(object, pointer, path, causes);
            workload::job_restart(object, pointer, path, causes);
        }
        ("", "Pod") => workload::template(object, "/spec", "spec", causes),
        ("", "Service") => service(object, causes),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object, causes),
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => webhooks(object, causes),
        _ => {}
    }
}

fn webhooks(object: &Value, causes: &mut Vec<Cause>) {
    let list = object.get("webhooks").and_then(Value::as_array);
    for (index, hook) in list.into_iter().flatten().enumerate() {
        let effects = text(hook, "/sideEffects");
        let allowed = ["None", "NoneOnDryRun"];
        if !effects.is_empty() && !allowed.contains(&effects) {
            let path = format!("webhooks[{index}].sideEffects");
            causes.push(Cause::unsupported(path, &json!(effects), &allowed));
        }
    }
}

fn service(object: &Value, causes: &mut Vec<Cause>) {
    let kind = text(object, "/spec/type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        causes.push(Cause::unsupported("spec.type", &json!(kind), &kinds));
    }
    if kind == "ExternalName" {
        if text(object, "/spec/externalName").is_empty() {
            causes.push(Cause::required("spec.externalName", ""));
        }
        return;
    }
    let headless = text(object, "/spec/clusterIP") == "None";
    let ports = object.pointer("/spec/ports").and_then(Value::as_array);
    let ports = ports.map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        let number = port.get("port").and_then(Value::as_i64).unwrap_or(0);
        let name = text(port, "/name");
        if ports.len() > 1 && name.is_empty() {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        }
        if !name.is_empty() && ports.iter().take(index).any(|p| text(p, "/name") == name) {
            causes.push(Cause::duplicate(
                format!("spec.ports[{index}].name"),
                &json!(name),
            ));
        }
        if !(1..=65535).contains(&number) {
            causes.push(Cause::invalid(
                format!("spec.ports[{index}].port"),
                &json!(number),
                "must be between 1 and 65535, inclusive",
            ));
        }
    }
}

fn definition(object: &Value, causes: &mut Vec<Cause>) {
    let (plural, group) = (
        text(object, "/spec/names/plural"),
        text(object, "/spec/group"),
    );
    let name = text(object, "/metadata/name");
    let expected = format!("{plural}.{group}");
    if name != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(name),
            &format!("must be spec.names.plural+\".\"+spec.group: \"{expected}\""),
        ));
    }
    let scope = text(object, "/spec/scope");
    if scope.is_empty() {
        causes.push(Cause::required("spec.scope", ""));
    } else if !matches!(scope, "Cluster" | "Namespaced") {
        let scopes = ["Cluster", "Namespaced"];
        causes.push(Cause::unsupported("spec.scope", &json!(scope), &scopes));
    }
    let versions = object.pointer("/spec/versions").and_then(Value::as_array);
    let versions = versions.map(Vec::as_slice).unwrap_or_default();
    for (index, version) in versions.iter().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, "schemas are required"));
        }
    }
    let is_stored = |v: &&Value| v.get("storage") == Some(&Value::Bool(true));
    if versions.iter().filter(is_stored).count() != 1 {
        let all = object
            .pointer("/spec/versions")
            .cloned()
            .unwrap_or_default();
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &all, why));
    }
}

/// Fields that the OpenAPI document requires and that are empty.
fn required(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match (schema.shape(), value) {
        (Shape::Object(object), Value::Object(map)) => {
            let place = |name: &str| {
                if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path}.{name}")
                }
            };
            for name in &object.required {
                let is_empty = match map.get(name) {
                    None | Some(Value::Null) => true,
                    Some(Value::String(text)) => text.is_empty(),
                    Some(_) => false,
                };
                if is_empty && name != "message" {
                    causes.push(Cause::required(place(name), ""));
                }
            }
            for (name, value) in map {
                let is_ours = path.is_empty() && matches!(name.as_str(), "status" | "metadata");
                if let (false, Some(field)) = (is_ours, object.fields.get(name)) {
                    required(field, value, &place(name), causes);
                }
            }
        }
        (Shape::List(list), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                required(&list.items, value, &format!("{path}[{index}]"), causes);
            }
        }
        _ => {}
    }
}
