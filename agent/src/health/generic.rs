//! How an object of a kind nobody wrote a rule for is read: conditions by the sense of their type, words
//! for states, and counts. Whatever the status says against the object counts; what is not said is taken
//! for good, as kstatus does.

use serde_json::Value;

use super::words::{Sense, of_reason, of_state, of_type};
use super::{ObjectHealth, condition, integer, is_true, reason, stale, status, text};

/// Where controllers put the word for the state of the whole object.
const STATES: &[&str] = &[
    "/status/phase",
    "/status/state",
    "/status/status",
    "/status/health",
    "/status/healthStatus",
    "/status/currentState",
    "/status/syncState",
    "/status/conditions/phase",
    "/status/sync/status",
    "/status/health/status",
    "/status/lifecycleState",
    "/status/provisioningState",
    "/status/provisioning/state",
    "/status/clusterStatus",
    "/status/clusterPhase",
    "/status/deploymentState",
    "/status/deploymentStatus",
    "/status/jobStatus",
    "/status/jobState",
    "/status/instanceStatus",
    "/status/instanceState",
    "/status/overallStatus",
    "/status/reconcileStatus",
    "/status/reconciliationStatus",
    "/status/syncStatus",
    "/status/resourceStatus",
    "/status/connectionState",
    "/status/connectionStatus",
    "/status/operationState",
    "/status/lastOperation/state",
    "/status/stage",
    "/status/step",
];

/// Where they put an error in words.
const ERRORS: &[&str] = &[
    "/status/error",
    "/status/errorMessage",
    "/status/failureMessage",
    "/status/failureReason",
    "/status/lastError",
];

/// Where they say yes or no.
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

/// What a specification asks for, and where the status says how much of it is there.
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

/// The conditions that speak for the whole object: where one of them is good, a condition of a part is
/// not asked for progress.
const SUMMARIES: &[&str] = &["Ready", "Available", "Healthy", "Succeeded", "Complete"];

/// More conditions than anybody reads.
const MAX_CONDITIONS: usize = 1000;

pub(super) fn compute(object: &Value) -> ObjectHealth {
    if let Some(condition) = condition(object, "Stalled").filter(|c| is_true(c)) {
        return ObjectHealth::failed(text(condition));
    }
    if let Some(condition) = condition(object, "Reconciling").filter(|c| is_true(c)) {
        return ObjectHealth::in_progress(text(condition));
    }
    let said = said(object);
    let worst = |health| said.iter().find(|(found, _)| *found == health);
    if let Some((_, why)) = worst(Sense::Bad) {
        return ObjectHealth::failed(why.as_str());
    }
    if PAUSES
        .iter()
        .any(|path| object.pointer(path) == Some(&Value::Bool(true)))
    {
        return ObjectHealth::suspended("its specification suspends it");
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
fn said(object: &Value) -> Vec<(Sense, String)> {
    let mut said = Vec::new();
    conditions(object, &mut said);
    for path in STATES {
        if let Some(word) = object.pointer(path).and_then(Value::as_str) {
            let sense = of_state(word);
            if sense != Sense::Good {
                let message = object.pointer("/status/message").and_then(Value::as_str);
                let name = path.rsplit('/').next().unwrap_or_default();
                said.push((sense, one_line(name, word, message)));
            }
        }
    }
    for path in ERRORS {
        if let Some(error) = object.pointer(path).and_then(Value::as_str)
            && !error.is_empty()
        {
            said.push((Sense::Bad, error.to_owned()));
        }
    }
    for path in FLAGS {
        if object.pointer(path) == Some(&Value::Bool(false)) {
            let name = path.rsplit('/').next().unwrap_or_default();
            said.push((Sense::Going, format!("{name} is false")));
        }
    }
    for (asked, parts) in COUNTS {
        let Some(wanted) = integer(object, asked) else {
            continue;
        };
        for name in *parts {
            if let Some(have) = integer(object, &format!("/status/{name}"))
                && have < wanted
            {
                said.push((Sense::Going, format!("{name} is {have} of {wanted}")));
            }
        }
    }
    said
}

fn one_line(name: &str, word: &str, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{name} is {word}: {message}"),
        _ => format!("{name} is {word}"),
    }
}

fn conditions(object: &Value, said: &mut Vec<(Sense, String)>) {
    let Some(list) = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
    else {
        return;
    };
    let kind = |c: &Value| c.get("type").and_then(Value::as_str).map(str::to_owned);
    let is_summary = |c: &Value| kind(c).is_some_and(|kind| SUMMARIES.contains(&kind.as_str()));
    let is_whole = list.iter().any(|c| is_summary(c) && is_true(c));
    for condition in list.iter().take(MAX_CONDITIONS) {
        let Some(kind) = kind(condition) else {
            continue;
        };
        let sense = sense(&kind, condition, is_whole);
        // What speaks of an older specification says nothing final of this one.
        let is_old = stale(object, condition);
        let sense = if is_old && (sense != Sense::Good || SUMMARIES.contains(&kind.as_str())) {
            Sense::Going
        } else {
            sense
        };
        if sense != Sense::Good {
            said.push((
                sense,
                format!("{kind} is {}: {}", status(condition), text(condition)),
            ));
        }
    }
}

fn sense(kind: &str, condition: &Value, is_whole: bool) -> Sense {
    let holds = status(condition);
    let Some(meaning) = of_type(kind) else {
        // Whether it should hold is not known; a reason that names a failure is one either way.
        return match (holds, of_reason(reason(condition))) {
            ("True" | "False", Sense::Bad) if !is_whole => Sense::Bad,
            ("Unknown", _) if !is_whole => Sense::Going,
            _ => Sense::Good,
        };
    };
    let blame = || match of_reason(reason(condition)) {
        Sense::Bad => Sense::Bad,
        _ => Sense::Going,
    };
    match (meaning, holds) {
        // A condition that should hold.
        (Sense::Good, "True") => Sense::Good,
        (Sense::Good, "False" | "Unknown") => {
            let is_main =
                SUMMARIES.contains(&kind) || matches!(kind, "Synced" | "Accepted" | "Valid");
            if is_main || !is_whole {
                blame()
            } else {
                Sense::Good
            }
        }
        // One that should not.
        (Sense::Bad, "True") => Sense::Bad,
        // Progress that ended, or that ended badly.
        (Sense::Going, "True") if reason(condition) == "NewReplicaSetAvailable" => Sense::Good,
        (Sense::Going, "True") => Sense::Going,
        (Sense::Going, "False") if reason(condition).ends_with("DeadlineExceeded") => Sense::Bad,
        (Sense::Paused, "True") => Sense::Paused,
        _ => Sense::Good,
    }
}
