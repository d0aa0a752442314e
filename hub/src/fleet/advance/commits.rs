//! Commits of an environment: the strategy by which it takes them, those that its branches and the fleet file ask for,
//! and the last good ones.

use flotilla_shared::id::RepositoryName;

use super::super::Fleet;
use super::super::rollout::Commits;
use crate::spec::{Environment, Strategy};

impl Fleet {
    /// Returns the strategy by which an environment takes commits: that of the fleet file, or else the one that its
    /// running rollout began with.
    pub(super) fn strategy_of<'s>(&'s self, environment: &'s Environment) -> Option<&'s Strategy> {
        let begun_with = || {
            let rollout = self.rollouts.running(&environment.name)?;
            rollout.strategy.as_deref()
        };
        environment.strategy.as_ref().or_else(begun_with)
    }

    /// Returns whether commits reach an environment's clusters by rollouts.
    pub(in crate::fleet) fn has_waves(&self, environment: &Environment) -> bool {
        self.strategy_of(environment).is_some()
    }

    /// Returns whether an environment runs something of a repository. Commits of any other repository start, prove and
    /// block nothing there.
    #[must_use]
    pub fn uses(&self, environment: &Environment, repository: &RepositoryName) -> bool {
        self.spec().applications.values().any(|application| {
            let placement = &application.placement;
            application.repository == *repository
                && (placement.environments.is_empty()
                    || placement.environments.contains(&environment.name))
                && (placement.clusters.is_empty()
                    || placement
                        .clusters
                        .iter()
                        .any(|cluster| self.belongs_to(cluster, &environment.name)))
        })
    }

    /// Returns the commits at the heads of an environment's branches.
    #[must_use]
    pub fn head_commits(&self, environment: &Environment) -> Commits {
        self.spec()
            .repositories
            .keys()
            .filter(|repository| self.uses(environment, repository))
            .filter_map(|repository| {
                let head = self.head(repository, &environment.branch)?;
                Some((repository.clone(), head.commit.clone()?))
            })
            .collect()
    }

    /// Returns the commits and the revision that an environment's branches and the fleet file ask for.
    #[must_use]
    pub fn newest(&self, environment: &Environment) -> Commits {
        let mut newest = self.head_commits(environment);
        newest.extend(self.declared_revision(&environment.name));
        newest
    }

    /// Returns the last commits that were good for an environment; without a strategy, its heads.
    #[must_use]
    pub fn good(&self, environment: &Environment) -> Commits {
        let state = self.environments.get(&environment.name);
        if !self.has_waves(environment) {
            let heads = self.head_commits(environment);
            return state.map_or_else(|| heads.clone(), |state| state.without_failed(&heads));
        }
        let mut good = state
            .map(|state| state.approved.clone())
            .unwrap_or_default();
        good.remove(RepositoryName::fleet_file());
        good
    }
}
