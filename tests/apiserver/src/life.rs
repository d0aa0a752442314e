//! Minimal controllers: workloads become ready after a while, or fail on request; garbage is collected; deleted
//! namespaces are emptied and removed.
//!
//! An object fails if its annotation `simulator.flotilla.dev/outcome` is `fail` or one of its images has the tag
//! `broken`. With the annotation `never` it never becomes ready.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ApiServer;
use crate::fieldset::Set;
use crate::managed::{self, Write};
use crate::store::Key;
use crate::verbs::collect_garbage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ready,
    Fail,
    Never,
}

fn outcome(object: &Value) -> Outcome {
    let asked = object
        .pointer("/metadata/annotations/simulator.flotilla.dev~1outcome")
        .and_then(Value::as_str);
    let broken = object
        .pointer("/spec/template/spec/containers")
        .and_then(Value::as_array)
        .is_some_and(|containers| {
            containers.iter().any(|container| {
                let image = container.get("image").and_then(Value::as_str);
                image.unwrap_or_default().ends_with(":broken")
            })
        });
    match asked {
        Some("fail") => Outcome::Fail,
        Some("never") => Outcome::Never,
        Some("ready") => Outcome::Ready,
        _ if broken => Outcome::Fail,
        _ => Outcome::Ready,
    }
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The status that a controller would write for an outcome; none for kinds without a controller.
fn status(object: &Value, outcome: Outcome) -> Option<Value> {
    let generation = number(object, "/metadata/generation").unwrap_or(1);
    let replicas = number(object, "/spec/replicas").unwrap_or(1);
    let ready = if outcome == Outcome::Ready {
        replicas
    } else {
        0
    };
    let now = crate::clock::now();
    let kind = object.get("kind").and_then(Value::as_str)?;
    Some(match (kind, outcome) {
        ("Deployment", _) => deployment(generation, replicas, ready, outcome, &now),
        ("ReplicaSet", _) => json!({
            "observedGeneration": generation, "replicas": replicas,
            "readyReplicas": ready, "availableReplicas": ready,
        }),
        ("StatefulSet", _) => json!({
            "observedGeneration": generation,
            "replicas": replicas,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": replicas,
            "updatedReplicas": replicas,
            "currentRevision": "1",
            "updateRevision": "1",
        }),
        ("DaemonSet", _) => {
            let ready = i64::from(outcome == Outcome::Ready);
            json!({
                "observedGeneration": generation,
                "desiredNumberScheduled": 1,
                "currentNumberScheduled": 1,
                "updatedNumberScheduled": 1,
                "numberMisscheduled": 0,
                "numberAvailable": ready,
                "numberReady": ready,
            })
        }
        ("Job", Outcome::Ready) => json!({
            "startTime": now, "completionTime": now, "succeeded": 1,
            "conditions": [
                {"type": "SuccessCriteriaMet", "status": "True", "lastProbeTime": now, "lastTransitionTime": now},
                {"type": "Complete", "status": "True", "lastProbeTime": now, "lastTransitionTime": now},
            ],
        }),
        ("Job", Outcome::Fail) => json!({
            "startTime": now, "failed": 1,
            "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
                "message": "Job has reached the specified backoff limit",
                "lastProbeTime": now, "lastTransitionTime": now}],
        }),
        ("Job", Outcome::Never) => json!({ "startTime": now, "active": 1 }),
        ("PersistentVolumeClaim", Outcome::Ready) => json!({ "phase": "Bound" }),
        ("PersistentVolumeClaim", _) => json!({ "phase": "Pending" }),
        ("Pod", Outcome::Ready) => json!({
            "phase": "Running",
            "qosClass": object.pointer("/status/qosClass"),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        }),
        ("Service", Outcome::Ready)
            if object.pointer("/spec/type") == Some(&json!("LoadBalancer")) =>
        {
            json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.10", "ipMode": "VIP"}]}})
        }
        _ => return None,
    })
}

fn deployment(generation: i64, replicas: i64, ready: i64, outcome: Outcome, now: &str) -> Value {
    let (status, reason, message) = match outcome {
        Outcome::Ready => (
            "True",
            "NewReplicaSetAvailable",
            "ReplicaSet has successfully progressed.",
        ),
        Outcome::Fail => (
            "False",
            "ProgressDeadlineExceeded",
            "ReplicaSet has timed out progressing.",
        ),
        Outcome::Never => ("True", "ReplicaSetUpdated", "ReplicaSet is progressing."),
    };
    let (available, why) = if ready == replicas {
        ("True", "MinimumReplicasAvailable")
    } else {
        ("False", "MinimumReplicasUnavailable")
    };
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": now, "lastUpdateTime": now})
    };
    json!({
        "observedGeneration": generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "conditions": [
            condition("Available", available, why, ""),
            condition("Progressing", status, reason, message),
        ],
    })
}

/// Whether two statuses are the same except for their times.
fn is_same(before: Option<&Value>, after: &Value) -> bool {
    let timeless = |value: &Value| {
        let mut value = value.clone();
        let list = value.get_mut("conditions").and_then(Value::as_array_mut);
        for condition in list.into_iter().flatten().filter_map(Value::as_object_mut) {
            for field in ["lastTransitionTime", "lastUpdateTime", "lastProbeTime"] {
                condition.remove(field);
            }
        }
        value
    };
    before.is_some_and(|before| timeless(before) == timeless(after))
}

/// Kinds with a controller: kind, group, plural, the Go type.
const LIVING: [(&str, &str, &str, &str); 8] = [
    (
        "Deployment",
        "apps",
        "deployments",
        "io.k8s.api.apps.v1.Deployment",
    ),
    (
        "ReplicaSet",
        "apps",
        "replicasets",
        "io.k8s.api.apps.v1.ReplicaSet",
    ),
    (
        "StatefulSet",
        "apps",
        "statefulsets",
        "io.k8s.api.apps.v1.StatefulSet",
    ),
    (
        "DaemonSet",
        "apps",
        "daemonsets",
        "io.k8s.api.apps.v1.DaemonSet",
    ),
    ("Job", "batch", "jobs", "io.k8s.api.batch.v1.Job"),
    (
        "PersistentVolumeClaim",
        "",
        "persistentvolumeclaims",
        "io.k8s.api.core.v1.PersistentVolumeClaim",
    ),
    ("Pod", "", "pods", "io.k8s.api.core.v1.Pod"),
    ("Service", "", "services", "io.k8s.api.core.v1.Service"),
];

fn key_of(object: &Value) -> Option<(Key, &'static str)> {
    let text = |pointer: &str| {
        let text = object.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (kind, version) = (text("/kind"), text("/apiVersion"));
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let (_, group, plural, name) = LIVING
        .iter()
        .find(|(have, of, _, _)| *have == kind && *of == group)?;
    let key = (
        (*group).to_owned(),
        (*plural).to_owned(),
        text("/metadata/namespace"),
        text("/metadata/name"),
    );
    Some((key, name))
}

impl ApiServer {
    /// Reacts to a write after a while, like a controller.
    pub(crate) fn live(&self, object: &Value) {
        let Some(delay) = self.inner.config.ready_after else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        self.sweep(&runtime);
        let Some((key, type_name)) = key_of(object) else {
            return;
        };
        let server = self.clone();
        runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            server.write_status(&key, type_name);
        });
    }

    /// Collects garbage at once, so that tests need not wait long.
    fn sweep(&self, runtime: &tokio::runtime::Handle) {
        let server = self.clone();
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            loop {
                let changed = collect_garbage(&mut server.inner.store.lock());
                if !changed {
                    return;
                }
                server.bump();
                tokio::task::yield_now().await;
            }
        });
    }

    fn write_status(&self, key: &Key, type_name: &str) {
        {
            let mut store = self.inner.store.lock();
            let Some(object) = store.get(key).cloned() else {
                return;
            };
            let Some(next) = status(&object, outcome(&object)) else {
                return;
            };
            if is_same(object.get("status"), &next) {
                return;
            }
            // A Job that has started is not started again.
            if key.1 == "jobs" && object.pointer("/status/startTime").is_some() {
                return;
            }
            let mut after = (*object).clone();
            if let Value::Object(map) = &mut after {
                map.insert("status".to_owned(), next);
            }
            let now = crate::clock::now();
            let schema = crate::schema::named(type_name);
            let api_version = object.get("apiVersion").and_then(Value::as_str);
            let write = Write {
                schema: &schema,
                api_version: api_version.unwrap_or_default(),
                manager: "kube-controller-manager",
                subresource: "status",
                reset: Set::of(&[&["spec"]]),
                now: &now,
            };
            managed::update(&write, &object, &mut after, false);
            store.put(key.clone(), after);
        }
        self.bump();
    }
}
