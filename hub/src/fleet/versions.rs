//! Numbers of what people are shown, so that whoever watches is told what has changed.

/// Counts visible changes. Each group of the fleet's state takes it where it changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Versions {
    newest: u64,
    environments: u64,
}

impl Versions {
    /// Grows with each visible change.
    pub(super) const fn newest(self) -> u64 {
        self.newest
    }

    /// That of the last change of any environment or branch.
    pub(super) const fn of_environments(self) -> u64 {
        self.environments
    }

    /// A cluster changes: the number that it remembers.
    pub(super) const fn of_cluster(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// An environment or a branch changes.
    pub(super) const fn raise_environments(&mut self) {
        self.newest += 1;
        self.environments = self.newest;
    }
}
