//! The strategies of the API server before an object is stored: fields that only the server writes, values that it
//! allocates, and fields that a request cannot change.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::schema::Schema;
use crate::store::Store;
use crate::{decode, defaults};

/// First node port to allocate.
const NODE_PORTS: u64 = 30_000;

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn spec(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.get_mut("spec").and_then(Value::as_object_mut)
}

/// The zero value of the kind's Go type.
pub(crate) fn empty(kind: &Kind, schema: &Schema) -> Value {
    if kind.custom {
        return json!({ "metadata": {} });
    }
    decode::decode(schema, &json!({}), &mut Vec::new()).unwrap_or_else(|_| json!({"metadata": {}}))
}

/// Whether the kind counts generations of its spec.
pub(crate) fn has_generation(kind: &Kind) -> bool {
    let pair = (kind.group.as_str(), kind.kind.as_str());
    kind.custom
        || matches!(
            pair,
            (
                "apps",
                "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"
            ) | ("batch" | "policy" | "admissionregistration.k8s.io", _)
                | (
                    "networking.k8s.io",
                    "Ingress" | "NetworkPolicy" | "IngressClass"
                )
                | (
                    "apiextensions.k8s.io" | "scheduling.k8s.io" | "flowcontrol.apiserver.k8s.io",
                    _
                )
                | ("discovery.k8s.io", _)
                | ("", "Pod" | "PodTemplate" | "ReplicationController")
        )
}

/// Whether a change increments the generation.
pub(crate) fn is_new_generation(kind: &Kind, version: &str, before: &Value, after: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        if let Value::Object(map) = &mut object {
            map.remove("metadata");
            map.remove("apiVersion");
            let status_apart = !kind.custom || kind.has_subresource(version, "status");
            if status_apart {
                map.remove("status");
            }
        }
        object
    };
    let annotations = |object: &Value| object.pointer("/metadata/annotations").cloned();
    let annotated = kind.group == "apps"
        && kind.kind == "Deployment"
        && annotations(before) != annotations(after);
    bare(before) != bare(after) || annotated
}

/// Before an object is created.
pub(crate) fn create(
    store: &mut Store,
    kind: &Kind,
    version: &str,
    schema: &Schema,
    object: &mut Value,
) {
    let is_node = kind.group.is_empty() && kind.kind == "Node";
    if kind.has_subresource(version, "status") && !is_node {
        let mut fresh = empty(kind, schema);
        if !kind.custom {
            defaults::fill(schema, &mut fresh);
        }
        if let Value::Object(map) = object {
            match fresh.get("status") {
                Some(status) => map.insert("status".to_owned(), status.clone()),
                None => map.remove("status"),
            };
        }
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => {
            if let Some(spec) = spec(object) {
                let list = spec.entry("finalizers").or_insert_with(|| json!([]));
                if let Value::Array(list) = list
                    && !list.contains(&json!("kubernetes"))
                {
                    list.push(json!("kubernetes"));
                }
            }
        }
        ("", "Service") => service(store, object, None),
        ("", "Pod") => pod(object),
        ("batch", "Job") => job(object),
        ("apps", "DaemonSet") => template_generation(object, 1),
        ("", "PersistentVolumeClaim") => protect(object, "kubernetes.io/pvc-protection"),
        ("", "PersistentVolume") => {
            protect(object, "kubernetes.io/pv-protection");
            if let Some(Value::Object(status)) = object.get_mut("status") {
                let now = crate::clock::now();
                status.insert("lastPhaseTransitionTime".to_owned(), json!(now));
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            let stored = crate::kinds::custom(object).stored;
            if let Value::Object(map) = object {
                let status = json!({
                    "conditions": null,
                    "acceptedNames": {"kind": "", "plural": ""},
                    "storedVersions": [stored],
                });
                map.insert("status".to_owned(), status);
            }
        }
        _ => {}
    }
}

/// Before an object is updated through its main endpoint.
pub(crate) fn update(
    store: &mut Store,
    kind: &Kind,
    version: &str,
    before: &Value,
    after: &mut Value,
) {
    if kind.has_subresource(version, "status")
        && let Value::Object(map) = after
    {
        match before.get("status") {
            Some(status) => map.insert("status".to_owned(), status.clone()),
            None => map.remove("status"),
        };
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => {
            if let Value::Object(map) = after {
                let spec = before.get("spec").cloned().unwrap_or_default();
                map.insert("spec".to_owned(), spec);
            }
        }
        ("", "Service") => service(store, after, Some(before)),
        ("apps", "DaemonSet") => {
            let have = text(
                before,
                "/metadata/annotations/deprecated.daemonset.template.generation",
            );
            let changed = before.pointer("/spec/template") != after.pointer("/spec/template");
            let next = have.parse::<i64>().unwrap_or(1) + i64::from(changed);
            template_generation(after, next);
        }
        ("batch", "Job") => {
            // The server generates the selector, so an update without one keeps it.
            let generated = before.pointer("/spec/selector").cloned();
            let is_manual = before.pointer("/spec/manualSelector") == Some(&Value::Bool(true));
            if let (false, Some(spec), Some(generated)) = (is_manual, spec(after), generated) {
                spec.entry("selector").or_insert(generated);
            }
        }
        _ => {}
    }
}

/// Writes the annotation that replaced `spec.templateGeneration`.
pub(crate) fn template_generation(object: &mut Value, number: i64) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        let all = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Value::Object(all) = all {
            all.insert(
                "deprecated.daemonset.template.generation".to_owned(),
                json!(number.to_string()),
            );
        }
    }
}

/// The finalizers that storage admission adds.
fn protect(object: &mut Value, finalizer: &str) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        let list = metadata.entry("finalizers").or_insert_with(|| json!([]));
        if let Value::Array(list) = list
            && !list.contains(&json!(finalizer))
        {
            list.push(json!(finalizer));
        }
    }
}

fn pod(object: &mut Value) {
    let quality = quality(object);
    if let Some(spec) = spec(object) {
        spec.entry("priority").or_insert_with(|| json!(0));
        spec.entry("preemptionPolicy")
            .or_insert_with(|| json!("PreemptLowerPriority"));
        let list = spec.entry("tolerations").or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            for key in ["not-ready", "unreachable"] {
                let key = format!("node.kubernetes.io/{key}");
                if !list.iter().any(|have| text(have, "/key") == key) {
                    list.push(
                        json!({"key": key, "operator": "Exists", "effect": "NoExecute",
                        "tolerationSeconds": 300}),
                    );
                }
            }
        }
    }
    if let Value::Object(map) = object {
        let status = json!({ "phase": "Pending", "qosClass": quality });
        map.insert("status".to_owned(), status);
    }
}

/// The quality of service class that follows from a pod's resources.
fn quality(pod: &Value) -> &'static str {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let mut is_any = false;
    let mut is_all = true;
    for container in containers.into_iter().flatten() {
        let of = |name: &str, resource: &str| {
            let pointer = format!("/resources/{name}/{resource}");
            container.pointer(&pointer).cloned()
        };
        for resource in ["cpu", "memory"] {
            let (limit, request) = (of("limits", resource), of("requests", resource));
            is_any |= limit.is_some() || request.is_some();
            is_all &= limit.is_some() && limit == request;
        }
    }
    match (is_any, is_all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn job(object: &mut Value) {
    let uid = text(object, "/metadata/uid").to_owned();
    let name = text(object, "/metadata/name").to_owned();
    let is_manual = object.pointer("/spec/manualSelector") == Some(&Value::Bool(true));
    if is_manual {
        return;
    }
    let Some(spec) = spec(object) else { return };
    spec.insert(
        "selector".to_owned(),
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
    let Some(Value::Object(template)) = spec.get_mut("template") else {
        return;
    };
    let metadata = template.entry("metadata").or_insert_with(|| json!({}));
    let Value::Object(metadata) = metadata else {
        return;
    };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Value::Object(labels) = labels {
        for prefix in ["batch.kubernetes.io/", ""] {
            labels.insert(format!("{prefix}controller-uid"), json!(uid));
            labels.insert(format!("{prefix}job-name"), json!(name));
        }
    }
    // A Job without labels gets the labels of its template.
    let labels = labels.clone();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.entry("labels").or_insert(labels);
    }
}

/// Keeps the addresses and ports of a service, and allocates missing ones.
fn service(store: &mut Store, object: &mut Value, before: Option<&Value>) {
    let kind = text(object, "/spec/type").to_owned();
    let empty = json!({});
    let old = before
        .and_then(|before| before.get("spec"))
        .unwrap_or(&empty);
    let old_kind = text(old, "/type").to_owned();
    let has_selector = object
        .pointer("/spec/selector")
        .and_then(Value::as_object)
        .is_some_and(|selector| !selector.is_empty());
    let Some(spec) = spec(object) else { return };
    if kind == "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if before.is_none() || old_kind != kind {
                spec.remove(field);
            }
        }
        return;
    }
    if kind == "ClusterIP" && !old_kind.is_empty() && old_kind != kind {
        // Only services that are reachable from outside have these fields: they go with the old type.
        for field in [
            "externalTrafficPolicy",
            "allocateLoadBalancerNodePorts",
            "healthCheckNodePort",
        ] {
            spec.remove(field);
        }
    }
    let is_set = |spec: &Map<String, Value>, field: &str| {
        spec.get(field)
            .is_some_and(|value| !value.is_null() && *value != json!(""))
    };
    if !is_set(spec, "clusterIP") {
        let kept = old.get("clusterIP").cloned().filter(|ip| *ip != json!(""));
        let address = kept.unwrap_or_else(|| {
            store.given += 1;
            let n = store.given;
            json!(format!("10.96.{}.{}", (n / 250) % 250, n % 250 + 2))
        });
        spec.insert("clusterIP".to_owned(), address);
    }
    let address = spec.get("clusterIP").cloned().unwrap_or_default();
    if !is_set(spec, "clusterIPs") {
        spec.insert("clusterIPs".to_owned(), json!([address]));
    }
    let headless = address == json!("None");
    let bare = headless && !has_selector;
    for (field, value) in [
        (
            "ipFamilyPolicy",
            json!(if bare {
                "RequireDualStack"
            } else {
                "SingleStack"
            }),
        ),
        (
            "ipFamilies",
            if bare {
                json!(["IPv4", "IPv6"])
            } else {
                json!(["IPv4"])
            },
        ),
    ] {
        if !is_set(spec, field) {
            let value = old.get(field).cloned().unwrap_or(value);
            spec.insert(field.to_owned(), value);
        }
    }
    let wants_ports = kind == "NodePort"
        || (kind == "LoadBalancer"
            && spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)));
    let old_ports = old.get("ports").and_then(Value::as_array).cloned();
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        let number = port.get("port").cloned();
        if wants_ports && port.get("nodePort").is_none_or(|port| *port == json!(0)) {
            let kept = old_ports
                .iter()
                .flatten()
                .find(|old| old.get("port").cloned() == number)
                .and_then(|old| old.get("nodePort").cloned());
            let given = kept.unwrap_or_else(|| {
                store.given += 1;
                json!(NODE_PORTS + store.given % 2768)
            });
            port.insert("nodePort".to_owned(), given);
        } else if kind == "ClusterIP" && before.is_some() && old_kind != kind {
            port.remove("nodePort");
        }
    }
}
