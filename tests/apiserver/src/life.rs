//! Enough life to be a cluster: workloads become ready after a while, or fail on request.
//!
//! An object fails when its annotation `simulator.flotilla.dev/outcome` says `fail`, or one of its
//! images has the tag `broken`; it never becomes ready where the annotation says `never`.

use serde_json::{Value, json};

use crate::ApiServer;
use crate::store::Key;

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
                let image = container
                    .get("image")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                image.ends_with(":broken")
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

/// The status that a controller would write for an outcome; none for kinds without a life.
fn status(object: &Value, outcome: Outcome) -> Option<Value> {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let generation = number("/metadata/generation").unwrap_or(1);
    let replicas = number("/spec/replicas").unwrap_or(1);
    let ready = if outcome == Outcome::Ready {
        replicas
    } else {
        0
    };
    let kind = object.get("kind").and_then(Value::as_str)?;
    Some(match kind {
        "Deployment" => {
            let progressing = match outcome {
                Outcome::Ready => {
                    json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "ReplicaSet has successfully progressed."})
                }
                Outcome::Fail => {
                    json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet has timed out progressing."})
                }
                Outcome::Never => {
                    json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "ReplicaSet is progressing."})
                }
            };
            let available = if ready == replicas { "True" } else { "False" };
            json!({
                "observedGeneration": generation,
                "replicas": replicas,
                "updatedReplicas": replicas,
                "readyReplicas": ready,
                "availableReplicas": ready,
                "conditions": [
                    {"type": "Available", "status": available, "reason": "MinimumReplicasAvailable", "message": ""},
                    progressing,
                ],
            })
        }
        "StatefulSet" => json!({
            "observedGeneration": generation,
            "replicas": replicas,
            "readyReplicas": ready,
            "currentReplicas": replicas,
            "updatedReplicas": replicas,
            "currentRevision": "1",
            "updateRevision": "1",
        }),
        "DaemonSet" => {
            let ready = i64::from(outcome == Outcome::Ready);
            json!({
                "observedGeneration": generation,
                "desiredNumberScheduled": 1,
                "currentNumberScheduled": 1,
                "updatedNumberScheduled": 1,
                "numberAvailable": ready,
                "numberReady": ready,
            })
        }
        "Job" => match outcome {
            Outcome::Ready => json!({
                "startTime": crate::verbs::now(),
                "succeeded": 1,
                "conditions": [{"type": "Complete", "status": "True"}],
            }),
            Outcome::Fail => json!({
                "startTime": crate::verbs::now(),
                "failed": 1,
                "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}],
            }),
            Outcome::Never => json!({ "startTime": crate::verbs::now(), "active": 1 }),
        },
        "PersistentVolumeClaim" if outcome == Outcome::Ready => json!({ "phase": "Bound" }),
        "PersistentVolumeClaim" => json!({ "phase": "Pending" }),
        _ => return None,
    })
}

fn key_of(object: &Value) -> Option<(Key, &'static str)> {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (group, plural) = match text("/kind").as_str() {
        "Deployment" => ("apps", "deployments"),
        "StatefulSet" => ("apps", "statefulsets"),
        "DaemonSet" => ("apps", "daemonsets"),
        "Job" => ("batch", "jobs"),
        "PersistentVolumeClaim" => ("", "persistentvolumeclaims"),
        _ => return None,
    };
    let key = (
        group.to_owned(),
        plural.to_owned(),
        text("/metadata/namespace"),
        text("/metadata/name"),
    );
    Some((key, plural))
}

impl ApiServer {
    /// Takes note of a write: its controller will react after a while.
    pub(crate) fn live(&self, object: &Value) {
        let Some(delay) = self.inner.config.ready_after else {
            return;
        };
        let Some((key, _)) = key_of(object) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let server = self.clone();
        runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            server.settle(&key);
        });
    }

    fn settle(&self, key: &Key) {
        let changed = {
            let mut store = self.inner.store.lock();
            let Some(object) = store.objects.get(key).cloned() else {
                return;
            };
            let Some(next) = status(&object, outcome(&object)) else {
                return;
            };
            if object.get("status") == Some(&next) {
                return;
            }
            // What has completed does not start again.
            if key.1 == "jobs" && object.get("status").is_some() {
                return;
            }
            let mut after = object.clone();
            if let Value::Object(map) = &mut after {
                map.insert("status".to_owned(), next);
            }
            let now = crate::verbs::now();
            let manager = "kube-controller-manager";
            crate::apply::track_update(&object, &mut after, manager, "status", false, &now);
            store.put(key.clone(), after);
            true
        };
        if changed {
            self.bump();
        }
    }
}
