//! Consequences of the end of a rollout.

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;

use super::super::Fleet;
use super::super::environment::{EnvironmentState, Hold, MAX_QUARANTINED, Mark, Quarantine, push};
use super::super::event::Effect;
use super::super::rollout::{Commits, Rollout, State, changed};
use super::audit;

/// Who ended a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet) enum EndCause {
    Itself,
    Person,
}

impl EnvironmentState {
    /// Handles the failure of all commits that a rollout changed. A single one is quarantined; of several it is not
    /// known which is at fault, so each is tried by itself and no good one is quarantined because of a bad one; what
    /// cannot be tried alone is quarantined when it has failed again.
    pub(in crate::fleet) fn condemn(
        &mut self,
        changed: &Commits,
        failed: Commits,
        rollout: &Rollout,
        now: Timestamp,
    ) {
        let failed_before = |(repository, commit)| self.suspects.get(repository) == Some(commit);
        if changed.len() > 1 && !failed.iter().all(failed_before) {
            self.suspects.extend(failed);
        } else if !failed.is_empty() {
            self.quarantine_all(failed, rollout, now);
        }
    }

    /// Returns the commits that a rollout made good: those that it included, except unproven ones.
    fn proven(&self, rollout: &Rollout, unproven: &[RepositoryName]) -> Commits {
        let mut proven = rollout.target.clone();
        for repository in unproven {
            self.hold_back(&mut proven, repository);
        }
        proven
    }

    /// Handles a rollout that failed or was aborted.
    fn rolled_back(&mut self, rollout: &Rollout, ended_by: EndCause, now: Timestamp) {
        let changed = rollout.changed();
        if ended_by == EndCause::Person && !changed.is_empty() {
            self.quarantine_all(changed.clone(), rollout, now);
        } else {
            self.condemn(&changed, changed.clone(), rollout, now);
        }
        let mark = Mark {
            by: HUB_ACTOR.to_owned(),
            reason: format!("{} was rolled back: {}", rollout.id, rollout.note),
            at: now,
        };
        self.hold_promotions(Hold::of(mark, rollout.id.clone(), changed.keys()));
    }

    /// Quarantines commits.
    fn quarantine_all(&mut self, commits: Commits, rollout: &Rollout, now: Timestamp) {
        self.suspects
            .retain(|repository, commit| commits.get(repository) != Some(commit));
        let quarantine = Quarantine {
            commits,
            rollout: rollout.id.clone(),
            reason: rollout.note.clone(),
            at: now,
        };
        push(&mut self.quarantined, MAX_QUARANTINED, quarantine);
    }
}

impl Fleet {
    /// Draws the consequences of the end of a rollout.
    pub(in crate::fleet) fn conclude(
        &mut self,
        rollout: &Rollout,
        ended_by: EndCause,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(rollout.state, State::Succeeded | State::RolledBack) {
            return;
        }
        let unproven = self.unproven(rollout);
        let name = &rollout.environment;
        let none = EnvironmentState::default();
        let state = self.environments.get(name).unwrap_or(&none);
        // Unchanged declarations use no repository that they did not name before.
        let proven = self.completed(state, state.proven(rollout, &unproven));
        let versions = &mut self.versions;
        self.environments.change(name, versions, effects, |state| {
            if rollout.state == State::Succeeded {
                let news = changed(&rollout.from, &proven);
                state.approve(proven, rollout.id.clone(), rollout.epoch, now);
                state.lift_hold(&news);
            } else {
                state.rolled_back(rollout, ended_by, now);
            }
        });
    }

    /// Ends the rollout of an environment that is no longer in the fleet file. Its clusters stay where they are, and if
    /// the environment returns, the next rollout continues from there.
    pub(super) fn abandon(
        &mut self,
        name: &EnvironmentName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if self.rollouts.running(name).is_none() {
            return;
        }
        let note = format!("environment {name} is no longer in the fleet file");
        let versions = &mut self.versions;
        let entry = self.rollouts.change(name, versions, effects, |rollout| {
            rollout.end(State::Superseded, note, now);
            audit(rollout, AuditAction::RolloutSuperseded, now)
        });
        effects.extend(entry.map(Effect::Audit));
    }
}
