//! Pull requests, or merge requests, of any forge.

/// Number of open pull requests that are read, last changed first.
pub const OPEN: usize = 50;

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PullRequest {
    /// Its number in the repository.
    pub number: u64,
    /// URL of its web page.
    pub link: String,
    /// Its title, one line of its author's words.
    pub title: String,
    /// Its description in the forge's Markdown, in its author's words; empty: none.
    pub body: String,
    /// The source branch.
    pub head: String,
    /// Commit of the source branch; empty: not reported in full.
    pub head_commit: String,
    /// Whether the source branch is in another repository, which anybody may have created.
    pub from_fork: bool,
    /// The target branch.
    pub base: String,
    /// Whether it is open.
    pub open: bool,
    /// Whether it was merged.
    pub merged: bool,
    /// Whether it is a draft.
    pub draft: bool,
    /// Whether it is marked to be squashed: its merge would make another commit.
    pub squash: bool,
    /// Whether the forge reports that it can be merged; none: not reported.
    pub mergeable: Option<bool>,
    /// Name of the account that opened it.
    pub author: String,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// Ids of its reviewers, where an update has to send them back.
    pub reviewers: Vec<String>,
}

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    /// The source branch.
    pub head: String,
    /// The target branch.
    pub base: String,
    /// Its title, one line.
    pub title: String,
    /// Its description, in the forge's Markdown.
    pub body: String,
}

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The forge's id of the comment, by which it is updated.
    pub id: u64,
    /// Its text.
    pub body: String,
    /// Name of its author's account.
    pub author: String,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Entries on the page.
    pub items: Vec<T>,
    /// Whether another page follows.
    pub more: bool,
}

impl<T> Page<T> {
    /// Makes the only page of a list.
    pub(crate) fn only(items: impl Iterator<Item = T>) -> Self {
        Self {
            items: items.collect(),
            more: false,
        }
    }
}

/// An approval of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The account's name at the forge.
    pub by: String,
    /// The approved commit; empty: the forge does not report it, and withdraws approvals by itself where set so.
    pub commit: String,
}

/// Why merges of a project would create other commits than those that were reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rewrites {
    /// Merges create a merge commit.
    #[error("the project uses merge commits; set its merge method to fast-forward merge")]
    Merges,
    /// Merges squash all commits into one.
    #[error("the project squashes merge requests; set it not to require squashing")]
    Squashes,
    /// Merge requests that are behind are rebased automatically.
    #[error("the project rebases merge requests that are behind; turn its automatic rebase off")]
    Rebases,
}

/// A check of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Context of a status or name of a job, such as `ci/build`; on Bitbucket, the key of the status.
    pub name: String,
    /// State of the check.
    pub state: crate::State,
}

/// Requirements of a branch for pull requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Required {
    /// Names of the checks that must be green.
    pub checks: Vec<String>,
    /// Number of people who must approve.
    pub approvals: u32,
    /// Whether an approval of an older commit does not count.
    pub fresh: bool,
}

impl Required {
    /// Combines the requirements of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.checks.extend(other.checks);
        self.checks.sort();
        self.checks.dedup();
        self.approvals = self.approvals.max(other.approvals);
        self.fresh |= other.fresh;
        self
    }
}
