//! Commands with which an operator can open a gate.

use flotilla_shared::id::EnvironmentName;
use flotilla_shared::reason::Reason;

use super::gate::{self, Gate, GateKind, Open};
use super::rollout::Commits;

/// Returns the command that opens a gate which time does not open; none: time does, or a pending answer. `waiting` are
/// the commits without an override.
#[must_use]
pub fn act(gate: &Gate, environment: &EnvironmentName, waiting: &Commits) -> Option<String> {
    let opens_by_itself = gate.opens_at.is_some() && !gate.lasting;
    if !gate.holds_back() || opens_by_itself {
        return None;
    }
    let commit = || Some(gate.commit.as_ref().or(waiting.values().next())?.short());
    match gate.gate {
        GateKind::Pause => Some(format!("to continue: flotilla resume {environment}")),
        GateKind::Check | GateKind::Job if gate.open == Open::NotYet => None,
        GateKind::Job if gate.reason == Some(Reason::GateJobFailed) => {
            commit()?;
            Some(format!("to run it again: flotilla retry {environment}"))
        }
        GateKind::Approval => Some(format!(
            "to approve: flotilla approve {environment} --commit {}",
            commit()?
        )),
        // An admin can override any gate.
        _ => Some(format!(
            "to override: flotilla promote {environment} --force --commit {} --reason TEXT",
            commit()?
        )),
    }
}

/// Returns the first gate that holds something back, in words, with the command that opens it.
#[must_use]
pub fn closed(gates: &[Gate], environment: &EnvironmentName, waiting: &Commits) -> Option<String> {
    let text = gate::closed(gates)?;
    let mut held = gates.iter().filter(|gate| gate.holds_back());
    Some(
        match held.find_map(|gate| act(gate, environment, waiting)) {
            Some(act) => format!("{text}; {act}"),
            None => text,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_holds_a_commit_back_can_be_opened_by_a_person() {
        let environment: EnvironmentName = "prod".parse().unwrap();
        let waiting: Commits = [("fleet".parse().unwrap(), "a".repeat(40).parse().unwrap())].into();
        for kind in GateKind::ALL {
            let gate = Gate::new(*kind, "", Open::No, "closed".to_owned());
            let told = act(&gate, &environment, &waiting).unwrap();
            assert!(told.contains(": flotilla "), "{kind}: {told}");
            let open = Gate::new(*kind, "", Open::Yes, "open".to_owned());
            assert_eq!(act(&open, &environment, &waiting), None, "{kind}");
        }
    }
}
