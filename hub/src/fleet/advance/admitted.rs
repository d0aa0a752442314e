//! Which of the requested commits are rolled out now. Gates belong to a repository and its commit: commits whose gates
//! are open are rolled out without those whose gates are closed, which wait for a rollout of their own.

use flotilla_shared::id::RepositoryName;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::super::Fleet;
use super::super::environment::EnvironmentState;
use super::super::gate::Gate;
use super::super::rollout::{Commits, Rollout, State, changed};
use crate::spec::{Environment, OnNewCommit, Specification, Strategy};

/// How far a commit's own gates are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    /// Closed.
    Closed,
    /// Open except for its Jobs, which run when a rollout waits for nothing else.
    Jobs,
    Open,
    /// An admin overrode the gates, including the environment's times and checks.
    Overridden,
}

/// A commit that is held back while a rollout runs, with its closed gates.
#[derive(Debug, Clone)]
pub struct WaitingCommit {
    /// The repository's name.
    pub repository: RepositoryName,
    pub commit: Commit,
    /// Its closed gates, at least one.
    pub gates: Vec<Gate>,
}

impl WaitingCommit {
    /// Returns the commit as a set of waiting commits.
    #[must_use]
    pub fn waiting(&self) -> Commits {
        Commits::from([(self.repository.clone(), self.commit.clone())])
    }

    /// Returns which commit is held back, and why.
    #[must_use]
    pub fn text(&self, why: &str) -> String {
        let (repository, commit) = (&self.repository, self.commit.short());
        format!("{repository} {commit} is held back: {why}")
    }
}

impl Fleet {
    fn entry_of(
        &self,
        environment: &Environment,
        state: &EnvironmentState,
        (repository, commit): (&RepositoryName, &Commit),
        now: Timestamp,
    ) -> Entry {
        if state.override_of(repository, commit).is_some() {
            return Entry::Overridden;
        }
        let gates = self.own_gates(environment, (repository, commit), now);
        match gates.iter().all(Gate::runs_last) {
            _ if gates.is_empty() => Entry::Open,
            true => Entry::Jobs,
            false => Entry::Closed,
        }
    }

    /// Returns which of the requested commits are rolled out now: those whose own gates are open, with what they can be
    /// rolled out with. Where none is open, all of them wait together, visibly. A repository whose commit may not be
    /// rolled out stays at its commit in `before`, which is rolled out first, if there is one.
    pub(super) fn admitted(
        &self,
        environment: &Environment,
        state: &EnvironmentState,
        (asked, before): (&Commits, Option<&Commits>),
        now: Timestamp,
    ) -> Commits {
        let news = changed(&state.approved, asked);
        let running = self.rollouts.running(&environment.name);
        let running = running.filter(|rollout| rollout.started_at.is_some());
        let failed = running.filter(|rollout| rollout.state == State::Halted);
        let goes_on = running.filter(|rollout| rollout.state != State::Halted);
        let takes_over = goes_on.is_some_and(|rollout| self.would_take_over(environment, rollout));
        if news.len() < 2 && !takes_over {
            return asked.clone();
        }
        let has = |rollout: Option<&Rollout>, repository: &RepositoryName, commit: &Commit| {
            rollout.is_some_and(|rollout| rollout.target.get(repository) == Some(commit))
        };
        let mut entries = Vec::new();
        for (repository, commit) in &news {
            if has(failed, repository, commit) {
                continue;
            }
            let entry = match state.override_of(repository, commit) {
                // This commit passed its gates when the rollout began.
                None if has(goes_on, repository, commit) => Entry::Open,
                _ => self.entry_of(environment, state, (repository, commit), now),
            };
            entries.push((repository, entry));
        }
        let best = entries.iter().map(|(_, entry)| *entry).max();
        // A rollout in progress does not wait for a newer commit whose gates are closed.
        let least_of_all = if takes_over {
            Entry::Open
        } else {
            Entry::Closed
        };
        let best = best.map(|best| best.max(least_of_all));
        let shut = self.is_shut(environment, now);
        // Commits that an admin let in do not wait for a freeze, a window or a check, as others do.
        let alone = shut || !environment.gates.checks.is_empty();
        let least = match best {
            Some(Entry::Overridden) if alone => Entry::Overridden,
            // During a freeze, or outside the change windows, all wait together; they are separated when that ends.
            Some(Entry::Open | Entry::Jobs) if shut && running.is_none() => Entry::Closed,
            Some(Entry::Overridden | Entry::Open) => Entry::Open,
            Some(Entry::Jobs) => Entry::Jobs,
            Some(Entry::Closed) if failed.is_some() => Entry::Open,
            Some(Entry::Closed) | None => return asked.clone(),
        };
        let mut now_in = asked.clone();
        let before = before.or(goes_on.map(|rollout| &rollout.target));
        let stays = |now_in: &mut Commits, repository: &RepositoryName| {
            match before.and_then(|commits| commits.get(repository)) {
                // A commit in progress is not taken back because a newer one may not come in yet.
                Some(present) if state.quarantine_of(repository, present).is_none() => {
                    now_in.insert(repository.clone(), present.clone());
                }
                _ => state.hold_back(now_in, repository),
            }
        };
        let closed = entries.iter().filter(|(_, entry)| *entry < least);
        for (repository, _) in closed {
            stays(&mut now_in, repository);
        }
        // A revision of the fleet file that uses a repository for the first time needs a commit of that.
        let file = RepositoryName::fleet_file();
        if news.contains_key(file) && !self.lacking(&now_in, asked).is_empty() {
            stays(&mut now_in, file);
        }
        let anything = entries.iter().any(|(_, entry)| *entry >= least);
        // A failed commit delays no other: its repository stays at the good commit.
        if let Some(failed) = failed.filter(|rollout| anything && rollout.is_to_blame()) {
            let news = news.iter();
            for (repository, _) in news.filter(|(name, commit)| has(Some(failed), name, commit)) {
                state.hold_back(&mut now_in, repository);
            }
        }
        now_in
    }

    /// Returns whether a newer commit would supersede a rollout. Where commits queue, it queues at its own gates, too,
    /// so that it keeps its turn.
    fn would_take_over(&self, environment: &Environment, rollout: &Rollout) -> bool {
        let strategy = self.strategy_of(environment);
        let supersedes = |strategy: &Strategy| strategy.on_new_commit == OnNewCommit::Supersede;
        strategy.is_some_and(supersedes) && !rollout.changed().is_empty()
    }

    /// Returns repositories that these revisions use without a commit of them, where `others` have one.
    pub(super) fn lacking(&self, commits: &Commits, others: &Commits) -> Commits {
        let specification = self.specification_among(commits);
        let mut lacking = others.clone();
        lacking.retain(|repository, _| {
            let takes =
                |specification: &Specification| specification.repositories().contains(repository);
            !commits.contains_key(repository) && specification.as_deref().is_some_and(takes)
        });
        lacking
    }

    /// Returns whether any of these commits has its own gates open.
    pub(super) fn lets_in_any(
        &self,
        environment: &Environment,
        state: &EnvironmentState,
        commits: &Commits,
        now: Timestamp,
    ) -> bool {
        let mut open = state.approved.clone();
        for news in changed(&state.approved, commits) {
            if self.entry_of(environment, state, (&news.0, &news.1), now) > Entry::Jobs {
                open.extend([news]);
            }
        }
        // A commit needs the revision of the fleet file that uses its repository.
        let open = self.completed(state, open);
        !changed(&state.approved, &open).is_empty()
    }

    /// Returns the commits that an environment's heads ask for but its rollout does not include, because their own
    /// gates are closed.
    #[must_use]
    pub fn apart(&self, environment: &Environment, now: Timestamp) -> Vec<WaitingCommit> {
        let Some(rollout) = self.rollouts.running(&environment.name) else {
            return Vec::new();
        };
        let empty = EnvironmentState::default();
        let state = self.environments.get(&environment.name).unwrap_or(&empty);
        let asked = state.without_failed(&self.newest(environment));
        let news = changed(&state.approved, &asked).into_iter();
        let news = news.filter(|(name, commit)| rollout.target.get(name) != Some(commit));
        let all = news.map(|(repository, commit)| WaitingCommit {
            gates: self.own_gates(environment, (&repository, &commit), now),
            repository,
            commit,
        });
        all.filter(|apart| !apart.gates.is_empty()).collect()
    }
}
