//! The kinds that kstatus knows by name.

use flotilla_shared::words::counted;
use serde_json::Value;

use super::{ObjectHealth, condition, integer, is_true, reason, status, text};

/// Jobs with this annotation are there for their result.
const HOOK: &str = "/metadata/annotations/flotilla.dev~1hook";

/// None where kstatus has no rule for the kind.
pub(super) fn compute(object: &Value) -> Option<ObjectHealth> {
    let api_version = object
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Some(match (group, kind) {
        ("apps" | "extensions", "Deployment") => deployment(object),
        ("apps" | "extensions", "ReplicaSet") | ("", "ReplicationController") => {
            replica_set(object)
        }
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Service") => service(object),
        ("policy", "PodDisruptionBudget") => disruption_budget(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => api_service(object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(object),
        _ => return None,
    })
}

fn replicas(object: &Value, name: &str) -> i64 {
    integer(object, &format!("/status/{name}")).unwrap_or(0)
}

fn desired_replicas(object: &Value) -> i64 {
    integer(object, "/spec/replicas").unwrap_or(1)
}

fn observed_nothing(object: &Value) -> Option<ObjectHealth> {
    // kstatus: an object whose controller has not written a status yet is in progress.
    let none = object
        .get("status")
        .is_none_or(|s| s.as_object().is_some_and(serde_json::Map::is_empty));
    none.then(|| ObjectHealth::in_progress("not observed by its controller yet"))
}

fn deployment(object: &Value) -> ObjectHealth {
    if let Some(progressing) = condition(object, "Progressing")
        && reason(progressing) == "ProgressDeadlineExceeded"
    {
        return ObjectHealth::failed(text(progressing));
    }
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|c| is_true(c)) {
        return ObjectHealth::in_progress(text(failure));
    }
    let desired = desired_replicas(object);
    let (updated, total) = (
        replicas(object, "updatedReplicas"),
        replicas(object, "replicas"),
    );
    let (ready, available) = (
        replicas(object, "readyReplicas"),
        replicas(object, "availableReplicas"),
    );
    if total < desired {
        return ObjectHealth::in_progress(format!("{total} of {desired} replicas created"));
    }
    if updated < desired {
        return ObjectHealth::in_progress(format!("{updated} of {desired} replicas updated"));
    }
    if total > updated {
        return ObjectHealth::in_progress(format!(
            "{} old replicas still running",
            total - updated
        ));
    }
    if available < updated {
        return ObjectHealth::in_progress(format!("{available} of {updated} replicas available"));
    }
    if ready < desired {
        return ObjectHealth::in_progress(format!("{ready} of {desired} replicas ready"));
    }
    match condition(object, "Progressing") {
        Some(progressing)
            if status(progressing) != "True"
                || !matches!(
                    reason(progressing),
                    "NewReplicaSetAvailable" | "ReplicaSetUpdated"
                ) =>
        {
            if matches!(
                reason(progressing),
                "DeploymentPaused" | "DeploymentResumed"
            ) {
                return ObjectHealth::current();
            }
            return ObjectHealth::in_progress(text(progressing));
        }
        _ => {}
    }
    match condition(object, "Available") {
        Some(available) if !is_true(available) => ObjectHealth::in_progress(text(available)),
        _ => ObjectHealth::current(),
    }
}

fn replica_set(object: &Value) -> ObjectHealth {
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|c| is_true(c)) {
        return ObjectHealth::in_progress(text(failure));
    }
    let desired = desired_replicas(object);
    for (name, word) in [
        ("fullyLabeledReplicas", "labelled"),
        ("availableReplicas", "available"),
        ("readyReplicas", "ready"),
    ] {
        let have = replicas(object, name);
        if have < desired {
            return ObjectHealth::in_progress(format!("{have} of {desired} replicas {word}"));
        }
    }
    let total = replicas(object, "replicas");
    if total > desired {
        return ObjectHealth::in_progress(too_many(total - desired));
    }
    ObjectHealth::current()
}

fn too_many(replicas: i64) -> String {
    let replicas = usize::try_from(replicas).unwrap_or_default();
    format!("{} too many", counted(replicas, "replica"))
}

fn stateful_set(object: &Value) -> ObjectHealth {
    let strategy = object
        .pointer("/spec/updateStrategy/type")
        .and_then(Value::as_str);
    if strategy == Some("OnDelete") {
        return ObjectHealth::current();
    }
    let desired = desired_replicas(object);
    let (total, ready) = (
        replicas(object, "replicas"),
        replicas(object, "readyReplicas"),
    );
    let updated = replicas(object, "updatedReplicas");
    if total < desired {
        return ObjectHealth::in_progress(format!("{total} of {desired} replicas created"));
    }
    if ready < desired {
        return ObjectHealth::in_progress(format!("{ready} of {desired} replicas ready"));
    }
    if total > desired {
        return ObjectHealth::in_progress(too_many(total - desired));
    }
    if let Some(partition) = integer(object, "/spec/updateStrategy/rollingUpdate/partition")
        && partition > 0
    {
        return if updated < desired - partition {
            let target = desired - partition;
            ObjectHealth::in_progress(format!(
                "{updated} of {target} replicas updated (partition)"
            ))
        } else {
            ObjectHealth::current()
        };
    }
    if replicas(object, "currentReplicas") < desired && updated < desired {
        return ObjectHealth::in_progress(format!("{updated} of {desired} replicas updated"));
    }
    let revision = |name: &str| {
        object
            .pointer(&format!("/status/{name}"))
            .and_then(Value::as_str)
    };
    if revision("currentRevision") != revision("updateRevision") {
        return ObjectHealth::in_progress("waiting for the last replicas of the new revision");
    }
    ObjectHealth::current()
}

fn daemon_set(object: &Value) -> ObjectHealth {
    if let Some(waiting) = observed_nothing(object) {
        return waiting;
    }
    if object.pointer("/metadata/generation").is_some()
        && object.pointer("/status/observedGeneration").is_none()
    {
        return ObjectHealth::in_progress("not observed by its controller yet");
    }
    let strategy = object
        .pointer("/spec/updateStrategy/type")
        .and_then(Value::as_str);
    let Some(desired) = integer(object, "/status/desiredNumberScheduled") else {
        return ObjectHealth::in_progress("its controller has not counted the nodes yet");
    };
    let scheduled = replicas(object, "currentNumberScheduled");
    if scheduled < desired {
        return ObjectHealth::in_progress(format!("{scheduled} of {desired} pods scheduled"));
    }
    if strategy != Some("OnDelete") {
        let updated = replicas(object, "updatedNumberScheduled");
        if updated < desired {
            return ObjectHealth::in_progress(format!("{updated} of {desired} pods updated"));
        }
    }
    for (name, word) in [("numberAvailable", "available"), ("numberReady", "ready")] {
        let have = replicas(object, name);
        if have < desired {
            return ObjectHealth::in_progress(format!("{have} of {desired} pods {word}"));
        }
    }
    ObjectHealth::current()
}

fn job(object: &Value) -> ObjectHealth {
    for kind in ["Failed", "FailureTarget"] {
        if let Some(failed) = condition(object, kind).filter(|c| is_true(c)) {
            return ObjectHealth::failed(text(failed));
        }
    }
    if condition(object, "Complete").is_some_and(is_true) {
        return ObjectHealth::current();
    }
    if condition(object, "Suspended").is_some_and(is_true) {
        return ObjectHealth::suspended("the job is suspended");
    }
    // kstatus: a job that has started is healthy; completion is not part of health.
    if object.pointer("/status/startTime").is_none() {
        return ObjectHealth::in_progress("the job has not started");
    }
    // A hook is waited for until it has finished, unlike other jobs.
    if object.pointer(HOOK).is_some() {
        return ObjectHealth::in_progress("the hook has not finished");
    }
    ObjectHealth::current()
}

fn pod(object: &Value) -> ObjectHealth {
    let phase = object
        .pointer("/status/phase")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match phase {
        "Succeeded" => ObjectHealth::current(),
        "Failed" => {
            if condition(object, "Ready").is_some_and(|c| reason(c) == "PodCompleted") {
                return ObjectHealth::current();
            }
            let message = object.pointer("/status/message").and_then(Value::as_str);
            ObjectHealth::failed(message.unwrap_or("the pod has failed"))
        }
        "Running" => {
            if condition(object, "Ready").is_some_and(is_true) {
                return ObjectHealth::current();
            }
            match waiting_container(object) {
                Some((name, "CrashLoopBackOff")) => {
                    ObjectHealth::failed(format!("container {name} keeps crashing"))
                }
                _ => ObjectHealth::in_progress("the pod is running but not ready"),
            }
        }
        "Pending" | "" => {
            if let Some(scheduled) = condition(object, "PodScheduled")
                && status(scheduled) == "False"
                && reason(scheduled) == "Unschedulable"
            {
                return ObjectHealth::failed(format!("cannot be scheduled: {}", text(scheduled)));
            }
            if phase.is_empty() && object.get("status").is_none() {
                return ObjectHealth::in_progress("the pod has not been scheduled");
            }
            match waiting_container(object) {
                Some((name, why)) if !why.is_empty() => {
                    ObjectHealth::in_progress(format!("container {name} is waiting: {why}"))
                }
                _ => ObjectHealth::in_progress("the pod is pending"),
            }
        }
        other => ObjectHealth::new(
            flotilla_shared::health::Health::Unknown,
            format!("the pod's phase is {other}"),
        ),
    }
}

fn waiting_container(object: &Value) -> Option<(&str, &str)> {
    object
        .pointer("/status/containerStatuses")?
        .as_array()?
        .iter()
        .find_map(|container| {
            let why = container.pointer("/state/waiting/reason")?.as_str()?;
            Some((container.get("name")?.as_str()?, why))
        })
}

fn claim(object: &Value) -> ObjectHealth {
    match object
        .pointer("/status/phase")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "Bound" => ObjectHealth::current(),
        phase => ObjectHealth::in_progress(format!("the claim is {phase}, not Bound")),
    }
}

fn service(object: &Value) -> ObjectHealth {
    let kind = object
        .pointer("/spec/type")
        .and_then(Value::as_str)
        .unwrap_or("ClusterIP");
    let address = object
        .pointer("/spec/clusterIP")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if kind == "LoadBalancer" && address.is_empty() {
        return ObjectHealth::in_progress("no cluster IP yet");
    }
    ObjectHealth::current()
}

fn definition(object: &Value) -> ObjectHealth {
    if let Some(names) = condition(object, "NamesAccepted").filter(|c| status(c) == "False") {
        return ObjectHealth::failed(text(names));
    }
    match condition(object, "Established") {
        Some(established) if is_true(established) => ObjectHealth::current(),
        Some(established) if reason(established) != "Installing" => {
            ObjectHealth::failed(text(established))
        }
        _ => ObjectHealth::in_progress("the definition is not established yet"),
    }
}

fn api_service(object: &Value) -> ObjectHealth {
    match condition(object, "Available") {
        Some(available) if is_true(available) => ObjectHealth::current(),
        Some(available) => ObjectHealth::in_progress(text(available)),
        None => ObjectHealth::in_progress("not available yet"),
    }
}

/// kstatus has no rule for autoscalers; this is Argo CD's, which reads both API generations.
fn autoscaler(object: &Value) -> ObjectHealth {
    let annotated: Option<Value> = object
        .pointer("/metadata/annotations/autoscaling.alpha.kubernetes.io~1conditions")
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str(text).ok());
    let conditions = object
        .pointer("/status/conditions")
        .or(annotated.as_ref())
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let bad = |c: &&Value| reason(c).starts_with("Failed") || reason(c).starts_with("Invalid");
    if let Some(condition) = conditions.iter().find(bad) {
        return ObjectHealth::failed(text(condition));
    }
    let good = |c: &Value| {
        let kind = c.get("type").and_then(Value::as_str).unwrap_or_default();
        is_true(c) && matches!(kind, "AbleToScale" | "ScalingLimited")
    };
    if conditions.iter().any(good) {
        return ObjectHealth::current();
    }
    ObjectHealth::in_progress("the autoscaler has not acted yet")
}

/// kstatus only requires that a budget was observed; its controller reports failures to compute it.
fn disruption_budget(object: &Value) -> ObjectHealth {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let mut all = conditions.into_iter().flatten();
    match all.find(|c| status(c) == "False" && reason(c) == "SyncFailed") {
        Some(condition) => ObjectHealth::failed(text(condition)),
        None => ObjectHealth::current(),
    }
}
