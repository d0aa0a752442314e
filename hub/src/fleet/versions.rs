//! Versions of what is shown, so that watchers are informed of changes.

/// Counts visible changes. Each group of the fleet's state raises it where it changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Versions {
    newest: u64,
    environments: u64,
}

impl Versions {
    /// Returns the version, which grows with each visible change.
    pub(super) const fn newest(self) -> u64 {
        self.newest
    }

    /// Returns the version of the last change of any environment or branch.
    pub(super) const fn of_environments(self) -> u64 {
        self.environments
    }

    /// Raises the version for a change of a cluster, and returns it.
    pub(super) const fn of_cluster(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// Raises the version for a change of an environment or a branch.
    pub(super) const fn raise_environments(&mut self) {
        self.newest += 1;
        self.environments = self.newest;
    }
}
