//! What people and rollouts have decided about an environment.

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

/// Good commits that are remembered, to go back to.
pub(super) const MAX_HISTORY: usize = 20;
/// Most commits of which is kept what clusters said.
const MAX_SEEN: usize = 100;
/// Quarantined commits that are remembered.
pub(super) const MAX_QUARANTINED: usize = 32;
/// Approvals that are remembered.
pub(super) const MAX_APPROVALS: usize = 128;
/// Commits that are said to go back and were not compared yet.
pub(super) const MAX_GOING_BACK: usize = 16;
/// Commits that may wait for their turn; one more takes the place of the last.
pub(super) const MAX_QUEUE: usize = 16;

/// A decision of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

/// Kept on commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// On these; repositories that are not named follow their rollouts.
    pub commits: Commits,
    /// Who, why, when.
    pub mark: Mark,
    /// In which epoch; 0: an older hub did not note it.
    #[serde(default)]
    pub epoch: u64,
    /// End by itself; none: until a person ends it.
    pub expires_at: Option<Timestamp>,
    /// A person's signed word that agents may go back for it; the hub only passes it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<SignedApproval>>,
    /// The commit has not been through the gates: it comes by a rollout, in waves, and an admin answers for
    /// it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven: bool,
    /// Everybody is kept where they are, in the middle of a rollout, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_place: bool,
}

impl Pin {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// The commit of a repository that a pin keeps a cluster on, or else the one among these.
pub(super) fn pinned_or<'c>(
    pin: Option<&'c Pin>,
    commits: &'c Commits,
    repository: &RepositoryName,
) -> Option<&'c Commit> {
    let pinned = pin.and_then(|pin| pin.commits.get(repository));
    pinned.or_else(|| commits.get(repository))
}

/// Commits that were good for every wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    pub commits: Commits,
    /// The rollout that brought them; empty: none, the environment has no strategy.
    pub rollout: String,
    pub at: Timestamp,
    /// In which epoch that was decided; 0: an older hub did not note it.
    #[serde(default)]
    pub epoch: u64,
}

/// Commits that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    pub commits: Commits,
    /// In which rollout.
    pub rollout: String,
    pub reason: String,
    pub at: Timestamp,
}

/// What an approval is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// The commit may come into the environment.
    Commit,
    /// A wave of the commit's rollout may begin.
    Wave(String),
    /// The commit may come whatever the gates say.
    Override,
}

impl Approval {
    fn is_for(&self, repository: &RepositoryName, commit: &Commit, scope: &Scope) -> bool {
        self.scope == *scope
            && self.commit == *commit
            && self.repository.as_ref().is_none_or(|own| own == repository)
    }
}

/// Somebody's approval of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Of which repository; none: an older hub wrote this, when a commit's name was all that counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// For which commit.
    pub commit: Commit,
    /// For the commit, for a wave of it, or past its gates.
    pub scope: Scope,
    /// Who, why, when.
    pub mark: Mark,
}

/// A commit that is said to go back: it passes the gates once the hub has seen that it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBack {
    /// Of which repository.
    pub repository: RepositoryName,
    pub commit: Commit,
    /// It has the content of one of these.
    pub to: Vec<Commit>,
    /// Who, why, when.
    pub mark: Mark,
}

/// An answer of an external check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// For which rollout it was asked; empty: none ran.
    pub rollout: String,
    /// Whether it is good.
    pub good: bool,
    /// What was answered.
    pub text: String,
    pub at: Timestamp,
}

/// What clusters said of a commit when the next one came, where there are no rollouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of which repository.
    pub repository: RepositoryName,
    pub commit: Commit,
    /// Why it was not seen to be good; empty: it was.
    pub doubt: String,
}

/// What is kept of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvironmentState {
    /// The last good commits: what every cluster runs that no rollout has come to.
    pub approved: Commits,
    /// The rollout that brought them.
    pub approved_by: String,
    /// Good commits, oldest first, the last of them `approved`.
    pub history: VecDeque<Good>,
    /// Number of the last rollout.
    pub last_number: u64,
    /// No cluster is started.
    pub paused: Option<Mark>,
    /// No automatic promotion comes in.
    pub hold: Option<Hold>,
    /// Every cluster is kept where this says.
    pub pin: Option<Pin>,
    /// Not tried again.
    pub quarantined: VecDeque<Quarantine>,
    /// Commits that failed together with commits of other repositories: each is tried alone, so that none is
    /// quarantined for another.
    #[serde(skip_serializing_if = "Commits::is_empty")]
    pub suspects: Commits,
    /// Approvals, oldest first.
    pub approvals: VecDeque<Approval>,
    /// Commits that are said to go back.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub going_back: VecDeque<WayBack>,
    /// Commits that wait for their turn.
    pub queue: VecDeque<Commits>,
    /// Commits that the environment before has proven for as long as the gate demands.
    pub proven: VecDeque<Good>,
    /// What came of gates' Jobs, the oldest first.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub jobs: VecDeque<JobNote>,
    /// What clusters said of commits that came without rollouts, the oldest first; of each the last word.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub seen: VecDeque<Seen>,
}

impl EnvironmentState {
    /// The quarantine that holds a commit back, if any. Who overrides the gates for a commit that failed
    /// before means to try it again; what is good is not held back by what failed beside it.
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

    /// Those of these commits that a quarantine holds back, each with that.
    pub fn all_held_among<'c>(
        &self,
        commits: &'c Commits,
    ) -> impl Iterator<Item = (&Quarantine, &'c Commit)> {
        let all = commits.iter();
        all.filter_map(|(repository, commit)| {
            Some((self.quarantine_of(repository, commit)?, commit))
        })
    }

    /// The quarantines that hold these commits back, each once, with the first commit that it holds.
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

    /// The first of them.
    #[must_use]
    pub fn held_among<'c>(&self, commits: &'c Commits) -> Option<(&Quarantine, &'c Commit)> {
        self.all_held_among(commits).next()
    }

    /// The first quarantine that holds one of these commits back.
    #[must_use]
    pub fn quarantine(&self, commits: &Commits) -> Option<&Quarantine> {
        self.held_among(commits).map(|(quarantine, _)| quarantine)
    }

    /// The override for a commit, if any.
    #[must_use]
    pub fn override_of(&self, repository: &RepositoryName, commit: &Commit) -> Option<&Approval> {
        let mut all = self.approvals.iter();
        all.rfind(|approval| approval.is_for(repository, commit, &Scope::Override))
    }

    /// Whether somebody overrode the gates for each of these commits, of which there is one.
    #[must_use]
    pub fn overridden(&self, changed: &Commits) -> bool {
        let mut all = changed.iter();
        !changed.is_empty()
            && all.all(|(repository, commit)| self.override_of(repository, commit).is_some())
    }

    /// Of these commits, those for which nobody overrode the gates.
    #[must_use]
    pub fn not_overridden(&self, changed: &Commits) -> Commits {
        let mut waiting = changed.clone();
        waiting.retain(|repository, commit| self.override_of(repository, commit).is_none());
        waiting
    }

    /// Who approved a commit in a scope; each person once.
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

    /// Who approved the one of these commits that fewest people approved; none: there is no commit to
    /// approve.
    #[must_use]
    pub fn approvers_of_all(&self, changed: &Commits, scope: &Scope) -> Option<Vec<&str>> {
        let all = changed.iter();
        all.map(|(repository, commit)| self.approvers(repository, commit, scope))
            .min_by_key(Vec::len)
    }

    /// Whether a commit was good here.
    #[must_use]
    pub fn was_good(&self, repository: &RepositoryName, commit: &Commit) -> bool {
        self.approved.get(repository) == Some(commit)
            || self
                .history
                .iter()
                .any(|good| good.commits.get(repository) == Some(commit))
    }

    /// The last commits of a repository that were good here, the newest first.
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

    /// When the environment before had proven a commit.
    #[must_use]
    pub fn proof_of(&self, repository: &RepositoryName, commit: &Commit) -> Option<&Good> {
        let mut all = self.proven.iter();
        all.rfind(|good| good.commits.get(repository) == Some(commit))
    }

    /// Commits of a repository that the environment before had proven, the newest first.
    pub(super) fn proven_of(&self, repository: &RepositoryName) -> impl Iterator<Item = &Commit> {
        let all = self.proven.iter().rev();
        all.filter_map(move |good| good.commits.get(repository))
    }

    /// Takes commits as good, as decided in an epoch.
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
            self.history.push_back(Good {
                commits: commits.clone(),
                rollout: rollout.clone(),
                at: now,
                epoch,
            });
        }
        self.suspects
            .retain(|repository, commit| commits.get(repository) != Some(commit));
        // What is good after all is no failure that anybody has to override later.
        for failed in &mut self.quarantined {
            failed
                .commits
                .retain(|repository, commit| commits.get(repository) != Some(commit));
        }
        self.quarantined.retain(|failed| !failed.commits.is_empty());
        self.approved = commits;
        self.approved_by = rollout;
    }

    /// Notes what clusters say of the present commits.
    pub(super) fn note_seen(&mut self, doubts: BTreeMap<RepositoryName, String>) {
        for (repository, doubt) in doubts {
            let Some(commit) = self.approved.get(&repository).cloned() else {
                continue;
            };
            self.seen
                .retain(|seen| (&seen.repository, &seen.commit) != (&repository, &commit));
            let seen = Seen {
                repository,
                commit,
                doubt,
            };
            push(&mut self.seen, MAX_SEEN, seen);
        }
    }

    /// The good commit of a repository before the present one.
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

/// Adds to a list of bounded length; the oldest goes.
pub(super) fn push<T>(list: &mut VecDeque<T>, limit: usize, item: T) {
    if list.len() >= limit {
        list.pop_front();
    }
    list.push_back(item);
}
