//! Decisions about environments, and which environments changed. All decisions go through here, so that they are
//! stored, shown and noticed by rollouts.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use flotilla_shared::id::EnvironmentName;

use super::environment::EnvironmentState;
use super::event::Effect;
use super::rollout::{Commits, Rollout, State};
use super::versions::Versions;

/// All environments with decisions.
#[derive(Debug, Clone, Default)]
pub(super) struct Environments {
    states: BTreeMap<EnvironmentName, EnvironmentState>,
    /// Environments that changed since they were advanced.
    dirty: BTreeSet<EnvironmentName>,
    /// What the clusters of each were last assigned while no rollout ran.
    followed: BTreeMap<EnvironmentName, IdleTarget>,
}

/// The target of clusters while no rollout runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct IdleTarget {
    approved: Commits,
    approved_by: String,
    /// The last rollout, and how it ended.
    rollout: Option<(String, State)>,
}

impl Environments {
    pub(super) const fn all(&self) -> &BTreeMap<EnvironmentName, EnvironmentState> {
        &self.states
    }

    pub(super) fn get(&self, name: &EnvironmentName) -> Option<&EnvironmentState> {
        self.states.get(name)
    }

    pub(super) fn contains_key(&self, name: &EnvironmentName) -> bool {
        self.states.contains_key(name)
    }

    pub(super) fn iter(&self) -> btree_map::Iter<'_, EnvironmentName, EnvironmentState> {
        self.states.iter()
    }

    pub(super) fn values(&self) -> btree_map::Values<'_, EnvironmentName, EnvironmentState> {
        self.states.values()
    }

    /// Restores decisions from the store.
    pub(super) fn restore(&mut self, states: Vec<(EnvironmentName, EnvironmentState)>) {
        self.states.extend(states);
    }

    /// Adds an environment, if it is not known yet.
    pub(super) fn enter(&mut self, name: &EnvironmentName) {
        if !self.states.contains_key(name) {
            self.states
                .insert(name.clone(), EnvironmentState::default());
        }
    }

    /// Changes the decisions about an environment, and marks it.
    pub(super) fn decide<T>(
        &mut self,
        name: &EnvironmentName,
        versions: &mut Versions,
        effects: &mut Vec<Effect>,
        decide: impl FnOnce(&mut EnvironmentState) -> T,
    ) -> T {
        self.dirty.insert(name.clone());
        self.change(name, versions, effects, decide)
    }

    /// Like the function above, while the environment is being advanced, so that it need not be marked.
    pub(super) fn change<T>(
        &mut self,
        name: &EnvironmentName,
        versions: &mut Versions,
        effects: &mut Vec<Effect>,
        decide: impl FnOnce(&mut EnvironmentState) -> T,
    ) -> T {
        let state = self.states.entry(name.clone()).or_default();
        let decided = decide(state);
        let stored = Box::new(state.clone());
        effects.push(Effect::StoreEnvironment(name.clone(), stored));
        versions.raise_environments();
        decided
    }

    /// Marks environments, so that they are advanced.
    pub(super) fn mark_dirty(&mut self, names: impl IntoIterator<Item = EnvironmentName>) {
        self.dirty.extend(names);
    }

    pub(super) fn is_any_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes the marked environments.
    pub(super) fn take_dirty(&mut self) -> BTreeSet<EnvironmentName> {
        std::mem::take(&mut self.dirty)
    }

    /// Returns whether the target of an environment's clusters while no rollout runs, `last` being the last one,
    /// differs from their last one, and notes it.
    pub(super) fn follow(&mut self, name: &EnvironmentName, last: Option<&Rollout>) -> bool {
        let empty = EnvironmentState::default();
        let state = self.states.get(name).unwrap_or(&empty);
        let follow = IdleTarget {
            approved: state.approved.clone(),
            approved_by: state.approved_by.clone(),
            rollout: last.map(|rollout| (rollout.id.clone(), rollout.state)),
        };
        if self.followed.get(name) == Some(&follow) {
            return false;
        }
        self.followed.insert(name.clone(), follow);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_is_stored_and_shown_and_looked_at() {
        let name: EnvironmentName = "prod".parse().unwrap();
        let mut environments = Environments::default();
        let (mut versions, mut effects) = (Versions::default(), Vec::new());
        environments.change(&name, &mut versions, &mut effects, |state| {
            state.last_number = 1;
        });
        assert!(!environments.is_any_dirty(), "it is looked at just now");
        environments.decide(&name, &mut versions, &mut effects, |state| {
            state.last_number += 1;
        });
        assert_eq!(environments.take_dirty(), [name.clone()].into());
        let stored = environments.get(&name).cloned().map(Box::new).unwrap();
        assert_eq!(stored.last_number, 2);
        assert_eq!(
            effects.last(),
            Some(&Effect::StoreEnvironment(name.clone(), stored))
        );
        assert_eq!((effects.len(), versions.of_environments()), (2, 2));
        assert!(environments.follow(&name, None) && !environments.follow(&name, None));
        environments.change(&name, &mut versions, &mut effects, |state| {
            state.approved_by = "prod-2".to_owned();
        });
        assert!(environments.follow(&name, None));
    }
}
