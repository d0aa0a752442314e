//! Clusters whose assignment is to be worked out anew, a batch at a time.

use std::collections::BTreeSet;

use flotilla_shared::id::ClusterName;

/// Assignments worked out in one step: as many as take a few milliseconds, so that no agent and no
/// person waits for ten thousand others.
const BATCH: usize = 500;

/// Clusters whose assignment is due.
#[derive(Debug, Clone)]
pub(super) struct Due {
    names: BTreeSet<ClusterName>,
    /// How many of them are a batch.
    batch: usize,
}

impl Default for Due {
    fn default() -> Self {
        Self {
            names: BTreeSet::new(),
            batch: BATCH,
        }
    }
}

impl Due {
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

    /// The next batch; each stays until it is worked out.
    pub(super) fn next(&self) -> Vec<ClusterName> {
        self.names.iter().take(self.batch).cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn at_once(&mut self, batch: usize) {
        self.batch = batch;
    }
}
