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
        let before = self.declarations.replace(spec, &self.clusters);
        self.sources.forget(&before, self.declarations.spec());
        self.adopt(now, effects);
        let all = self.declarations.spec().environments.iter();
        self.environments
            .mark_dirty(all.map(|one| one.name.clone()));
        // Those that are gone have rollouts to end.
        self.environments.mark_dirty(self.rollouts.keys().cloned());
        self.touch_environments();
        self.assign_later(|_| true);
    }

    /// An environment that is given a strategy begins from what its clusters run, not from nothing:
    /// that is what was noted while it had none, or the heads of a store older than strategies.
    fn adopt(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let spec = Arc::clone(self.spec());
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
                let epoch = self.epoch.0;
                self.decide(&environment.name, effects, |state| {
                    state.approve(heads, String::new(), epoch, now);
                });
            }
        }
    }
}
