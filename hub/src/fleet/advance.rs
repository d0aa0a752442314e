//! Decisions that follow from events: rollouts begin, advance and end, and clusters get new assignments.

mod admitted;
mod begin;
mod commits;
mod conclude;
mod progress;
mod proven;

use flotilla_shared::id::EnvironmentName;
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;

pub(in crate::fleet) use conclude::EndCause;

use super::Fleet;
use super::event::{AuditEntry, Effect};
use super::rollout::{Rollout, State};
use crate::spec::Environment;

/// Highest number of rounds of one advance; the rest waits for the next tick.
const ROUNDS: usize = 4;

impl Fleet {
    /// Draws the consequences of everything absorbed since the last call. Deterministic.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.pass(now);
        // The end of one rollout may start the next.
        for _ in 0..ROUNDS {
            for name in self.environments.take_dirty() {
                self.advance_environment(&name, now, &mut effects);
            }
            if !self.environments.is_any_dirty() {
                break;
            }
        }
        self.assign_due(now, &mut effects);
        self.forget_specifications(&mut effects);
        effects
    }

    fn advance_environment(
        &mut self,
        name: &EnvironmentName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(environment) = self.spec().environment(name).cloned() else {
            self.abandon(name, now, effects);
            return;
        };
        self.note_proof(&environment, now, effects);
        self.judge_ways_back(name, now, effects);
        if self.has_waves(&environment) {
            self.adopt_specification(&environment, now, effects);
        }
        // A running rollout ends by the strategy it began with, even if the file no longer has one.
        match self.strategy_of(&environment).cloned() {
            None => {
                self.follow_heads(&environment, now, effects);
                self.run_jobs(&environment, now, effects);
            }
            Some(strategy) => {
                self.begin(&environment, &strategy, now, effects);
                self.run_jobs(&environment, now, effects);
                self.advance_rollout(&environment, strategy, now, effects);
            }
        }
    }

    /// Takes the heads as good in an environment without a strategy. They are stored, so that a strategy that is added
    /// later begins from what runs.
    fn follow_heads(
        &mut self,
        environment: &Environment,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut heads = self.good(environment);
        let name = &environment.name;
        let versions = &mut self.versions;
        // A running rollout of an older hub, which did not record its strategy.
        if let Some(mut rollout) = self.rollouts.take(name)
            && !rollout.state.is_over()
        {
            let note = "the strategy was removed".to_owned();
            rollout.end(State::Superseded, note, now);
            effects.push(Effect::StoreRollout(Box::new(rollout)));
            versions.raise_environments();
        }
        self.environments.enter(name);
        if heads.is_empty() && !self.declares_nothing_any_more(name) {
            return;
        }
        heads.extend(self.declared_revision(name));
        let state = self.environments.get(name);
        if state.is_some_and(|state| state.approved == heads) {
            return;
        }
        let seen = self.doubts(name);
        let taken =
            state.and_then(|state| self.declared_at_once(name, &state.approved, &heads, now));
        effects.extend(taken.map(Effect::Audit));
        self.declarations.keep([&heads], effects);
        let (epoch, versions) = (self.epoch.0, &mut self.versions);
        self.environments.change(name, versions, effects, |state| {
            state.note_seen(seen);
            state.approve(heads, String::new(), epoch, now);
        });
    }

    /// Returns whether the fleet file takes nothing from any repository for an environment that ran something. Then no
    /// commit is missing, unlike where branches are still to be read.
    fn declares_nothing_any_more(&self, name: &EnvironmentName) -> bool {
        let state = self.environments.get(name);
        let declared = self.declarations.present().get(name);
        state.is_some_and(|state| !state.approved.is_empty())
            && declared.is_some_and(|(_, declared)| declared.repositories().is_empty())
    }

    /// Assigns the good commits to all clusters of an environment without a running rollout, unless they have them
    /// already.
    fn follow_approved(&mut self, environment: &Environment) {
        let name = &environment.name;
        if self.environments.follow(name, self.rollouts.get(name)) {
            self.assign_later(|environment| environment.name == *name);
        }
    }
}

/// Makes an audit entry about a rollout.
pub(super) fn audit(rollout: &Rollout, action: AuditAction, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        actor: HUB_ACTOR.to_owned(),
        action,
        environment: rollout.environment.to_string(),
        clusters: rollout
            .clusters
            .iter()
            .filter(|(_, progress)| progress.phase.is_touched())
            .map(|(name, _)| name.to_string())
            .collect(),
        commit: AuditEntry::named(rollout.shown().values()),
        reason: rollout.note.clone(),
        detail: format!(
            "{} to {}, wave {} of {}{}",
            rollout.id,
            rollout.title(),
            (rollout.wave + 1).min(rollout.waves.len()),
            rollout.waves.len(),
            match rollout.changes.as_slice() {
                [] => String::new(),
                changes => format!("; fleet file: {}", changes.join("; ")),
            }
        ),
        rollout: Some(rollout.id.clone()),
    }
}
