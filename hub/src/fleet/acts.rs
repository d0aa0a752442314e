//! What a person can do about a gate, as the command line takes it.

use flotilla_shared::id::EnvironmentName;
use flotilla_shared::reason::Reason;

use super::gates::{self, Gate, Open};
use super::rollout::Commits;

/// What opens a gate that time does not open; none: time does, or somebody who was asked and has not answered
/// yet. `waiting` are the commits that nobody overrode the gates for.
#[must_use]
pub fn act(gate: &Gate, environment: &EnvironmentName, waiting: &Commits) -> Option<String> {
    let opens_by_itself = gate.opens_at.is_some() && !gate.lasting;
    let is_asked = matches!(gate.gate, "check" | "job") && gate.open == Open::NotYet;
    if !gate.holds_back() || opens_by_itself || is_asked {
        return None;
    }
    let commit = gate.commit.as_ref().or(waiting.values().next())?.short();
    Some(match gate.gate {
        "job" if gate.reason == Some(Reason::GateJobFailed) => {
            format!("flotilla retry {environment} runs it again")
        }
        "approval" => format!("flotilla approve {environment} --commit {commit} gives one"),
        _ => format!(
            "flotilla promote {environment} --force --commit {commit} --reason TEXT overrides it"
        ),
    })
}

/// The first gate that holds something back, in words, and what opens it.
#[must_use]
pub fn closed(gates: &[Gate], environment: &EnvironmentName, waiting: &Commits) -> Option<String> {
    let said = gates::closed(gates)?;
    let mut held = gates.iter().filter(|gate| gate.holds_back());
    Some(
        match held.find_map(|gate| act(gate, environment, waiting)) {
            Some(act) => format!("{said}; {act}"),
            None => said,
        },
    )
}
