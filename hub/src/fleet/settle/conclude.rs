//! What the end of a rollout means for its environment.

use flotilla_shared::id::EnvironmentName;
use jiff::Timestamp;

use super::super::Fleet;
use super::super::environment::{EnvironmentState, Hold, MAX_QUARANTINED, Mark, Quarantine, push};
use super::super::event::Effect;
use super::super::rollout::{Commits, Rollout, State};
use super::{HUB, audit};

impl EnvironmentState {
    /// Commits failed, of all that a rollout changed. One alone is quarantined; of several nobody knows which
    /// is at fault, and each is tried by itself, so that no good one shares the fate of a bad one.
    pub(in crate::fleet) fn condemn(
        &mut self,
        changed: &Commits,
        failed: Commits,
        rollout: &Rollout,
        now: Timestamp,
    ) {
        if changed.len() > 1 {
            self.suspects.extend(failed);
        } else if !failed.is_empty() {
            self.quarantine_all(failed, rollout, now);
        }
    }

    /// Commits are not tried again.
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
    /// What the end of a rollout means; `person`: one ended it.
    pub(in crate::fleet) fn conclude(
        &mut self,
        rollout: &Rollout,
        person: bool,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let state = self
            .environments
            .entry(rollout.environment.clone())
            .or_default();
        match rollout.state {
            State::Succeeded => {
                state.approve(
                    rollout.target.clone(),
                    rollout.id.clone(),
                    rollout.epoch,
                    now,
                );
                state.hold = None;
            }
            State::RolledBack => {
                let changed = rollout.changed();
                if person && !changed.is_empty() {
                    state.quarantine_all(changed, rollout, now);
                } else {
                    state.condemn(&changed, changed.clone(), rollout, now);
                }
                let mark = Mark {
                    by: HUB.to_owned(),
                    reason: format!("{} was rolled back: {}", rollout.id, rollout.note),
                    at: now,
                };
                state.hold = Some(Hold {
                    mark,
                    rolled_back: rollout.id.clone(),
                });
            }
            _ => return,
        }
        let state = Box::new(state.clone());
        effects.push(Effect::StoreEnvironment(rollout.environment.clone(), state));
    }

    /// An environment is not in the fleet file any more: its rollout goes on nowhere. Its clusters stay
    /// where they are, and should it come back, the next rollout goes on from there.
    pub(super) fn abandon(
        &mut self,
        name: &EnvironmentName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(rollout) = self.rollouts.get_mut(name) else {
            return;
        };
        if rollout.state.is_over() {
            return;
        }
        let note = format!("environment {name} is not in the fleet file any more");
        rollout.end(State::Superseded, note, now);
        let rollout = rollout.clone();
        effects.push(Effect::Audit(audit(&rollout, "rollout superseded", now)));
        effects.push(Effect::StoreRollout(Box::new(rollout)));
        self.touch_environments();
    }
}
