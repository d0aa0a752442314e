//! Conditions by the sense of their type, wherever in a status they stand.

use serde_json::Value;

use super::words::{Sense, of_reason, of_type};
use super::{is_true, reason, stale, status, text};

/// The conditions that speak for the whole object: where one of them is good, a condition of a part is
/// not asked for progress.
const SUMMARIES: &[&str] = &["Ready", "Available", "Healthy", "Succeeded", "Complete"];

/// More conditions than anybody reads.
const MAX_CONDITIONS: usize = 1000;

fn kind(condition: &Value) -> Option<&str> {
    condition.get("type").and_then(Value::as_str)
}

/// What the conditions say about the object as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// One of [`SUMMARIES`] holds.
    Good,
    NotKnown,
}

impl Whole {
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
    let whole = Whole::of(list);
    for condition in list.iter().take(MAX_CONDITIONS) {
        let Some(kind) = kind(condition) else {
            continue;
        };
        let sense = sense(kind, condition, whole);
        // What speaks of an older specification says nothing final of this one.
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

fn sense(kind: &str, condition: &Value, whole: Whole) -> Sense {
    let holds = status(condition);
    let Some(meaning) = of_type(kind) else {
        // Whether it should hold is not known; a reason that names a failure is one either way.
        return match (holds, of_reason(reason(condition))) {
            ("True" | "False", Sense::Bad) if whole != Whole::Good => Sense::Bad,
            ("Unknown", _) if whole != Whole::Good => Sense::Going,
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
            if is_main || whole != Whole::Good {
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
