//! Conditions by the sense of their type, wherever they are in a status.

use serde_json::Value;

use super::words::{Sense, of_reason, of_type};
use super::{is_true, reason, stale, status, text};

/// The conditions that are about the whole object: if one of them is good, a condition of a part that does
/// not hold yet does not count against it.
const SUMMARIES: &[&str] = &["Ready", "Available", "Healthy", "Succeeded", "Complete"];

/// More conditions than any controller writes.
const MAX_CONDITIONS: usize = 1000;

fn kind(condition: &Value) -> Option<&str> {
    condition.get("type").and_then(Value::as_str)
}

/// What the conditions say about the object as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectSummary {
    /// One of [`SUMMARIES`] holds.
    Good,
    NotKnown,
}

impl ObjectSummary {
    pub(super) fn of(list: &[Value]) -> Self {
        let is_summary = |c: &Value| kind(c).is_some_and(|kind| SUMMARIES.contains(&kind));
        match list.iter().any(|c| is_summary(c) && is_true(c)) {
            true => Self::Good,
            false => Self::NotKnown,
        }
    }
}

/// Adds findings of conditions that are not clearly good; `place` is their path.
pub(super) fn judge(
    object: &Value,
    list: &[Value],
    place: &str,
    findings: &mut Vec<(Sense, String)>,
) {
    let whole = ObjectSummary::of(list);
    for condition in list.iter().take(MAX_CONDITIONS) {
        let Some(kind) = kind(condition) else {
            continue;
        };
        let sense = sense(kind, condition, whole);
        // A condition about an older generation says nothing final about this one.
        let is_old = stale(object, condition);
        let sense = if is_old && (sense != Sense::Good || SUMMARIES.contains(&kind)) {
            Sense::Going
        } else {
            sense
        };
        if sense != Sense::Good {
            findings.push((
                sense,
                format!(
                    "{place}{kind} is {}: {}",
                    status(condition),
                    text(condition)
                ),
            ));
        }
    }
}

fn sense(kind: &str, condition: &Value, whole: ObjectSummary) -> Sense {
    let holds = status(condition);
    let Some(meaning) = of_type(kind) else {
        // It is not known which status of this type is good, but a reason that names a failure is bad either
        // way.
        return match (holds, of_reason(reason(condition))) {
            ("True" | "False", Sense::Bad) if whole != ObjectSummary::Good => Sense::Bad,
            ("Unknown", _) if whole != ObjectSummary::Good => Sense::Going,
            _ => Sense::Good,
        };
    };
    let blame = || match of_reason(reason(condition)) {
        Sense::Bad => Sense::Bad,
        _ => Sense::Going,
    };
    match (meaning, holds) {
        // Conditions that are good when true.
        (Sense::Good, "True") => Sense::Good,
        (Sense::Good, "False" | "Unknown") => {
            let is_main =
                SUMMARIES.contains(&kind) || matches!(kind, "Synced" | "Accepted" | "Valid");
            if is_main || whole != ObjectSummary::Good {
                blame()
            } else {
                Sense::Good
            }
        }
        // Conditions that are bad when true.
        (Sense::Bad, "True") => Sense::Bad,
        // Progress: over, under way, or failed.
        (Sense::Going, "True") if reason(condition) == "NewReplicaSetAvailable" => Sense::Good,
        (Sense::Going, "True") => Sense::Going,
        (Sense::Going, "False") if reason(condition).ends_with("DeadlineExceeded") => Sense::Bad,
        (Sense::Paused, "True") => Sense::Paused,
        _ => Sense::Good,
    }
}
