//! What is read of Git and forges. Only heads are stored; the rest is read again.

use flotilla_shared::id::RepositoryName;

use super::headings::Headings;
use super::heads::Branches;
use super::merging::Mergings;
use super::trees::Trees;
use crate::spec::Spec;

/// Each is kept by its own file.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    pub(super) branches: Branches,
    /// What commits hold, where it was read.
    pub(super) trees: Trees,
    /// What they say of themselves, likewise.
    pub(super) headings: Headings,
    /// What pull requests of promotions wait for, likewise.
    pub(super) mergings: Mergings,
}

impl Sources {
    /// Forgets what was read of repositories that are not declared any more, and what was read elsewhere
    /// under their names.
    pub(super) fn forget(&mut self, before: &Spec, now: &Spec) {
        let same = |name: &RepositoryName| {
            let url = now.repositories.get(name).map(|repository| &repository.url);
            url.is_some()
                && url
                    == before
                        .repositories
                        .get(name)
                        .map(|repository| &repository.url)
        };
        self.trees.keep_only(same);
        self.headings.keep_only(same);
    }
}
