//! What the pull requests of promotions wait for, where the hub takes them: for people's eyes, no decision
//! asks for it. Not stored: it is found out again.

use std::collections::BTreeMap;

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::Fleet;

/// Why a pull request is not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merging {
    /// The commit at its end; none: there is no pull request, or no whole commit.
    pub commit: Option<Commit>,
    /// Its number and page.
    pub pull: Option<(u64, String)>,
    /// Time and approvals do not help: something is wrong.
    pub refused: bool,
    /// Bounded: which kind of reason it is.
    pub word: &'static str,
    /// For a person.
    pub text: String,
}

/// By environment and repository, with since when.
#[derive(Debug, Clone, Default)]
pub(super) struct Mergings(BTreeMap<(EnvironmentName, RepositoryName), (Merging, Timestamp)>);

impl Fleet {
    /// What an environment's promotions wait for at the forge.
    pub fn mergings<'f>(
        &'f self,
        environment: &'f EnvironmentName,
    ) -> impl Iterator<Item = (&'f RepositoryName, &'f Merging, Timestamp)> {
        let all = self.sources.mergings.0.iter();
        let own = all.filter(move |((name, _), _)| name == environment);
        own.map(|((_, repository), (merging, since))| (repository, merging, *since))
    }

    pub(super) fn merge_looked(
        &mut self,
        environment: EnvironmentName,
        repository: RepositoryName,
        waits: Option<Merging>,
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
