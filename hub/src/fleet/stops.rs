//! What was decided about an environment and holds commits up there as gates do: a failure, and a pause.

use super::environment::{EnvironmentState, Mark, Quarantine};
use super::gates::{Gate, GateKind, Open};
use super::rollout::Commits;

/// What stops these commits in an environment, whatever its gates say.
#[must_use]
pub fn stops(state: &EnvironmentState, commits: &Commits) -> Vec<Gate> {
    let failure = state.quarantine(commits).map(of_failure);
    let pause = state.paused.as_ref().map(of_pause);
    failure.into_iter().chain(pause).collect()
}

/// Commits failed, and are not tried again.
#[must_use]
pub fn of_failure(quarantine: &Quarantine) -> Gate {
    let text = format!("these commits failed: {}", quarantine.reason);
    let subject = quarantine.rollout.as_str();
    let mut gate = Gate::new(GateKind::Quarantine, subject, Open::No, text);
    gate.lasting = true;
    gate.at = Some(quarantine.at);
    gate
}

/// Somebody stopped the environment's rollouts.
#[must_use]
pub fn of_pause(mark: &Mark) -> Gate {
    let text = mark.reason.clone();
    let mut gate = Gate::new(GateKind::Pause, mark.by.as_str(), Open::NotYet, text);
    gate.at = Some(mark.at);
    gate
}

#[cfg(test)]
mod tests {
    use flotilla_shared::reason::Reason;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_failure_lasts_and_a_pause_does_not() {
        let commits: Commits = [("fleet".parse().unwrap(), "a".repeat(40).parse().unwrap())].into();
        let at = Timestamp::UNIX_EPOCH;
        let mut state = EnvironmentState::default();
        assert!(stops(&state, &commits).is_empty());
        state.quarantined.push_back(Quarantine {
            commits: commits.clone(),
            rollout: "prod-2".to_owned(),
            reason: "1 failed".to_owned(),
            at,
        });
        state.paused = Some(Mark {
            by: "ada".to_owned(),
            reason: "lunch".to_owned(),
            at,
        });
        let told = stops(&state, &commits);
        let [failure, pause] = told.as_slice() else {
            panic!("{told:#?}");
        };
        assert!(failure.holds_back() && failure.lasting);
        assert_eq!(failure.reason, Some(Reason::Quarantined));
        assert_eq!(failure.text, "these commits failed: 1 failed");
        assert!(pause.holds_back() && !pause.lasting);
        assert_eq!(pause.reason, Some(Reason::Paused));
        assert_eq!((pause.subject.as_str(), pause.at), ("ada", Some(at)));
    }
}
