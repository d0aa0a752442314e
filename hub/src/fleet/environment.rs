//! Decisions of operators and rollouts about an environment.

mod hold;

use std::collections::{BTreeMap, VecDeque};

use flotilla_shared::approval::SignedApproval;
use flotilla_shared::id::RepositoryName;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::hold::Hold;
use super::job_note::JobNote;
use super::rollout::Commits;

/// Highest number of good commits that are remembered for rollbacks.
pub(super) const MAX_HISTORY: usize = 20;
/// Highest number of commits whose reports are remembered.
const MAX_SEEN: usize = 100;
/// Highest number of quarantined commits that are remembered.
pub(super) const MAX_QUARANTINED: usize = 32;
/// Highest number of approvals that are remembered.
pub(super) const MAX_APPROVALS: usize = 128;
/// Highest number of rollback commits that wait for verification.
pub(super) const MAX_GOING_BACK: usize = 16;
/// Highest number of queued commits; one more replaces the last.
pub(super) const MAX_QUEUE: usize = 16;

/// Who made a decision, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

/// A pin: a cluster or an environment is kept on commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The commits; other repositories follow their rollouts.
    pub commits: Commits,
    /// Who decided it, why and when.
    pub mark: Mark,
    /// Epoch in which it was decided; 0: from an older hub.
    #[serde(default)]
    pub epoch: u64,
    /// When it expires; none: never.
    pub expires_at: Option<Timestamp>,
    /// A signed approval that lets agents go back; the hub only passes it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<SignedApproval>>,
    /// Whether the commit has not passed the gates: it comes by a rollout, in waves, and an admin overrode them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven: bool,
    /// Whether every cluster is kept where it is, in the middle of a rollout, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_place: bool,
}

impl Pin {
    /// Returns whether the pin is in force.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// Returns the commit of a repository that a pin keeps a cluster on, or else the one among these.
pub(super) fn pinned_or<'c>(
    pin: Option<&'c Pin>,
    commits: &'c Commits,
    repository: &RepositoryName,
) -> Option<&'c Commit> {
    let pinned = pin.and_then(|pin| pin.commits.get(repository));
    pinned.or_else(|| commits.get(repository))
}

/// Commits that became good in every wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodCommits {
    pub commits: Commits,
    /// The rollout that brought them; empty: the environment has no strategy.
    pub rollout: String,
    pub at: Timestamp,
    /// Epoch in which that was decided; 0: from an older hub.
    #[serde(default)]
    pub epoch: u64,
}

/// Commits that failed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    pub commits: Commits,
    /// Id of the rollout.
    pub rollout: String,
    pub reason: String,
    pub at: Timestamp,
}

/// Scope of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// The commit may be rolled out in the environment.
    Commit,
    /// A wave of the commit's rollout may begin.
    Wave(String),
    /// All gates are overridden for the commit.
    Override,
}

impl Approval {
    fn is_for(&self, repository: &RepositoryName, commit: &Commit, scope: &Scope) -> bool {
        self.scope == *scope
            && self.commit == *commit
            && self.repository.as_ref().is_none_or(|own| own == repository)
    }
}

/// An approval of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The repository of the commit; none: from an older hub, which recorded only the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// The commit.
    pub commit: Commit,
    /// Scope of the approval: the commit, a wave, or an override of its gates.
    pub scope: Scope,
    /// Who decided it, why and when.
    pub mark: Mark,
}

/// An announced rollback commit, which passes the gates once the hub has verified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedRollback {
    /// The repository's name.
    pub repository: RepositoryName,
    pub commit: Commit,
    /// Commits, one of which has to have the same content.
    pub to: Vec<Commit>,
    /// Who decided it, why and when.
    pub mark: Mark,
}

/// Result of an external check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Id of the rollout that it was asked for; empty: none ran.
    pub rollout: String,
    /// Whether it passed.
    pub good: bool,
    /// The answer, as a message for operators.
    pub text: String,
    pub at: Timestamp,
}

/// What clusters reported on a commit when the next one came, in an environment without rollouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitReport {
    /// The repository's name.
    pub repository: RepositoryName,
    pub commit: Commit,
    /// Why it was not seen to be healthy; empty: it was.
    pub doubt: String,
}

/// Stored state of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvironmentState {
    /// The last good commits, which every cluster runs that no rollout has started on.
    pub approved: Commits,
    /// The rollout that brought them.
    pub approved_by: String,
    /// Good commits, oldest first; the last ones are `approved`.
    pub history: VecDeque<GoodCommits>,
    /// Number of the last rollout.
    pub last_number: u64,
    /// The pause, if any: no cluster is started.
    pub paused: Option<Mark>,
    /// The hold of automatic promotions, if any.
    pub hold: Option<Hold>,
    /// The pin of the whole environment, if any.
    pub pin: Option<Pin>,
    /// Commits that failed and will not be retried.
    pub quarantined: VecDeque<Quarantine>,
    /// Commits that failed together with commits of other repositories: each is tried alone, so that none is
    /// quarantined because of another.
    #[serde(skip_serializing_if = "Commits::is_empty")]
    pub suspects: Commits,
    /// Approvals, oldest first.
    pub approvals: VecDeque<Approval>,
    /// Announced rollback commits.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub going_back: VecDeque<AnnouncedRollback>,
    /// Queued commits.
    pub queue: VecDeque<Commits>,
    /// Commits that the environment before has proven for the time that the gate demands.
    pub proven: VecDeque<GoodCommits>,
    /// Results of gate Jobs, oldest first.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub jobs: VecDeque<JobNote>,
    /// Last reports on commits that came without rollouts, oldest first.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub seen: VecDeque<CommitReport>,
}

impl EnvironmentState {
    /// Returns the quarantine that holds a commit back, if any. An override of the gates for a commit that failed
    /// before means a retry; a good commit is not held back by others that failed beside it.
    #[must_use]
    pub fn quarantine_of(
        &self,
        repository: &RepositoryName,
        commit: &Commit,
    ) -> Option<&Quarantine> {
        if self.approved.get(repository) == Some(commit) {
            return None;
        }
        let mut all = self.quarantined.iter();
        let last = all.rfind(|quarantine| quarantine.commits.get(repository) == Some(commit));
        last.filter(|quarantine| {
            self.override_of(repository, commit)
                .is_none_or(|given| given.mark.at <= quarantine.at)
        })
    }

    /// Returns which of these commits are quarantined, each with its quarantine.
    pub fn all_held_among<'c>(
        &self,
        commits: &'c Commits,
    ) -> impl Iterator<Item = (&Quarantine, &'c Commit)> {
        let all = commits.iter();
        all.filter_map(|(repository, commit)| {
            Some((self.quarantine_of(repository, commit)?, commit))
        })
    }

    /// Returns the quarantines of these commits, each once, with the first commit that it holds back.
    #[must_use]
    pub fn quarantines_among<'c>(&self, commits: &'c Commits) -> Vec<(&Quarantine, &'c Commit)> {
        let mut all: Vec<(&Quarantine, &Commit)> = Vec::new();
        for (quarantine, commit) in self.all_held_among(commits) {
            if all.iter().all(|(other, _)| *other != quarantine) {
                all.push((quarantine, commit));
            }
        }
        all
    }

    /// Returns the first of them.
    #[must_use]
    pub fn held_among<'c>(&self, commits: &'c Commits) -> Option<(&Quarantine, &'c Commit)> {
        self.all_held_among(commits).next()
    }

    /// Returns the first quarantine of these commits.
    #[must_use]
    pub fn quarantine(&self, commits: &Commits) -> Option<&Quarantine> {
        self.held_among(commits).map(|(quarantine, _)| quarantine)
    }

    /// Returns the override for a commit, if any.
    #[must_use]
    pub fn override_of(&self, repository: &RepositoryName, commit: &Commit) -> Option<&Approval> {
        let mut all = self.approvals.iter();
        all.rfind(|approval| approval.is_for(repository, commit, &Scope::Override))
    }

    /// Returns whether the gates were overridden for each of these commits, and there is at least one.
    #[must_use]
    pub fn overridden(&self, changed: &Commits) -> bool {
        let mut all = changed.iter();
        !changed.is_empty()
            && all.all(|(repository, commit)| self.override_of(repository, commit).is_some())
    }

    /// Returns the commits without an override.
    #[must_use]
    pub fn not_overridden(&self, changed: &Commits) -> Commits {
        let mut waiting = changed.clone();
        waiting.retain(|repository, commit| self.override_of(repository, commit).is_none());
        waiting
    }

    /// Returns who approved a commit in a scope, each person once.
    #[must_use]
    pub fn approvers(
        &self,
        repository: &RepositoryName,
        commit: &Commit,
        scope: &Scope,
    ) -> Vec<&str> {
        let mut people: Vec<&str> = self
            .approvals
            .iter()
            .filter(|approval| approval.is_for(repository, commit, scope))
            .map(|approval| approval.mark.by.as_str())
            .collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    /// Returns who approved that commit among these that has the fewest approvals; none: there is no commit to approve.
    #[must_use]
    pub fn approvers_of_all(&self, changed: &Commits, scope: &Scope) -> Option<Vec<&str>> {
        let all = changed.iter();
        all.map(|(repository, commit)| self.approvers(repository, commit, scope))
            .min_by_key(Vec::len)
    }

    /// Returns whether a commit was good here.
    #[must_use]
    pub fn was_good(&self, repository: &RepositoryName, commit: &Commit) -> bool {
        self.approved.get(repository) == Some(commit)
            || self
                .history
                .iter()
                .any(|good| good.commits.get(repository) == Some(commit))
    }

    /// Returns the last good commits of a repository, newest first.
    pub(super) fn good_of(&self, repository: &RepositoryName, limit: usize) -> Vec<Commit> {
        let mut all: Vec<Commit> = Vec::new();
        let history = self.history.iter().rev().map(|good| &good.commits);
        for commits in std::iter::once(&self.approved).chain(history) {
            if let Some(commit) = commits.get(repository)
                && all.len() < limit
                && !all.contains(commit)
            {
                all.push(commit.clone());
            }
        }
        all
    }

    /// Returns when the environment before proved a commit.
    #[must_use]
    pub fn proof_of(&self, repository: &RepositoryName, commit: &Commit) -> Option<&GoodCommits> {
        let mut all = self.proven.iter();
        all.rfind(|good| good.commits.get(repository) == Some(commit))
    }

    /// Returns the commits of a repository that the environment before proved, newest first.
    pub(super) fn proven_of(&self, repository: &RepositoryName) -> impl Iterator<Item = &Commit> {
        let all = self.proven.iter().rev();
        all.filter_map(move |good| good.commits.get(repository))
    }

    /// Marks commits as good, as decided in an epoch.
    pub(super) fn approve(
        &mut self,
        commits: Commits,
        rollout: String,
        epoch: u64,
        now: Timestamp,
    ) {
        if self.approved != commits {
            if self.history.len() >= MAX_HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(GoodCommits {
                commits: commits.clone(),
                rollout: rollout.clone(),
                at: now,
                epoch,
            });
        }
        self.suspects
            .retain(|repository, commit| commits.get(repository) != Some(commit));
        // A commit that became good needs no override later.
        for failed in &mut self.quarantined {
            failed
                .commits
                .retain(|repository, commit| commits.get(repository) != Some(commit));
        }
        self.quarantined.retain(|failed| !failed.commits.is_empty());
        self.approved = commits;
        self.approved_by = rollout;
    }

    /// Notes the reports on the present commits.
    pub(super) fn note_seen(&mut self, doubts: BTreeMap<RepositoryName, String>) {
        for (repository, doubt) in doubts {
            let Some(commit) = self.approved.get(&repository).cloned() else {
                continue;
            };
            self.seen
                .retain(|seen| (&seen.repository, &seen.commit) != (&repository, &commit));
            let seen = CommitReport {
                repository,
                commit,
                doubt,
            };
            push(&mut self.seen, MAX_SEEN, seen);
        }
    }

    /// Returns the good commit of a repository before the present one.
    #[must_use]
    pub fn previous(&self, repository: &RepositoryName) -> Option<&Commit> {
        let present = self.approved.get(repository);
        self.history
            .iter()
            .rev()
            .filter_map(|good| good.commits.get(repository))
            .find(|commit| Some(*commit) != present)
    }
}

/// Adds to a list of limited length; the oldest entry is dropped.
pub(super) fn push<T>(list: &mut VecDeque<T>, limit: usize, item: T) {
    if list.len() >= limit {
        list.pop_front();
    }
    list.push_back(item);
}
