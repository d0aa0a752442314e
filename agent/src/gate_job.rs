//! The Job of a gate: which manifest of its commit it runs, its name and its state. Pure.

use flotilla_render::Manifest;
use flotilla_shared::gate_job::{GateJob, GateJobState};
use flotilla_shared::health::Health;
use flotilla_shared::reason::Reason;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::health::{self, ObjectHealth};
use crate::plan::{DEADLINE_ANNOTATION, HOOK_ANNOTATION};
use crate::policy::Refusal;

/// Names the gate on its Job, as label and annotation.
pub const GATE_LABEL: &str = "flotilla.dev/gate";
/// Seconds for which a finished Job is kept, so that its pods' logs can be read.
const KEPT: u32 = 86_400;
/// Seconds after its timeout at which a Job counts as timed out that Kubernetes has not ended.
const GRACE: i64 = 60;

/// The one Job that a gate's directory renders to, as a hook that runs once.
///
/// # Errors
/// When it is anything else, or would never end.
pub fn prepare(manifests: &[Manifest], job: &GateJob) -> Result<Manifest, Refusal> {
    let path = job.application.path.as_str();
    let [manifest] = manifests else {
        let message = format!(
            "{path:?} renders to {} objects; the path of a gate Job must hold exactly one Job",
            manifests.len()
        );
        return Err(Refusal::new(Reason::Invalid, message));
    };
    if manifest.kind() != "Job" || manifest.group() != "batch" {
        let message = format!("{path:?} holds a {}, not a Job of batch", manifest.kind());
        return Err(Refusal::new(Reason::Invalid, message));
    }
    let mut manifest = manifest.clone();
    let value = &mut manifest.value;
    if value.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        let message = "the Job has `suspend: true` and would never run";
        return Err(Refusal::new(Reason::Invalid, message));
    }
    let timeout = u64::from(job.timeout_seconds);
    let own = value.pointer("/spec/activeDeadlineSeconds");
    let own = own.and_then(Value::as_u64);
    let limit = own.map_or(timeout, |own| own.min(timeout));
    set(value, &["spec", "activeDeadlineSeconds"], json!(limit));
    set(value, &["spec", "ttlSecondsAfterFinished"], json!(KEPT));
    let gate = job.gate.as_str();
    set(value, &["metadata", "labels", GATE_LABEL], json!(gate));
    // Annotations in Git that describe an application's hooks do not apply to a gate's Job.
    if let Some(Value::Object(all)) = value.pointer_mut("/metadata/annotations") {
        all.retain(|key, _| !key.starts_with("flotilla.dev/"));
    }
    let deadline = format!("{timeout}s");
    for (key, text) in [
        (HOOK_ANNOTATION, "pre-sync"),
        (DEADLINE_ANNOTATION, deadline.as_str()),
        (GATE_LABEL, gate),
    ] {
        set(value, &["metadata", "annotations", key], json!(text));
    }
    Ok(manifest)
}

/// Sets the value at a path of keys; a value on the way that is not a mapping is replaced.
fn set(value: &mut Value, path: &[&str], next: Value) {
    let Some((key, rest)) = path.split_first() else {
        *value = next;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    if let Value::Object(map) = value {
        set(map.entry(*key).or_insert(Value::Null), rest, next);
    }
}

/// State of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// State of the Job.
    pub state: GateJobState,
    /// Reason why it has not succeeded.
    pub reason: Option<Reason>,
    /// Message of its controller.
    pub message: String,
    /// Duration of the run, in seconds.
    pub ran_seconds: u32,
}

/// Judges a live Job, by the health of hooks.
#[must_use]
pub fn judge(live: &Value, health: ObjectHealth, timeout_seconds: u32, now: Timestamp) -> Verdict {
    let time =
        |pointer: &str| -> Option<Timestamp> { live.pointer(pointer)?.as_str()?.parse().ok() };
    let started = time("/status/startTime");
    let failed = health::condition(live, "Failed").filter(|condition| health::is_true(condition));
    let failed_at =
        failed.and_then(|condition| condition.get("lastTransitionTime")?.as_str()?.parse().ok());
    let ended = time("/status/completionTime").or(failed_at);
    let ran = started
        .zip(ended)
        .map(|(from, to)| to.duration_since(from).as_secs());
    let verdict = |state, reason, message: String| Verdict {
        state,
        reason,
        message,
        ran_seconds: ran.and_then(|ran| u32::try_from(ran).ok()).unwrap_or(0),
    };
    let limit = i64::from(timeout_seconds).saturating_add(GRACE);
    match health.health {
        Health::Current => verdict(GateJobState::Succeeded, None, String::new()),
        Health::Failed => {
            let is_late =
                failed.is_some_and(|condition| health::reason(condition) == "DeadlineExceeded");
            let state = match is_late {
                true => GateJobState::TimedOut,
                false => GateJobState::Failed,
            };
            verdict(state, Some(Reason::GateJobFailed), health.message)
        }
        Health::Terminating => verdict(GateJobState::Waiting, None, health.message),
        _ => {
            let created = time("/metadata/creationTimestamp");
            let is_over =
                created.is_some_and(|created| now.duration_since(created).as_secs() > limit);
            match is_over {
                true => verdict(
                    GateJobState::TimedOut,
                    Some(Reason::GateJobFailed),
                    "it exceeded its time limit and was not ended".to_owned(),
                ),
                false => verdict(GateJobState::Running, None, health.message),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_render::{MemoryTree, Options};

    use super::*;
    use crate::policy::samples::application;

    const JOB: &str = "apiVersion: batch/v1
kind: Job
metadata:
  name: smoke
  annotations: {flotilla.dev/hook: post-sync, flotilla.dev/hook-deadline: 23h, team: shop}
spec:
  activeDeadlineSeconds: 30
  template: {spec: {restartPolicy: Never, containers: [{name: a, image: 'example.com/a:1'}]}}
";

    fn job() -> GateJob {
        GateJob {
            gate: "smoke".parse().unwrap(),
            attempt: 0,
            timeout_seconds: 60,
            name: "shop".parse().unwrap(),
            application: application("https://h/r", "prod", "gates/smoke"),
        }
    }

    fn prepared(text: &str) -> Result<Value, Refusal> {
        let mut tree = MemoryTree::new();
        let file = "gates/smoke/job.yaml";
        tree.insert_file(file, text.as_bytes().to_vec()).unwrap();
        let rendered = flotilla_render::render(&tree, "gates/smoke", &Options::default());
        prepare(&rendered.unwrap().manifests, &job()).map(|manifest| manifest.value)
    }

    #[test]
    fn a_job_is_bounded_and_runs_once_whatever_git_says() {
        let value = prepared(JOB).unwrap();
        assert_eq!(value["spec"]["activeDeadlineSeconds"], 30);
        assert_eq!(value["spec"]["ttlSecondsAfterFinished"], KEPT);
        let expected = json!({
            "team": "shop", HOOK_ANNOTATION: "pre-sync", DEADLINE_ANNOTATION: "60s", GATE_LABEL: "smoke",
        });
        assert_eq!(value["metadata"]["annotations"], expected);
        assert_eq!(value["metadata"]["labels"], json!({GATE_LABEL: "smoke"}));
        let long = JOB.replace("activeDeadlineSeconds: 30", "activeDeadlineSeconds: 7000");
        let value = prepared(&long).unwrap();
        assert_eq!(value["spec"]["activeDeadlineSeconds"], 60);
    }

    #[test]
    fn what_is_not_one_job_that_ends_is_refused() {
        let suspended = JOB.replace("spec:\n", "spec:\n  suspend: true\n");
        let two = format!("{JOB}---\n{}", JOB.replace("name: smoke", "name: other"));
        let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        let beside = format!("{JOB}---\n{other}");
        for text in [suspended.as_str(), &two, other, &beside] {
            assert_eq!(
                prepared(text).unwrap_err().reason,
                Reason::Invalid,
                "{text}"
            );
        }
    }

    fn verdict(status: &Value, age: i64) -> Verdict {
        let created = Timestamp::new(1_790_000_000, 0).unwrap();
        let live = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "creationTimestamp": created.to_string(),
                "annotations": {HOOK_ANNOTATION: "pre-sync"},
            },
            "status": status,
        });
        let now = Timestamp::new(1_790_000_000 + age, 0).unwrap();
        judge(&live, health::compute(&live), 60, now)
    }

    #[test]
    fn only_a_job_that_completed_succeeded() {
        let (start, end) = ("2026-09-21T14:13:20Z", "2026-09-21T14:13:32Z");
        let condition = |kind: &str, reason: &str| {
            json!({"startTime": start, "conditions": [{
                "type": kind, "status": "True", "reason": reason, "message": "words",
                "lastTransitionTime": end,
            }]})
        };
        let state = |status: &Value, age| verdict(status, age).state;
        assert_eq!(state(&json!({}), 1), GateJobState::Running);
        let running = json!({"startTime": start, "active": 1});
        assert_eq!(state(&running, 59), GateJobState::Running);
        assert_eq!(
            state(&running, 120),
            GateJobState::Running,
            "its controller's turn"
        );
        assert_eq!(
            state(&running, 121),
            GateJobState::TimedOut,
            "nobody ended it"
        );
        let mut complete = condition("Complete", "");
        complete["completionTime"] = json!(end);
        let done = verdict(&complete, 9999);
        assert_eq!(
            (done.state, done.ran_seconds),
            (GateJobState::Succeeded, 12)
        );
        let failed = verdict(&condition("Failed", "BackoffLimitExceeded"), 20);
        assert_eq!(
            (failed.state, failed.ran_seconds),
            (GateJobState::Failed, 12)
        );
        assert_eq!(failed.message, "BackoffLimitExceeded: words");
        let late = condition("Failed", "DeadlineExceeded");
        assert_eq!(state(&late, 70), GateJobState::TimedOut);
    }
}
