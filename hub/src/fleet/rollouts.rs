//! The last rollout of each environment, and what external checks say of it. Whoever changes one comes
//! through here, so that nobody can forget that it is stored and that people are shown it.

use std::collections::{BTreeMap, btree_map};

use flotilla_shared::id::EnvironmentName;

use super::environment::CheckResult;
use super::event::Effect;
use super::rollout::Rollout;
use super::versions::Versions;

/// One for each environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Rollouts {
    /// Over or not.
    last: BTreeMap<EnvironmentName, Rollout>,
    /// The last answers of external checks.
    answers: BTreeMap<EnvironmentName, BTreeMap<String, CheckResult>>,
}

impl Rollouts {
    pub(super) const fn all(&self) -> &BTreeMap<EnvironmentName, Rollout> {
        &self.last
    }

    pub(super) fn get(&self, environment: &EnvironmentName) -> Option<&Rollout> {
        self.last.get(environment)
    }

    /// The one that is not over.
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

    /// Takes them over from the store.
    pub(super) fn restore(&mut self, rollouts: Vec<Rollout>) {
        for rollout in rollouts {
            self.put(rollout);
        }
    }

    /// Changes the last one of an environment. None: there was none.
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

    /// A new one, in the place of what was there.
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

    /// The last one, to take a step that looks at the whole fleet; [`Self::put`] puts it back.
    pub(super) fn take(&mut self, environment: &EnvironmentName) -> Option<Rollout> {
        self.last.remove(environment)
    }

    /// Puts it back.
    pub(super) fn put(&mut self, rollout: Rollout) {
        self.last.insert(rollout.environment.clone(), rollout);
    }

    /// An external check was answered.
    pub(super) fn answered(
        &mut self,
        environment: &EnvironmentName,
        check: String,
        answer: CheckResult,
    ) {
        let all = self.answers.entry(environment.clone()).or_default();
        all.insert(check, answer);
    }

    /// What a check said last.
    pub(super) fn answer(
        &self,
        environment: &EnvironmentName,
        check: &str,
    ) -> Option<&CheckResult> {
        self.answers.get(environment)?.get(check)
    }

    /// What spoke against a rollout is asked once more.
    pub(super) fn ask_again(&mut self, environment: &EnvironmentName) {
        self.answers.remove(environment);
    }
}
