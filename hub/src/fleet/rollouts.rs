//! The last rollout of each environment, and the results of its external checks. Every change is made here, so that
//! none is made without being stored and shown.

use std::collections::{BTreeMap, btree_map};

use flotilla_shared::id::EnvironmentName;

use super::environment::CheckResult;
use super::event::Effect;
use super::rollout::Rollout;
use super::versions::Versions;

/// The last rollout of each environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Rollouts {
    /// By environment, ended or not.
    last: BTreeMap<EnvironmentName, Rollout>,
    /// The last results of external checks.
    answers: BTreeMap<EnvironmentName, BTreeMap<String, CheckResult>>,
}

impl Rollouts {
    pub(super) const fn all(&self) -> &BTreeMap<EnvironmentName, Rollout> {
        &self.last
    }

    pub(super) fn get(&self, environment: &EnvironmentName) -> Option<&Rollout> {
        self.last.get(environment)
    }

    /// Returns the rollout in progress.
    pub(super) fn running(&self, environment: &EnvironmentName) -> Option<&Rollout> {
        let rollout = self.last.get(environment);
        rollout.filter(|rollout| !rollout.state.is_over())
    }

    pub(super) fn keys(&self) -> btree_map::Keys<'_, EnvironmentName, Rollout> {
        self.last.keys()
    }

    pub(super) fn values(&self) -> btree_map::Values<'_, EnvironmentName, Rollout> {
        self.last.values()
    }

    /// Restores them from the store.
    pub(super) fn restore(&mut self, rollouts: Vec<Rollout>) {
        for rollout in rollouts {
            self.put(rollout);
        }
    }

    /// Changes the last rollout of an environment. None: there is none.
    pub(super) fn change<T>(
        &mut self,
        environment: &EnvironmentName,
        versions: &mut Versions,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut Rollout) -> T,
    ) -> Option<T> {
        let rollout = self.last.get_mut(environment)?;
        let changed = change(rollout);
        effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
        versions.raise_environments();
        Some(changed)
    }

    /// Begins a new rollout, in place of the last one.
    pub(super) fn begin(
        &mut self,
        rollout: Rollout,
        versions: &mut Versions,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
        for (cluster, progress) in &rollout.clusters {
            let progress = Box::new(progress.clone());
            effects.push(Effect::StoreProgress(
                rollout.id.clone(),
                cluster.clone(),
                progress,
            ));
        }
        versions.raise_environments();
        self.put(rollout);
    }

    /// Takes the last one for a step that needs the whole fleet; [`Self::put`] puts it back.
    pub(super) fn take(&mut self, environment: &EnvironmentName) -> Option<Rollout> {
        self.last.remove(environment)
    }

    /// Puts a rollout back.
    pub(super) fn put(&mut self, rollout: Rollout) {
        self.last.insert(rollout.environment.clone(), rollout);
    }

    /// Notes the result of an external check.
    pub(super) fn answered(
        &mut self,
        environment: &EnvironmentName,
        check: String,
        answer: CheckResult,
    ) {
        let all = self.answers.entry(environment.clone()).or_default();
        all.insert(check, answer);
    }

    /// Returns the last result of a check.
    pub(super) fn answer(
        &self,
        environment: &EnvironmentName,
        check: &str,
    ) -> Option<&CheckResult> {
        self.answers.get(environment)?.get(check)
    }

    /// Discards failed results, so that the checks run again.
    pub(super) fn ask_again(&mut self, environment: &EnvironmentName) {
        self.answers.remove(environment);
    }
}
