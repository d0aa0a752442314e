//! Clusters whose assignment has to be computed, a batch at a time.

use std::collections::BTreeSet;

use flotilla_shared::id::ClusterName;

use super::super::{Fleet, place};
use crate::spec::Environment;

/// Number of assignments that are computed in one step: as many as take a few milliseconds, so that no agent and no
/// operator waits for ten thousand others.
const BATCH: usize = 500;

/// Clusters whose assignment is due.
#[derive(Debug, Clone)]
pub(super) struct DueClusters {
    names: BTreeSet<ClusterName>,
    /// Size of a batch.
    batch: usize,
    /// How many batches are over.
    round: u64,
}

impl Default for DueClusters {
    fn default() -> Self {
        Self {
            names: BTreeSet::new(),
            batch: BATCH,
            round: 0,
        }
    }
}

impl DueClusters {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn add(&mut self, name: ClusterName) {
        self.names.insert(name);
    }

    pub(super) fn add_all(&mut self, mut names: BTreeSet<ClusterName>) {
        self.names.append(&mut names);
    }

    pub(super) fn forget(&mut self, name: &ClusterName) {
        self.names.remove(name);
    }

    /// Returns the next batch; each cluster stays until its assignment is computed.
    pub(super) fn next(&self) -> Vec<ClusterName> {
        self.names.iter().take(self.batch).cloned().collect()
    }

    /// Returns the round of a cluster that becomes due now.
    pub(super) const fn round(&self) -> u64 {
        self.round
    }

    /// Ends a round: a cluster that is still due is left over from an earlier batch.
    pub(super) const fn end_round(&mut self) {
        self.round += 1;
    }

    #[cfg(test)]
    pub(super) fn at_once(&mut self, batch: usize) {
        self.batch = batch;
    }
}

impl Fleet {
    /// Marks clusters of some environments as due.
    pub(in crate::fleet) fn assign_later(&mut self, mut whose: impl FnMut(&Environment) -> bool) {
        let spec = self.declarations.spec();
        let environments: BTreeSet<_> = spec
            .environments
            .iter()
            .filter(|environment| whose(environment))
            .map(|environment| &environment.name)
            .collect();
        self.clusters.mark_due_where(|name, record| {
            let environment = place(spec, name, Some(record));
            environment.is_some_and(|environment| environments.contains(environment))
        });
    }
}
