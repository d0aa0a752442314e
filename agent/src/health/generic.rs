//! Health of an object without a rule for its kind: conditions by the sense of their type, words for
//! states, flags, counts, and the states of its parts. Everything in the status that speaks against the
//! object counts; what is missing is taken as good, as in kstatus.

use serde_json::Value;

use super::words::{Sense, of_state};
use super::{ObjectHealth, condition, conditions, integer, is_true, parts, text};

/// Where controllers put the state of the whole object, apart from the top of the status.
const STATES: &[&str] = &[
    "/status/conditions/phase",
    "/status/sync/status",
    "/status/health/status",
    "/status/provisioning/state",
    "/status/lastOperation/state",
    "/status/step",
];

/// Flags that count whatever the conditions say.
const FLAGS: &[&str] = &[
    "/status/ready",
    "/status/healthy",
    "/status/available",
    "/status/synced",
    "/status/isReady",
    "/status/initialized",
    "/status/provisioned",
    "/status/reconciled",
    "/status/running",
    "/status/succeeded",
    "/status/connected",
];

/// Counts that a specification asks for, and where the status reports them.
const COUNTS: &[(&str, &[&str])] = &[
    (
        "/spec/replicas",
        &["readyReplicas", "availableReplicas", "updatedReplicas"],
    ),
    ("/spec/instances", &["readyInstances"]),
    (
        "/spec/size",
        &["readyReplicas", "readyNodes", "readyMembers"],
    ),
    ("/spec/members", &["readyMembers", "readyReplicas"]),
    ("/spec/nodes", &["readyNodes"]),
    (
        "/status/replicas",
        &["readyReplicas", "availableReplicas", "updatedReplicas"],
    ),
    (
        "/status/desiredReplicas",
        &["currentReplicas", "readyReplicas"],
    ),
    (
        "/status/desiredNumberScheduled",
        &["numberReady", "numberAvailable", "updatedNumberScheduled"],
    ),
];

/// Where a specification asks its controller to leave the object alone.
pub(super) const PAUSES: &[&str] = &[
    "/spec/suspend",
    "/spec/suspended",
    "/spec/paused",
    "/spec/pause",
    "/spec/stopped",
    "/spec/hibernate",
    "/spec/hibernation/enabled",
    "/spec/disabled",
    "/spec/pgbouncer/paused",
    "/spec/updateStrategy/paused",
    "/spec/updateStrategy/rollingUpdate/paused",
];

pub(super) fn compute(object: &Value) -> ObjectHealth {
    if let Some(condition) = condition(object, "Stalled").filter(|c| is_true(c)) {
        return ObjectHealth::failed(text(condition));
    }
    if let Some(condition) = condition(object, "Reconciling").filter(|c| is_true(c)) {
        return ObjectHealth::in_progress(text(condition));
    }
    let findings = findings(object);
    let worst = |health| findings.iter().find(|(found, _)| *found == health);
    if let Some((_, why)) = worst(Sense::Bad) {
        return ObjectHealth::failed(why.as_str());
    }
    if PAUSES
        .iter()
        .any(|path| object.pointer(path) == Some(&Value::Bool(true)))
    {
        return ObjectHealth::suspended("suspended by its spec");
    }
    if let Some((_, why)) = worst(Sense::Paused) {
        return ObjectHealth::suspended(why.as_str());
    }
    if let Some((_, why)) = worst(Sense::Going) {
        return ObjectHealth::in_progress(why.as_str());
    }
    ObjectHealth::current()
}

/// Everything the status says that is not plainly good.
fn findings(object: &Value) -> Vec<(Sense, String)> {
    let mut findings = Vec::new();
    let list = object.pointer("/status/conditions");
    if let Some(list) = list.and_then(Value::as_array) {
        conditions::judge(object, list, "", &mut findings);
        if list.is_empty() {
            let text = "its controller has not written any conditions yet";
            findings.push((Sense::Going, text.to_owned()));
        }
    }
    parts::judge(object, &mut findings);
    for path in STATES {
        if let Some(word) = object.pointer(path).and_then(Value::as_str) {
            let sense = of_state(word);
            if sense != Sense::Good {
                let name = path.rsplit('/').next().unwrap_or_default();
                findings.push((sense, parts::one_line(object, name, word)));
            }
        }
    }
    for path in FLAGS {
        if object.pointer(path) == Some(&Value::Bool(false)) {
            let name = path.rsplit('/').next().unwrap_or_default();
            findings.push((Sense::Going, format!("{name} is false")));
        }
    }
    for (asked, parts) in COUNTS {
        let Some(goal) = integer(object, asked) else {
            continue;
        };
        for name in *parts {
            if let Some(have) = integer(object, &format!("/status/{name}"))
                && have < goal
            {
                findings.push((Sense::Going, format!("{name} is {have} of {goal}")));
            }
        }
    }
    findings
}
