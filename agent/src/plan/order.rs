//! The order in which kinds are applied; pruning goes the other way.

use serde_json::Value;

use super::Desired;

/// Explicit waves within an application: objects of a lower number come first.
const WAVE_ANNOTATION: &str = "/metadata/annotations/flotilla.dev~1wave";

/// What others refer to comes before what refers to it, as in Helm's InstallOrder and cli-utils.
const FIRST: [&str; 21] = [
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "IngressClass",
    "RuntimeClass",
    "CSIDriver",
];

/// Admission that would judge the rest of the set comes after it.
const LAST: [&str; 3] = [
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// The phase of an object: equal weights are applied at once.
///
/// Only five phases come from kinds (namespaces, definitions, what is referred to, the rest,
/// admission), so that a large application is not a long queue; an explicit wave counts above them.
#[must_use]
pub fn weight(desired: &Desired) -> i64 {
    let wave = desired
        .value
        .pointer(WAVE_ANNOTATION)
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<i32>().ok())
        .unwrap_or(0);
    i64::from(wave) * 10 + kind_phase(&desired.object.kind)
}

pub(super) fn kind_phase(kind: &str) -> i64 {
    match FIRST.iter().position(|first| *first == kind) {
        Some(0) => 0,
        Some(1) => 1,
        Some(_) => 2,
        None if LAST.contains(&kind) => 4,
        None => 3,
    }
}
