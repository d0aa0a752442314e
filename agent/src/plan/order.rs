//! The order in which kinds are applied; pruning goes the other way.

use super::Desired;

/// Explicit waves within an application: objects of a lower number come first, and are healthy before
/// the next ones change.
pub const WAVE_ANNOTATION: &str = "flotilla.dev/wave";

/// Objects that others refer to come first, as in Helm's InstallOrder and cli-utils.
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

/// Admission that would judge the rest of the set comes last.
const LAST: [&str; 3] = [
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// `true` on an object in Git: later waves wait until it is healthy, whatever its kind; `false`: they wait
/// only until it exists.
pub const WAIT_ANNOTATION: &str = "flotilla.dev/wave-wait";

/// Whether later steps wait for an object's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitRule {
    /// By everything of a later wave, and everything that depends on it.
    Always,
    /// By objects that depend on it by name (`depends-on`) and by hooks after the rest, but not by
    /// later waves: it may become healthy only through them.
    ByName,
    /// By nothing: it is bound by its first user, which would wait for it in turn.
    Never,
}

/// How an object is waited for, by its kind or by its own annotation.
///
/// | kind | becomes healthy through |
/// |---|---|
/// | claims of storage and devices | their first user (`WaitForFirstConsumer`) |
/// | Service of type LoadBalancer, Ingress, Gateway API | a controller, which may be of a later wave |
/// | autoscalers | their target and its metrics |
/// | PodDisruptionBudget | the pods it selects |
/// | APIService, webhook configurations | the pods that serve them |
pub(super) fn awaited(desired: &Desired) -> WaitRule {
    match desired.directive(WAIT_ANNOTATION).trim() {
        "true" => return WaitRule::Always,
        "false" => return WaitRule::ByName,
        _ => {}
    }
    match (desired.object.group.as_str(), desired.object.kind.as_str()) {
        ("", "PersistentVolumeClaim") | ("resource.k8s.io", "ResourceClaim") => WaitRule::Never,
        ("", "Service")
        | ("networking.k8s.io", "Ingress")
        | ("gateway.networking.k8s.io", _)
        | ("autoscaling", "HorizontalPodAutoscaler")
        | ("autoscaling.k8s.io", "VerticalPodAutoscaler")
        | ("keda.sh", "ScaledObject" | "ScaledJob")
        | ("policy", "PodDisruptionBudget")
        | ("apiregistration.k8s.io", "APIService")
        | ("admissionregistration.k8s.io", _) => WaitRule::ByName,
        _ => WaitRule::Always,
    }
}

/// An object's explicit wave; 0 without one.
pub(super) fn wave(desired: &Desired) -> i32 {
    desired
        .directive(WAVE_ANNOTATION)
        .trim()
        .parse::<i32>()
        .unwrap_or(0)
}

/// The phase of an object: equal weights are applied at once.
///
/// Kinds make only five phases (namespaces, definitions, objects that others refer to, the rest,
/// admission), so that a large application does not become a long queue; an explicit wave takes
/// precedence over them.
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
