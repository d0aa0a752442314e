//! Validation of pod templates and workloads.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::text;
use crate::quantity::billionths;
use crate::status::Cause;

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// The selector must exist and match the template.
pub(super) fn selector(object: &Value, causes: &mut Vec<Cause>) {
    let selector = object.pointer("/spec/selector");
    let labels = object.pointer("/spec/template/metadata/labels");
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else {
        causes.push(Cause::required("spec.selector", ""));
        mismatch(labels, causes);
        return;
    };
    let selected = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    let is_empty =
        selected.is_none_or(serde_json::Map::is_empty) && expressions.is_none_or(Vec::is_empty);
    if is_empty {
        let why = "empty selector is invalid for deployment";
        causes.push(Cause::invalid("spec.selector", &json!({}), why));
    }
    let fits = selected
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
    if !fits {
        mismatch(labels, causes);
    }
}

fn mismatch(labels: Option<&Value>, causes: &mut Vec<Cause>) {
    causes.push(Cause::invalid(
        "spec.template.metadata.labels",
        labels.unwrap_or(&Value::Null),
        "`selector` does not match template `labels`",
    ));
}

/// A pod's spec: containers with names and images, mounts of declared volumes.
pub(super) fn template(object: &Value, pointer: &str, path: &str, causes: &mut Vec<Cause>) {
    let Some(spec) = object.pointer(pointer) else {
        return;
    };
    // The claim templates of a StatefulSet become volumes of its pods.
    let claims = list(object, "/spec/volumeClaimTemplates").iter();
    let volumes: BTreeSet<&str> = list(spec, "/volumes")
        .iter()
        .map(|v| text(v, "/name"))
        .chain(claims.map(|claim| text(claim, "/metadata/name")))
        .collect();
    if list(spec, "/containers").is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut names = BTreeSet::new();
    for field in ["initContainers", "containers"] {
        for (index, container) in list(spec, &format!("/{field}")).iter().enumerate() {
            let place = format!("{path}.{field}[{index}]");
            let name = text(container, "/name");
            if name.is_empty() {
                causes.push(Cause::required(format!("{place}.name"), ""));
            } else if !names.insert(name) {
                causes.push(Cause::duplicate(format!("{place}.name"), &json!(name)));
            }
            if text(container, "/image").is_empty() {
                causes.push(Cause::required(format!("{place}.image"), ""));
            }
            for (at, mount) in list(container, "/volumeMounts").iter().enumerate() {
                let name = text(mount, "/name");
                let place = format!("{place}.volumeMounts[{at}]");
                if !name.is_empty() && !volumes.contains(name) {
                    causes.push(Cause {
                        reason: "FieldValueNotFound",
                        field: format!("{place}.name"),
                        message: format!("Not found: \"{name}\""),
                    });
                }
            }
            ports(container, &place, causes);
            resources(container, &place, causes);
        }
    }
}

/// Warnings about duplicate environment variables of a pod template.
pub(crate) fn hidden_variables(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for field in ["initContainers", "containers"] {
        let containers = list(object, &format!("/spec/template/spec/{field}"));
        for (index, container) in containers.iter().enumerate() {
            let mut seen = BTreeSet::new();
            for (at, variable) in list(container, "/env").iter().enumerate() {
                let name = text(variable, "/name");
                if !seen.insert(name) {
                    warnings.push(format!(
                        "spec.template.spec.{field}[{index}].env[{at}]: hides previous definition of \
                         \"{name}\", which may be dropped when using apply"
                    ));
                }
            }
        }
    }
    warnings
}

fn ports(container: &Value, place: &str, causes: &mut Vec<Cause>) {
    for (at, port) in list(container, "/ports").iter().enumerate() {
        let number = port.get("containerPort").and_then(Value::as_i64);
        let name = text(port, "/name");
        let mut before = list(container, "/ports").iter().take(at);
        if !name.is_empty() && before.any(|port| text(port, "/name") == name) {
            let field = format!("{place}.ports[{at}].name");
            causes.push(Cause::duplicate(field, &json!(name)));
        }
        let field = format!("{place}.ports[{at}].containerPort");
        match number.unwrap_or(0) {
            0 => causes.push(Cause::required(field, "")),
            number if (1..=65535).contains(&number) => {}
            number => causes.push(Cause::invalid(
                field,
                &json!(number),
                "must be between 1 and 65535, inclusive",
            )),
        }
    }
}

/// A request must not exceed its limit.
fn resources(container: &Value, place: &str, causes: &mut Vec<Cause>) {
    let all = |name: &str| container.pointer(&format!("/resources/{name}")).cloned();
    let (requests, limits) = (all("requests"), all("limits"));
    let requests = requests.as_ref().and_then(Value::as_object);
    for (name, requested) in requests.into_iter().flatten() {
        let requested_text = requested.as_str().unwrap_or_default();
        let limit = limits
            .as_ref()
            .and_then(|limits| limits.get(name)?.as_str());
        let Some(limit) = limit else { continue };
        if billionths(requested_text) > billionths(limit) {
            causes.push(Cause::invalid(
                format!("{place}.resources.requests"),
                requested,
                &format!("must be less than or equal to {name} limit of {limit}"),
            ));
        }
    }
}

/// Jobs do not allow the restart policy Always.
pub(super) fn job_restart(object: &Value, pointer: &str, path: &str, causes: &mut Vec<Cause>) {
    let policy = text(object, &format!("{pointer}/restartPolicy"));
    if !matches!(policy, "OnFailure" | "Never") {
        let place = format!("{path}.restartPolicy");
        let allowed = ["OnFailure", "Never"];
        let mut cause = Cause::unsupported(place.clone(), &json!(policy), &allowed);
        if policy.is_empty() || policy == "Always" {
            cause = Cause {
                reason: "FieldValueRequired",
                field: place,
                message: "Required value: valid values: \"OnFailure\", \"Never\"".to_owned(),
            };
        }
        causes.push(cause);
    }
}
