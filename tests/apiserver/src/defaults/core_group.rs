//! Defaults of the core group: pods and their parts, services, secrets, volumes.

use serde_json::{Value, json};

use super::{Fields, inner, items, set, text};

/// An image with tag `latest`, or with neither tag nor digest, gets the pull policy Always.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or(image);
    let tagged = match last.split_once('@') {
        Some(_) => "digest",
        None => last.rsplit_once(':').map_or("latest", |(_, tag)| tag),
    };
    if tagged == "latest" {
        "Always"
    } else {
        "IfNotPresent"
    }
}

pub(super) fn core(name: &str, fields: &mut Fields) {
    match name {
        "core.v1.Container" | "core.v1.EphemeralContainer" => container(fields),
        "core.v1.Probe" => probe(fields),
        "core.v1.HTTPGetAction" => {
            set(fields, "path", json!("/"));
            set(fields, "scheme", json!("HTTP"));
        }
        "core.v1.PodSpec" => pod_spec(fields),
        "core.v1.Volume" if fields.len() == 1 && fields.contains_key("name") => {
            fields.insert("emptyDir".to_owned(), json!({}));
        }
        "core.v1.SecretVolumeSource"
        | "core.v1.ConfigMapVolumeSource"
        | "core.v1.DownwardAPIVolumeSource"
        | "core.v1.ProjectedVolumeSource" => set(fields, "defaultMode", json!(420)),
        "core.v1.HostPathVolumeSource" => {
            fields.entry("type").or_insert_with(|| json!(""));
        }
        "core.v1.ServiceAccountTokenProjection" => set(fields, "expirationSeconds", json!(3600)),
        "core.v1.ObjectFieldSelector" => set(fields, "apiVersion", json!("v1")),
        "core.v1.Secret" => secret(fields),
        "core.v1.Service" => service(fields),
        "core.v1.EndpointPort" => set(fields, "protocol", json!("TCP")),
        "core.v1.PersistentVolumeClaim" => phase(fields, "Pending"),
        "core.v1.PersistentVolumeClaimSpec" => set(fields, "volumeMode", json!("Filesystem")),
        "core.v1.PersistentVolume" => {
            if let Some(spec) = inner(fields, "spec") {
                set(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
                set(spec, "volumeMode", json!("Filesystem"));
            }
            phase(fields, "Pending");
        }
        "core.v1.Namespace" => namespace(fields),
        "core.v1.Pod" => pod(fields),
        "core.v1.ReplicationController" => replication_controller(fields),
        "core.v1.LimitRangeItem" if text(fields, "type") == "Container" => container_limits(fields),
        _ => {}
    }
}

fn container(fields: &mut Fields) {
    let policy = pull_policy(text(fields, "image"));
    set(fields, "imagePullPolicy", json!(policy));
    set(
        fields,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    set(fields, "terminationMessagePolicy", json!("File"));
}

fn probe(fields: &mut Fields) {
    set(fields, "timeoutSeconds", json!(1));
    set(fields, "periodSeconds", json!(10));
    set(fields, "successThreshold", json!(1));
    set(fields, "failureThreshold", json!(3));
}

fn pod_spec(fields: &mut Fields) {
    set(fields, "dnsPolicy", json!("ClusterFirst"));
    set(fields, "restartPolicy", json!("Always"));
    set(fields, "securityContext", json!({}));
    set(fields, "terminationGracePeriodSeconds", json!(30));
    set(fields, "schedulerName", json!("default-scheduler"));
    if let Some(account) = fields.get("serviceAccountName").cloned() {
        fields.insert("serviceAccount".to_owned(), account);
    } else if let Some(account) = fields.get("serviceAccount").cloned() {
        fields.insert("serviceAccountName".to_owned(), account);
    }
    if fields.get("hostNetwork") == Some(&Value::Bool(true)) {
        host_ports(fields);
    }
}

/// In the host's network, a container port defaults to the same host port.
fn host_ports(fields: &mut Fields) {
    for list in ["containers", "initContainers"] {
        for container in items(fields, list) {
            for port in items(container, "ports") {
                if let Some(number) = port.get("containerPort").cloned() {
                    set(port, "hostPort", number);
                }
            }
        }
    }
}

/// The default type of a secret; the write-only `stringData` is merged into `data`.
fn secret(fields: &mut Fields) {
    set(fields, "type", json!("Opaque"));
    let given = fields.remove("stringData");
    if let Some(Value::Object(given)) = given {
        let data = fields.entry("data").or_insert_with(|| json!({}));
        if let Value::Object(data) = data {
            for (key, value) in given {
                let value = value.as_str().unwrap_or_default();
                data.insert(key, json!(base64(value.as_bytes())));
            }
        }
    }
}

/// The initial phase of an object with a status.
fn phase(fields: &mut Fields, first: &str) {
    if let Some(status) = inner(fields, "status") {
        set(status, "phase", json!(first));
    }
}

/// Labels a namespace with its name, and overwrites what the label said.
fn namespace(fields: &mut Fields) {
    let name = fields.get("metadata").and_then(|m| m.get("name")).cloned();
    if let (Some(metadata), Some(name)) = (inner(fields, "metadata"), name) {
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Value::Object(labels) = labels {
            labels.insert("kubernetes.io/metadata.name".to_owned(), name);
        }
    }
    phase(fields, "Active");
}

/// A controller without a selector or labels takes those of its template.
fn replication_controller(fields: &mut Fields) {
    let labels = fields
        .get("spec")
        .and_then(|spec| spec.pointer("/template/metadata/labels"))
        .cloned();
    if let Some(labels) = labels {
        if let Some(spec) = inner(fields, "spec") {
            set(spec, "selector", labels.clone());
        }
        if let Some(metadata) = inner(fields, "metadata") {
            set(metadata, "labels", labels);
        }
    }
}

/// Container limits of a LimitRange: each one that is missing is derived from another.
fn container_limits(fields: &mut Fields) {
    for (from, to) in [
        ("max", "default"),
        ("default", "defaultRequest"),
        ("min", "defaultRequest"),
    ] {
        let Some(Value::Object(from)) = fields.get(from).cloned() else {
            continue;
        };
        let to = fields.entry(to).or_insert_with(|| json!({}));
        if let Value::Object(to) = to {
            for (name, value) in from {
                to.entry(name).or_insert(value);
            }
        }
    }
}

fn pod(fields: &mut Fields) {
    let Some(spec) = inner(fields, "spec") else {
        return;
    };
    set(spec, "enableServiceLinks", json!(true));
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            if let Some(resources) = inner(container, "resources") {
                let Some(Value::Object(limits)) = resources.get("limits").cloned() else {
                    continue;
                };
                let requests = resources.entry("requests").or_insert_with(|| json!({}));
                if let Value::Object(requests) = requests {
                    for (name, value) in limits {
                        requests.entry(name).or_insert(value);
                    }
                }
            }
        }
    }
}

fn service(fields: &mut Fields) {
    let Some(spec) = inner(fields, "spec") else {
        return;
    };
    set(spec, "sessionAffinity", json!("None"));
    if text(spec, "sessionAffinity") == "None" {
        spec.remove("sessionAffinityConfig");
    } else {
        let seconds = json!({"clientIP": {"timeoutSeconds": 10800}});
        set(spec, "sessionAffinityConfig", seconds);
    }
    set(spec, "type", json!("ClusterIP"));
    for port in items(spec, "ports") {
        set(port, "protocol", json!("TCP"));
        let target = port.get("targetPort");
        if target.is_none_or(|target| *target == json!(0) || *target == json!("")) {
            let number = port.get("port").cloned().unwrap_or_default();
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    let has_addresses = spec.get("externalIPs").is_some();
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort")
        || (kind == "ClusterIP" && has_addresses)
    {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

/// Standard base64 (RFC 4648) of what `stringData` holds.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
