//! Branches as read: their heads, when they were pushed, and why a read failed.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, Commit};
use jiff::Timestamp;

use super::Fleet;
use super::event::Effect;
use super::head::{Head, Heads};

/// Life of a hint; an older one belongs to another push.
const HINT_LIFE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Branches, with announced pushes.
#[derive(Debug, Clone, Default)]
pub(super) struct Branches {
    heads: Heads,
    /// Announced pushes that were not seen yet.
    hints: BTreeMap<RepositoryName, Timestamp>,
}

impl Branches {
    pub(super) const fn all(&self) -> &Heads {
        &self.heads
    }

    pub(super) fn get(&self, repository: &RepositoryName, branch: &BranchName) -> Option<&Head> {
        self.heads.get(&(repository.clone(), branch.clone()))
    }

    /// Notes the result of a read. Returns the branches that changed.
    fn read(
        &mut self,
        repository: &RepositoryName,
        asked: Vec<BranchName>,
        found: &BTreeMap<BranchName, Commit>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> BTreeSet<BranchName> {
        let mut news = BTreeSet::new();
        // Delays are measured from the push, not from the read that found it.
        let hinted = self.hints.remove(repository);
        let pushed = hinted.filter(|at| *at <= now && now.duration_since(*at) < HINT_LIFE);
        for branch in asked {
            let head = self
                .heads
                .entry((repository.clone(), branch.clone()))
                .or_default();
            let before = head.clone();
            head.checked_at = Some(now);
            match found.get(&branch) {
                Some(commit) => {
                    head.problem = None;
                    if head.commit.as_ref() != Some(commit) {
                        *head = Head {
                            moved: head.commit.is_some(),
                            commit: Some(commit.clone()),
                            seen_at: Some(pushed.unwrap_or(now)),
                            checked_at: Some(now),
                            problem: None,
                        };
                        effects.push(Effect::StoreHead(
                            repository.clone(),
                            branch.clone(),
                            head.clone(),
                        ));
                    }
                }
                // A missing branch removes nothing (P6).
                None => {
                    let text = format!("branch {branch} is not in the repository");
                    head.problem = Some(Problem::new(Reason::BranchNotFound, text));
                }
            }
            if before.problem != head.problem || before.commit != head.commit {
                news.insert(branch);
            }
        }
        news
    }

    /// Notes why a read failed; earlier results are kept. Returns the branches whose state changed.
    fn failed(
        &mut self,
        repository: &RepositoryName,
        asked: &[BranchName],
        problem: &Problem,
    ) -> BTreeSet<BranchName> {
        let mut news = BTreeSet::new();
        for branch in asked {
            let head = self
                .heads
                .entry((repository.clone(), branch.clone()))
                .or_default();
            if head.problem.replace(problem.clone()).as_ref() != Some(problem) {
                news.insert(branch.clone());
            }
        }
        news
    }
}

impl Fleet {
    pub(super) fn heads_restored(&mut self, heads: Vec<((RepositoryName, BranchName), Head)>) {
        self.sources.branches.heads.extend(heads);
        self.touch_environments();
    }

    /// Handles an announced push: a commit that the next read finds counts as pushed now.
    pub(super) fn hinted(&mut self, repository: RepositoryName, at: Timestamp) {
        self.sources.branches.hints.insert(repository, at);
    }

    pub(super) fn heads_read(
        &mut self,
        repository: &RepositoryName,
        asked: Vec<BranchName>,
        found: &BTreeMap<BranchName, Commit>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let branches = &mut self.sources.branches;
        let news = branches.read(repository, asked, found, now, effects);
        if !news.is_empty() {
            let all = self.declarations.spec().environments.iter();
            self.environments
                .mark_dirty(all.map(|environment| environment.name.clone()));
            self.show_heads(&news);
        }
    }

    pub(super) fn heads_failed(
        &mut self,
        repository: &RepositoryName,
        asked: &[BranchName],
        problem: &Problem,
    ) {
        let news = self.sources.branches.failed(repository, asked, problem);
        if !news.is_empty() {
            self.show_heads(&news);
        }
    }

    /// Marks what depends on changed branches: their environments and the assignments of their clusters.
    fn show_heads(&mut self, branches: &BTreeSet<BranchName>) {
        self.touch_environments();
        self.assign_later(|environment| branches.contains(&environment.branch));
    }
}
