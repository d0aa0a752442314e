//! Decisions that keep commits out of an environment, whatever its gates say: failures, holds, pauses and pins.
//! Together with the gates these are all reasons for which a commit is held back.

use flotilla_shared::id::EnvironmentName;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::Fleet;
use super::environment::{EnvironmentState, Hold, Mark, Pin, Quarantine};
use super::gate::{Gate, GateKind, Open};
use super::rollout::Commits;
use crate::spec::Environment;

/// A decision that keeps commits out of an environment, whatever its gates say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop<'s> {
    /// The commits failed and are not retried; the commit is the first of them that is asked for.
    Failure(&'s Quarantine, &'s Commit),
    /// Automatic promotions are held after a failure.
    Hold(&'s Hold),
    /// An operator paused the environment's rollouts.
    Pause(&'s Mark),
    /// The environment is pinned.
    Pin(&'s Pin),
}

impl Stop<'_> {
    /// Returns it as a gate; none: it stops only automatic promotions, and an operator may promote.
    #[must_use]
    pub fn gate(&self) -> Option<Gate> {
        match self {
            Self::Failure(quarantine, _) => Some(of_failure(quarantine)),
            Self::Pause(mark) => Some(of_pause(mark)),
            Self::Hold(_) | Self::Pin(_) => None,
        }
    }
}

/// Returns what stops these commits in an environment, with one entry for each failure.
#[must_use]
pub fn stops<'s>(state: &'s EnvironmentState, commits: &'s Commits) -> Vec<Stop<'s>> {
    let failures = state.quarantines_among(commits).into_iter();
    failures
        .map(|(quarantine, commit)| Stop::Failure(quarantine, commit))
        .chain(state.hold.as_ref().map(Stop::Hold))
        .chain(state.paused.as_ref().map(Stop::Pause))
        .chain(state.pin.as_ref().map(Stop::Pin))
        .collect()
}

impl Fleet {
    /// Returns what stops these commits in an environment, whatever its gates say.
    #[must_use]
    pub fn stops<'s>(
        &'s self,
        environment: &EnvironmentName,
        commits: &'s Commits,
    ) -> Vec<Stop<'s>> {
        let state = self.environments.get(environment);
        state.map_or_else(Vec::new, |state| stops(state, commits))
    }

    /// Returns everything that holds these commits back when an operator promotes them: the gates, and decisions.
    #[must_use]
    pub fn all_gates(
        &self,
        environment: &Environment,
        commits: &Commits,
        now: Timestamp,
    ) -> Vec<Gate> {
        let mut gates = self.gates(environment, commits, now);
        let mut stops = self.stops(&environment.name, commits);
        // One failure is enough.
        stops.dedup_by(|next, first| {
            matches!((first, next), (Stop::Failure(..), Stop::Failure(..)))
        });
        gates.extend(stops.iter().filter_map(Stop::gate));
        gates
    }
}

/// Makes the gate of a quarantine.
#[must_use]
pub fn of_failure(quarantine: &Quarantine) -> Gate {
    let text = format!("these commits failed: {}", quarantine.reason);
    let subject = quarantine.rollout.as_str();
    let mut gate = Gate::new(GateKind::Quarantine, subject, Open::No, text);
    gate.lasting = true;
    gate.at = Some(quarantine.at);
    gate
}

/// Makes the gate of a pause.
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

    use super::*;

    #[test]
    fn a_failure_lasts_and_a_pause_does_not_and_what_comes_by_itself_is_stopped_by_more() {
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
        let mark = Mark {
            by: "ada".to_owned(),
            reason: "lunch".to_owned(),
            at,
        };
        state.paused = Some(mark.clone());
        let hold = Hold::of(mark.clone(), "prod-2".to_owned(), commits.keys());
        state.hold = Some(hold.clone());
        let pin = Pin {
            commits: commits.clone(),
            mark: mark.clone(),
            epoch: 1,
            expires_at: None,
            approval: None,
            unproven: false,
            in_place: false,
        };
        state.pin = Some(pin.clone());
        let all = stops(&state, &commits);
        let commit = commits.values().next().unwrap();
        assert_eq!(
            all,
            [
                Stop::Failure(&state.quarantined[0], commit),
                Stop::Hold(&hold),
                Stop::Pause(&mark),
                Stop::Pin(&pin),
            ]
        );
        // An operator may promote past a hold and a pin.
        let told: Vec<Gate> = all.iter().filter_map(Stop::gate).collect();
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
