//! Subjects and authors of commits, as far as the hub has read them: only for display. Not stored: they are read again.

use std::collections::BTreeMap;

use flotilla_shared::heading::Heading;
use flotilla_shared::id::RepositoryName;
use flotilla_shared::revision::Commit;

use super::Fleet;

/// Highest number of commits of a repository whose headings are kept.
const MAX_COMMITS: usize = 256;

/// Headings by repository and commit.
#[derive(Debug, Clone, Default)]
pub(super) struct Headings(BTreeMap<RepositoryName, BTreeMap<Commit, Heading>>);

impl Headings {
    /// Deletes all other repositories.
    pub(super) fn keep_only(&mut self, is_kept: impl Fn(&RepositoryName) -> bool) {
        self.0.retain(|name, _| is_kept(name));
    }
}

impl Fleet {
    /// Returns subject and author of a commit; none: not read.
    #[must_use]
    pub fn heading(&self, repository: &RepositoryName, commit: &Commit) -> Option<&Heading> {
        self.sources.headings.0.get(repository)?.get(commit)
    }

    /// Returns the commits of a repository that are shown and were not read yet.
    #[must_use]
    pub fn missing_headings(&self, repository: &RepositoryName) -> Vec<Commit> {
        let mut needed = self.needed_headings(repository);
        needed.retain(|commit| self.heading(repository, commit).is_none());
        needed
    }

    /// Returns the commits whose headings are shown: heads, good commits, and commits of rollouts.
    fn needed_headings(&self, repository: &RepositoryName) -> Vec<Commit> {
        let mut needed: Vec<Commit> = Vec::new();
        let mut want = |commit: Option<&Commit>| {
            if let Some(commit) = commit
                && needed.len() < MAX_COMMITS
                && !needed.contains(commit)
            {
                needed.push(commit.clone());
            }
        };
        for environment in &self.spec().environments {
            let head = self.head(repository, &environment.branch);
            want(head.and_then(|head| head.commit.as_ref()));
        }
        for environment in &self.spec().environments {
            want(self.good(environment).get(repository));
            let rollout = self.rollouts.get(&environment.name);
            want(rollout.and_then(|rollout| rollout.target.get(repository)));
        }
        needed
    }

    pub(super) fn heading_read(
        &mut self,
        repository: &RepositoryName,
        commit: Commit,
        heading: Heading,
    ) {
        let needed = self.needed_headings(repository);
        let known = self
            .sources
            .headings
            .0
            .entry(repository.clone())
            .or_default();
        known.retain(|commit, _| needed.contains(commit));
        if needed.contains(&commit) {
            known.insert(commit, heading);
            self.touch_environments();
        }
    }
}
