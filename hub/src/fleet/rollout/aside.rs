//! What does not count of a cluster, since it was not well there before.

use std::collections::BTreeSet;

use flotilla_shared::id::ApplicationName;

use super::words::listed;

/// What is left aside on a cluster that a rollout has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aside {
    pub applications: BTreeSet<ApplicationName>,
    /// Of all others the rollout brings nothing new: this cluster proves nothing.
    pub leaves_nothing: bool,
}

impl Aside {
    /// In words; `place`: here or there.
    pub(super) fn text(&self, place: &str) -> String {
        format!(
            "without {}, not healthy {place} before",
            listed(&self.applications)
        )
    }
}
