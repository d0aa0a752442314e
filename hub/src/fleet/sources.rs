//! Data from Git and forges. Only heads are stored; the rest is read again.

use flotilla_shared::id::RepositoryName;

use super::headings::Headings;
use super::heads::Branches;
use super::merging::PendingMerges;
use super::trees::Trees;
use crate::spec::Spec;

/// Data from Git and forges, each part in its own file.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    pub(super) branches: Branches,
    /// Directories of commits.
    pub(super) trees: Trees,
    /// Subjects and authors of commits.
    pub(super) headings: Headings,
    /// What pull requests of promotions wait for.
    pub(super) mergings: PendingMerges,
}

impl Sources {
    /// Discards data of repositories that are no longer declared, and data that was read from elsewhere under their
    /// names.
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
