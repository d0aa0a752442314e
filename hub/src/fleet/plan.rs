//! Plans: which commits and which specification a cluster should run, and which rollout brought them.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_shared::approval::SignedApproval;
use flotilla_shared::assignment::Assignment;
use flotilla_shared::id::{ClusterName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::Fleet;
use super::rollout::Commits;
use crate::spec::{Environment, Specification};

/// The commits that a cluster should run, and the rollout that brought them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    pub commits: Commits,
    /// The rollout that determines all commits that are not pinned; empty: none.
    pub rollout: String,
    /// Repositories whose commits are pinned.
    pub(super) pinned: BTreeSet<RepositoryName>,
    /// The specification that they are applied with.
    pub(super) specification: SpecSource,
    /// Repositories on whose commits an operator keeps this cluster: the declarations of their applications stay as
    /// they are there.
    pub(super) kept: BTreeSet<RepositoryName>,
}

/// The specification of a cluster.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum SpecSource {
    /// The specification that it was assigned last.
    #[default]
    Kept,
    /// This revision of the fleet file.
    As(Commit, Arc<Specification>),
}

impl Plan {
    /// Returns the rollout that determines the commit of a repository; empty: none does.
    pub(super) fn rollout_of(&self, repository: &RepositoryName) -> &str {
        match self.pinned.contains(repository) {
            true => "",
            false => &self.rollout,
        }
    }
}

impl Fleet {
    /// Returns the commits that a cluster should run, and the rollout that brought them.
    #[must_use]
    pub fn plan(&self, name: &ClusterName, environment: &Environment, now: Timestamp) -> Plan {
        let mut plan = self.rolled_out(name, environment);
        let own = self
            .clusters
            .get(name)
            .and_then(|cluster| cluster.record.pin.as_ref());
        let state = self.environments.get(&environment.name);
        let all = state.and_then(|state| state.pin.as_ref());
        // A cluster's own pin is applied last and wins over its environment's.
        let by_rollout = self.has_waves(environment);
        let all = all.filter(|pin| !by_rollout || !(pin.unproven || pin.in_place));
        for pin in [all, own]
            .into_iter()
            .flatten()
            .filter(|pin| pin.holds(now))
        {
            plan.commits.extend(pin.commits.clone());
            plan.pinned.extend(pin.commits.keys().cloned());
        }
        let own = own.filter(|pin| by_rollout && pin.holds(now));
        if let Some(pin) = own.filter(|_| self.assigned_in(name, environment).is_some()) {
            plan.kept = pin.commits.keys().cloned().collect();
        }
        plan
    }

    /// Returns the signed approvals of the pins that are in force here.
    pub(super) fn approvals(
        &self,
        name: &ClusterName,
        environment: &Environment,
        now: Timestamp,
    ) -> Vec<SignedApproval> {
        let own = self.clusters.get(name).map(|cluster| &cluster.record.pin);
        let all = self
            .environments
            .get(&environment.name)
            .map(|state| &state.pin);
        [all, own]
            .into_iter()
            .flatten()
            .flatten()
            .filter(|pin| pin.holds(now))
            .filter_map(|pin| pin.approval.as_deref().cloned())
            .collect()
    }

    /// Makes a plan of these commits with their specification; where that is no longer known, the assigned one stays.
    fn planned(&self, commits: &Commits, rollout: &str) -> Plan {
        let mut commits = commits.clone();
        let revision = commits.remove(RepositoryName::fleet_file());
        let specification = revision
            .and_then(|revision| Some((self.specification(&revision)?, revision)))
            .map_or(SpecSource::Kept, |(specification, revision)| {
                SpecSource::As(revision, specification)
            });
        Plan {
            commits,
            rollout: rollout.to_owned(),
            specification,
            pinned: BTreeSet::new(),
            kept: BTreeSet::new(),
        }
    }

    /// Returns what a cluster is assigned, where that is of this environment.
    fn assigned_in(&self, name: &ClusterName, environment: &Environment) -> Option<&Assignment> {
        let assigned = &self.clusters.get(name)?.assigned.as_ref()?.assignment;
        (assigned.environment == environment.name).then_some(assigned)
    }

    fn rolled_out(&self, name: &ClusterName, environment: &Environment) -> Plan {
        if !self.has_waves(environment) {
            let mut commits = self.good(environment);
            commits.extend(self.declared_revision(&environment.name));
            return self.planned(&commits, "");
        }
        let Some(state) = self.environments.get(&environment.name) else {
            return Plan::default();
        };
        let approved = self.planned(&state.approved, &state.approved_by);
        let rollout = self.rollouts.get(&environment.name);
        let Some(rollout) = rollout.filter(|rollout| !rollout.state.is_over()) else {
            return approved;
        };
        if rollout.touches(name) {
            return self.planned(&rollout.target, &rollout.id);
        }
        // Commits of an older rollout stay until this one reaches the cluster: a new push or an edit of the fleet file
        // must not make it switch back and forth.
        let assigned = self.assigned_in(name, environment).into_iter();
        let mut carried = assigned
            .flat_map(Assignment::brought_by)
            .filter(|by| rollout.carried.contains(by));
        match carried.next() {
            // Each application keeps its own commit: one that the older rollout could not bring does not get it now.
            // Removals of that rollout continue.
            Some(by) => Plan {
                rollout: by.clone(),
                ..Plan::default()
            },
            None => approved,
        }
    }
}
