//! One step of an environment's rollout, and its effect on clusters.

mod shown;

use std::collections::BTreeSet;

use flotilla_shared::id::ClusterName;
use flotilla_status::AuditAction;
use jiff::Timestamp;

use self::shown::StepContext;
use super::super::event::Effect;
use super::super::rollout::{Changes, Phase, Recovery, Rollout, State};
use super::super::{Fleet, blame};
use super::{EndCause, audit};
use crate::spec::{Environment, Strategy};

impl Fleet {
    /// Advances an environment's rollout, and assigns clusters what follows from it.
    pub(super) fn advance_rollout(
        &mut self,
        environment: &Environment,
        spare: Strategy,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let name = &environment.name;
        let Some(rollout) = self.rollouts.running(name) else {
            self.follow_approved(environment);
            return;
        };
        let setting = StepContext {
            environment,
            state: self.environments.get(name).cloned().unwrap_or_default(),
            changed: rollout.changed(),
            now,
        };
        let barriers = self.barriers(&setting, rollout);
        let Some(mut rollout) = self.rollouts.take(name) else {
            return;
        };
        // A rollout keeps its strategy; one of an older hub has none and uses the fleet file's.
        let strategy = rollout.strategy.take().unwrap_or_else(|| Box::new(spare));
        let before = (rollout.state, rollout.wave);
        let changes = self.take_step(&setting, barriers, &strategy, &mut rollout);
        rollout.strategy = Some(strategy);
        self.note_unproven(&mut rollout);
        self.note_found(&mut rollout, &changes.started, now);
        self.ask_for_reports(&changes.asked, effects);
        let given = self.keep_progress(&rollout, &changes, effects);
        if changes.rollout {
            effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
        }
        if before != (rollout.state, rollout.wave) {
            let action = action(before, &rollout);
            effects.push(Effect::Audit(audit(&rollout, action, now)));
        }
        if changes.rollout || !changes.clusters.is_empty() || !changes.left.is_empty() {
            self.touch_environments();
        }
        self.put_back(environment, (rollout, given), now, effects);
    }

    /// Adds to the note of a finished rollout what was not proven there.
    fn note_unproven(&self, rollout: &mut Rollout) {
        for repository in self.unproven(rollout) {
            rollout.note.push_str(&match repository.is_fleet_file() {
                true => "; the last good revision of the fleet file stays in force: no cluster that the new one \
                         affects has proven it"
                    .to_owned(),
                false => format!(
                    "; {repository} stays at its last good commit: no cluster that runs it has \
                     proven the new one"
                ),
            });
        }
    }

    /// Notes the problems of clusters before a rollout started there.
    fn note_found(&self, rollout: &mut Rollout, started: &BTreeSet<ClusterName>, now: Timestamp) {
        for cluster in started {
            if let Some(known) = self.clusters.get(cluster) {
                let found = blame::before(known, rollout, known.pin(now));
                let recovery = match known.has_been_well() {
                    true => Recovery::Seen,
                    false => Recovery::NotSeen,
                };
                rollout.comes_to(cluster, found, recovery);
            }
        }
    }

    /// Requests reports from connected clusters.
    fn ask_for_reports(&self, asked: &BTreeSet<ClusterName>, effects: &mut Vec<Effect>) {
        for cluster in asked {
            let session = self.clusters.get(cluster).and_then(|known| known.session);
            if let Some((session, _)) = session {
                effects.push(Effect::RequestReport(cluster.clone(), session));
            }
        }
    }

    /// Stores the progress of each cluster that changed, and deletes that of clusters that left. Returns the clusters
    /// that get the rollout's commits.
    fn keep_progress(
        &mut self,
        rollout: &Rollout,
        changes: &Changes,
        effects: &mut Vec<Effect>,
    ) -> BTreeSet<ClusterName> {
        for cluster in &changes.left {
            effects.push(Effect::DeleteProgress(rollout.id.clone(), cluster.clone()));
        }
        let mut given = BTreeSet::new();
        for cluster in &changes.clusters {
            if let Some(progress) = rollout.clusters.get(cluster) {
                effects.push(Effect::StoreProgress(
                    rollout.id.clone(),
                    cluster.clone(),
                    Box::new(progress.clone()),
                ));
                if progress.phase == Phase::Started {
                    given.insert(cluster.clone());
                }
            }
            self.clusters.change(cluster, &mut self.versions);
        }
        given
    }

    /// Puts a rollout back after its step. If that was the last one, its end is concluded, and all clusters follow the
    /// good commits of then; otherwise the clusters that are `given` its commits get new assignments.
    fn put_back(
        &mut self,
        environment: &Environment,
        (rollout, given): (Rollout, BTreeSet<ClusterName>),
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let over = rollout.state.is_over();
        if over {
            self.conclude(&rollout, EndCause::Itself, now, effects);
        }
        self.rollouts.put(rollout);
        if over {
            self.follow_approved(environment);
            // Commits that are queued, or arrived meanwhile, have their turn at the next step.
            self.environments.mark_dirty([environment.name.clone()]);
        } else {
            self.clusters.mark_due(given);
        }
    }
}

/// Returns the audit log's action for a step that changed a rollout's state or wave.
fn action(before: (State, usize), rollout: &Rollout) -> AuditAction {
    match rollout.state {
        State::Running if before.0 == State::Pending => AuditAction::RolloutStarted,
        State::Running if before.1 == rollout.wave => AuditAction::RolloutGoesOn,
        State::Running => AuditAction::RolloutWave,
        State::Pending => AuditAction::RolloutWaits,
        State::Soaking => AuditAction::RolloutSoaks,
        State::Paused => AuditAction::RolloutPaused,
        State::Halted => AuditAction::RolloutHalted,
        State::RolledBack => AuditAction::RolloutRolledBack,
        State::Succeeded => AuditAction::RolloutSucceeded,
        State::Superseded => AuditAction::RolloutSuperseded,
    }
}
