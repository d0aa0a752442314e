//! Applications of a cluster that do not count, because they were unhealthy there before.

use std::collections::BTreeSet;

use flotilla_shared::id::ApplicationName;

use super::words::listed;

/// Applications that do not count on a cluster of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aside {
    pub applications: BTreeSet<ApplicationName>,
    /// Whether the rollout brings nothing new for all others, so that this cluster proves nothing.
    pub leaves_nothing: bool,
}

impl Aside {
    /// Returns it in words; `place`: here or there.
    pub(super) fn text(&self, place: &str) -> String {
        format!(
            "ignoring {}, unhealthy {place} before",
            listed(&self.applications)
        )
    }
}
