//! What follows when the fleet file changes.

use std::sync::Arc;

use jiff::Timestamp;

use super::Fleet;
use super::event::Effect;
use crate::spec::Spec;

impl Fleet {
    pub(super) fn spec_changed(
        &mut self,
        spec: Arc<Spec>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let before = std::mem::replace(&mut self.spec, spec);
        self.keep_trees(&before);
        self.keep_headings(&before);
        self.members.clear();
        self.declare();
        self.adopt(now, effects);
        self.dirty
            .extend(self.spec.environments.iter().map(|one| one.name.clone()));
        // Those that are gone have rollouts to end.
        self.dirty.extend(self.rollouts.keys().cloned());
        self.touch_environments();
        self.assign_later(|_| true);
    }

    /// An environment that is given a strategy begins from what its clusters run, not from nothing:
    /// that is what was noted while it had none, or the heads of a store older than strategies.
    fn adopt(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let spec = std::sync::Arc::clone(&self.spec);
        for environment in &spec.environments {
            if environment.strategy.is_none() || self.environments.contains_key(&environment.name) {
                continue;
            }
            let runs = self.clusters.values().any(|cluster| {
                let assigned = cluster.assigned.as_ref();
                assigned.is_some_and(|one| one.assignment.environment == environment.name)
            });
            let heads = self.head_commits(environment);
            if runs && !heads.is_empty() {
                let state = self
                    .environments
                    .entry(environment.name.clone())
                    .or_default();
                state.approve(heads, String::new(), self.epoch.0, now);
                let state = Box::new(state.clone());
                effects.push(Effect::StoreEnvironment(environment.name.clone(), state));
            }
        }
    }
}
