//! What the pull requests of promotions wait for, where the hub merges them: only for display. Not stored: it is
//! determined again.

use std::collections::BTreeMap;

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::Fleet;

/// Why a pull request is not merged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingMerge {
    /// Its head commit; none: there is no pull request, or no full commit.
    pub commit: Option<Commit>,
    /// Its number and URL.
    pub pull: Option<(u64, String)>,
    /// Whether time and approvals will not help, because something is wrong.
    pub refused: bool,
    /// Code of the reason, from a fixed set.
    pub word: &'static str,
    /// Message for operators.
    pub text: String,
}

/// By environment and repository, each with the time since which it waits.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingMerges(
    BTreeMap<(EnvironmentName, RepositoryName), (PendingMerge, Timestamp)>,
);

impl Fleet {
    /// Returns what an environment's promotions wait for at the forge.
    pub fn mergings<'f>(
        &'f self,
        environment: &'f EnvironmentName,
    ) -> impl Iterator<Item = (&'f RepositoryName, &'f PendingMerge, Timestamp)> {
        let all = self.sources.mergings.0.iter();
        let own = all.filter(move |((name, _), _)| name == environment);
        own.map(|((_, repository), (merging, since))| (repository, merging, *since))
    }

    pub(super) fn merge_looked(
        &mut self,
        environment: EnvironmentName,
        repository: RepositoryName,
        waits: Option<PendingMerge>,
        now: Timestamp,
    ) {
        let key = (environment, repository);
        let before = self
            .sources
            .mergings
            .0
            .get(&key)
            .map(|(merging, _)| merging);
        if before == waits.as_ref() {
            return;
        }
        match waits {
            Some(merging) => self.sources.mergings.0.insert(key, (merging, now)),
            None => self.sources.mergings.0.remove(&key),
        };
        self.touch_environments();
    }
}
