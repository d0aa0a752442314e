//! Defaulting: the `SetDefaults_*` functions of the built-in types.

mod core_group;
mod workloads;

use serde_json::{Map, Value, json};

use crate::decode::visit;
use crate::schema::Schema;

type Fields = Map<String, Value>;

/// Applies the defaults of a built-in kind.
pub(crate) fn fill(schema: &Schema, object: &mut Value) {
    visit(schema, object, &mut |name, fields| {
        let name = name.strip_prefix("io.k8s.api.").unwrap_or(name);
        match name.split_once('.').map_or(name, |(group, _)| group) {
            "core" => core_group::core(name, fields),
            "apps" => workloads::apps(name, fields),
            "batch" => workloads::batch(name, fields),
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
