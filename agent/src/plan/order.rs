//! The order in which kinds are applied; pruning goes the other way.

use super::Desired;

/// Explicit waves within an application: objects of a lower number come first, and are healthy before
/// the next ones change.
pub const WAVE_ANNOTATION: &str = "flotilla.dev/wave";

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

/// An object's explicit wave; 0 where it names none.
pub(super) fn wave(desired: &Desired) -> i32 {
    desired
        .directive(WAVE_ANNOTATION)
        .trim()
        .parse::<i32>()
        .unwrap_or(0)
}

/// The phase of an object: equal weights are applied at once.
///
/// Only five phases come from kinds (namespaces, definitions, what is referred to, the rest,
/// admission), so that a large application is not a long queue; an explicit wave counts above them.
#[must_use]
pub fn weight(desired: &Desired) -> i64 {
    i64::from(wave(desired)) * 10 + kind_phase(&desired.object.kind)
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
