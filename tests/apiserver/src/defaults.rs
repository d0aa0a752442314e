//! What the API server fills in: the `SetDefaults_*` functions of its built-in types.

use serde_json::{Map, Value, json};

use crate::decode::visit;
use crate::schema::Schema;

type Fields = Map<String, Value>;

/// Fills in the defaults of an object of a built-in kind.
pub(crate) fn fill(schema: &Schema, object: &mut Value) {
    visit(schema, object, &mut |name, fields| {
        let name = name.strip_prefix("io.k8s.api.").unwrap_or(name);
        match name.split_once('.').map_or(name, |(group, _)| group) {
            "core" => core(name, fields),
            "apps" => apps(name, fields),
            "batch" => batch(name, fields),
            _ => others(name, fields),
        }
    });
}

fn set(fields: &mut Fields, name: &str, value: Value) {
    let is_empty = match fields.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if is_empty {
        fields.insert(name.to_owned(), value);
    }
}

fn text<'f>(fields: &'f Fields, name: &str) -> &'f str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn inner<'f>(fields: &'f mut Fields, name: &str) -> Option<&'f mut Fields> {
    fields.get_mut(name).and_then(Value::as_object_mut)
}

fn items<'f>(fields: &'f mut Fields, name: &str) -> impl Iterator<Item = &'f mut Fields> {
    let list = fields.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// `latest`, or no tag and no digest, is pulled always.
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

fn core(name: &str, fields: &mut Fields) {
    match name {
        "core.v1.Container" | "core.v1.EphemeralContainer" => {
            let policy = pull_policy(text(fields, "image"));
            set(fields, "imagePullPolicy", json!(policy));
            set(
                fields,
                "terminationMessagePath",
                json!("/dev/termination-log"),
            );
            set(fields, "terminationMessagePolicy", json!("File"));
        }
        "core.v1.Probe" => {
            set(fields, "timeoutSeconds", json!(1));
            set(fields, "periodSeconds", json!(10));
            set(fields, "successThreshold", json!(1));
            set(fields, "failureThreshold", json!(3));
        }
        "core.v1.HTTPGetAction" => {
            set(fields, "path", json!("/"));
            set(fields, "scheme", json!("HTTP"));
        }
        "core.v1.PodSpec" => {
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
        }
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
        "core.v1.Secret" => {
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
        "core.v1.Service" => service(fields),
        "core.v1.EndpointPort" => set(fields, "protocol", json!("TCP")),
        "core.v1.PersistentVolumeClaim" => {
            if let Some(status) = inner(fields, "status") {
                set(status, "phase", json!("Pending"));
            }
        }
        "core.v1.PersistentVolumeClaimSpec" => set(fields, "volumeMode", json!("Filesystem")),
        "core.v1.PersistentVolume" => {
            if let Some(spec) = inner(fields, "spec") {
                set(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
                set(spec, "volumeMode", json!("Filesystem"));
            }
            if let Some(status) = inner(fields, "status") {
                set(status, "phase", json!("Pending"));
            }
        }
        "core.v1.Namespace" => {
            let name = fields.get("metadata").and_then(|m| m.get("name")).cloned();
            if let (Some(metadata), Some(name)) = (inner(fields, "metadata"), name) {
                let labels = metadata.entry("labels").or_insert_with(|| json!({}));
                if let Value::Object(labels) = labels {
                    labels.insert("kubernetes.io/metadata.name".to_owned(), name);
                }
            }
            if let Some(status) = inner(fields, "status") {
                set(status, "phase", json!("Active"));
            }
        }
        "core.v1.Pod" => pod(fields),
        "core.v1.ReplicationController" => {
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
        "core.v1.LimitRangeItem" if text(fields, "type") == "Container" => {
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
        _ => {}
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

fn apps(name: &str, fields: &mut Fields) {
    let kind = name.rsplit('.').next().unwrap_or_default();
    if !matches!(
        kind,
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet"
    ) {
        return;
    }
    let Some(spec) = inner(fields, "spec") else {
        return;
    };
    if kind != "DaemonSet" {
        set(spec, "replicas", json!(1));
    }
    if kind != "ReplicaSet" {
        set(spec, "revisionHistoryLimit", json!(10));
    }
    match kind {
        "Deployment" => {
            set(spec, "progressDeadlineSeconds", json!(600));
            rolling(
                spec,
                "strategy",
                &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))],
            );
        }
        "DaemonSet" => {
            rolling(
                spec,
                "updateStrategy",
                &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))],
            );
        }
        "StatefulSet" => {
            set(spec, "podManagementPolicy", json!("OrderedReady"));
            rolling(spec, "updateStrategy", &[("partition", json!(0))]);
            set(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
            if let Some(policy) = inner(spec, "persistentVolumeClaimRetentionPolicy") {
                set(policy, "whenDeleted", json!("Retain"));
                set(policy, "whenScaled", json!("Retain"));
            }
            for claim in items(spec, "volumeClaimTemplates") {
                set(claim, "apiVersion", json!("v1"));
                set(claim, "kind", json!("PersistentVolumeClaim"));
            }
        }
        _ => {}
    }
}

fn rolling(spec: &mut Fields, field: &str, defaults: &[(&str, Value)]) {
    let Some(strategy) = inner(spec, field) else {
        return;
    };
    set(strategy, "type", json!("RollingUpdate"));
    if text(strategy, "type") != "RollingUpdate" {
        return;
    }
    set(strategy, "rollingUpdate", json!({}));
    if let Some(update) = inner(strategy, "rollingUpdate") {
        for (name, value) in defaults {
            set(update, name, value.clone());
        }
    }
}

fn batch(name: &str, fields: &mut Fields) {
    match name {
        "batch.v1.Job" => {
            let labels = fields
                .get("spec")
                .and_then(|spec| spec.pointer("/template/metadata/labels"))
                .cloned();
            if let (Some(labels), Some(metadata)) = (labels, inner(fields, "metadata")) {
                set(metadata, "labels", labels);
            }
            job(fields);
        }
        "batch.v1.CronJob" => {
            if let Some(spec) = inner(fields, "spec") {
                set(spec, "concurrencyPolicy", json!("Allow"));
                set(spec, "suspend", json!(false));
                set(spec, "successfulJobsHistoryLimit", json!(3));
                set(spec, "failedJobsHistoryLimit", json!(1));
            }
        }
        "batch.v1.PodFailurePolicyOnPodConditionsPattern" => set(fields, "status", json!("True")),
        _ => {}
    }
}

fn job(fields: &mut Fields) {
    let Some(spec) = inner(fields, "spec") else {
        return;
    };
    if !spec.contains_key("parallelism") {
        set(spec, "completions", json!(1));
    }
    set(spec, "parallelism", json!(1));
    let limit = if spec.contains_key("backoffLimitPerIndex") {
        i32::MAX
    } else {
        6
    };
    set(spec, "backoffLimit", json!(limit));
    set(spec, "completionMode", json!("NonIndexed"));
    set(spec, "suspend", json!(false));
    set(spec, "manualSelector", json!(false));
    let replacement = if spec.contains_key("podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    set(spec, "podReplacementPolicy", json!(replacement));
}

const RBAC: &str = "rbac.authorization.k8s.io";

fn others(name: &str, fields: &mut Fields) {
    match name {
        "networking.v1.NetworkPolicyPort" => set(fields, "protocol", json!("TCP")),
        "networking.v1.NetworkPolicySpec" if fields.get("policyTypes").is_none() => {
            let types = if fields.get("egress").is_some() {
                json!(["Ingress", "Egress"])
            } else {
                json!(["Ingress"])
            };
            fields.insert("policyTypes".to_owned(), types);
        }
        "networking.v1.IngressClassParametersReference" => set(fields, "scope", json!("Cluster")),
        "rbac.v1.RoleRef" => set(fields, "apiGroup", json!(RBAC)),
        "rbac.v1.Subject" if matches!(text(fields, "kind"), "User" | "Group") => {
            set(fields, "apiGroup", json!(RBAC));
        }
        "storage.v1.StorageClass" => {
            set(fields, "reclaimPolicy", json!("Delete"));
            set(fields, "volumeBindingMode", json!("Immediate"));
        }
        "storage.v1.CSIDriverSpec" => {
            set(fields, "attachRequired", json!(true));
            set(fields, "podInfoOnMount", json!(false));
            set(fields, "storageCapacity", json!(false));
            set(fields, "fsGroupPolicy", json!("ReadWriteOnceWithFSType"));
            set(fields, "volumeLifecycleModes", json!(["Persistent"]));
            set(fields, "requiresRepublish", json!(false));
            set(fields, "seLinuxMount", json!(false));
        }
        "autoscaling.v2.HorizontalPodAutoscalerSpec" => autoscaler(fields),
        "autoscaling.v1.HorizontalPodAutoscalerSpec" => set(fields, "minReplicas", json!(1)),
        "admissionregistration.v1.ValidatingWebhook"
        | "admissionregistration.v1.MutatingWebhook" => {
            set(fields, "failurePolicy", json!("Fail"));
            set(fields, "matchPolicy", json!("Equivalent"));
            set(fields, "namespaceSelector", json!({}));
            set(fields, "objectSelector", json!({}));
            set(fields, "timeoutSeconds", json!(10));
            if name.ends_with("MutatingWebhook") {
                set(fields, "reinvocationPolicy", json!("Never"));
            }
        }
        "admissionregistration.v1.RuleWithOperations" => set(fields, "scope", json!("*")),
        "admissionregistration.v1.ServiceReference" => set(fields, "port", json!(443)),
        "admissionregistration.v1.ValidatingAdmissionPolicySpec"
        | "admissionregistration.v1.MutatingAdmissionPolicySpec" => {
            set(fields, "failurePolicy", json!("Fail"));
        }
        "admissionregistration.v1.MatchResources" => {
            set(fields, "matchPolicy", json!("Equivalent"));
            set(fields, "namespaceSelector", json!({}));
            set(fields, "objectSelector", json!({}));
        }
        "discovery.v1.EndpointPort" => {
            fields.entry("name").or_insert_with(|| json!(""));
            set(fields, "protocol", json!("TCP"));
        }
        "scheduling.v1.PriorityClass" => {
            set(fields, "preemptionPolicy", json!("PreemptLowerPriority"));
        }
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition" => {
            definition(fields);
        }
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference"
        | "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference" => {
            set(fields, "port", json!(443));
        }
        _ => {}
    }
}

fn autoscaler(fields: &mut Fields) {
    set(fields, "minReplicas", json!(1));
    set(
        fields,
        "metrics",
        json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 80}}}]),
    );
    let Some(behavior) = inner(fields, "behavior") else {
        return;
    };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    set(behavior, "scaleUp", json!({}));
    set(behavior, "scaleDown", json!({}));
    if let Some(up) = inner(behavior, "scaleUp") {
        set(up, "stabilizationWindowSeconds", json!(0));
        set(up, "selectPolicy", json!("Max"));
        set(up, "policies", json!([pods, percent]));
    }
    if let Some(down) = inner(behavior, "scaleDown") {
        set(down, "selectPolicy", json!("Max"));
        set(down, "policies", json!([percent]));
    }
}

fn definition(fields: &mut Fields) {
    let stored = fields.get("spec").and_then(|spec| {
        let versions = spec.get("versions")?.as_array()?;
        let storage = |v: &&Value| v.get("storage") == Some(&Value::Bool(true));
        versions.iter().find(storage)?.get("name").cloned()
    });
    if let Some(spec) = inner(fields, "spec") {
        set(spec, "conversion", json!({}));
        if let Some(conversion) = inner(spec, "conversion") {
            set(conversion, "strategy", json!("None"));
        }
        if let Some(names) = inner(spec, "names") {
            let kind = text(names, "kind").to_owned();
            if !kind.is_empty() {
                set(names, "singular", json!(kind.to_lowercase()));
                set(names, "listKind", json!(format!("{kind}List")));
            }
        }
    }
    if let (Some(status), Some(stored)) = (inner(fields, "status"), stored) {
        let is_empty = status
            .get("storedVersions")
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty);
        if is_empty {
            status.insert("storedVersions".to_owned(), json!([stored]));
        }
    }
}

/// Standard base64 (RFC 4648) of what `stringData` holds.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use crate::schema::named;

    #[test]
    fn a_deployment_gets_what_a_real_server_gives_it() {
        let schema = named("io.k8s.api.apps.v1.Deployment");
        let given = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "r:5000/x"}]}}}});
        let mut object = decode(&schema, &given, &mut Vec::new()).unwrap();
        fill(&schema, &mut object);
        let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/spec/replicas"), json!(1));
        assert_eq!(at("/spec/strategy/rollingUpdate/maxSurge"), json!("25%"));
        let container = "/spec/template/spec/containers/0";
        assert_eq!(at(&format!("{container}/imagePullPolicy")), json!("Always"));
        assert_eq!(
            at("/spec/template/spec/schedulerName"),
            json!("default-scheduler")
        );
    }
}
