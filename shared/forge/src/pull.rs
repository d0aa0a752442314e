//! Pull requests, whatever a forge calls them.

/// Open pull requests that are looked at, those that changed last.
pub const OPEN: usize = 50;

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PullRequest {
    /// Its number in the repository.
    pub number: u64,
    /// The URL of its page, for people.
    pub link: String,
    /// One line, whose words are its author's.
    pub title: String,
    /// Its description in the forge's Markdown, whose words are its author's; empty: it has none.
    pub body: String,
    /// The branch that asks.
    pub head: String,
    /// The commit at its end; empty: the forge did not say, or only in part.
    pub head_commit: String,
    /// Whether the branch that asks is in another repository, which anybody may have made.
    pub from_fork: bool,
    /// The branch that takes.
    pub base: String,
    /// Whether it is open.
    pub open: bool,
    /// Whether it was taken.
    pub merged: bool,
    /// Whether its author says that it is not finished.
    pub draft: bool,
    /// Whether it is marked to be squashed: its merge would make another commit.
    pub squash: bool,
    /// What the forge itself says about merging it: none where it does not say.
    pub mergeable: Option<bool>,
    /// Who opened it.
    pub author: String,
    /// What it is marked with.
    pub labels: Vec<String>,
    /// Ids of who is asked to look at it, where whoever writes it anew has to give them back.
    pub reviewers: Vec<String>,
}

/// What a pull request is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    /// The branch that asks.
    pub head: String,
    /// The branch that takes.
    pub base: String,
    /// One line, as lists of pull requests show it.
    pub title: String,
    /// Its description, in the forge's Markdown.
    pub body: String,
}

/// Something said about a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The forge's id of it, by which it is written anew.
    pub id: u64,
    /// What it says.
    pub body: String,
    /// Who said it.
    pub author: String,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Whether there is another one.
    pub more: bool,
}

impl<T> Page<T> {
    /// All that there is.
    pub(crate) fn only(items: impl Iterator<Item = T>) -> Self {
        Self {
            items: items.collect(),
            more: false,
        }
    }
}

/// Somebody's approval of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The account's name at the forge.
    pub by: String,
    /// At which commit; empty: the forge does not say, and takes approvals back by itself where it is told
    /// to.
    pub commit: String,
}

/// Why a project's merges make other commits than those that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rewrites {
    /// It joins the two branches by a commit.
    #[error("the project merges by merge commits; set its merge method to fast-forward merge")]
    Merges,
    /// It makes one commit of all.
    #[error("the project squashes what it merges; set it not to require squashing")]
    Squashes,
    /// It brings what is behind up to date by itself.
    #[error(
        "the project rebases what is behind before it merges it; switch its automatic rebase off"
    )]
    Rebases,
}

/// Something that looked at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A status' context or a job's name, such as `ci/build`; of Bitbucket, the status' key.
    pub name: String,
    /// How it stands.
    pub state: crate::State,
}

/// What a branch asks of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Required {
    /// Checks that must be green.
    pub checks: Vec<String>,
    /// People that must approve.
    pub approvals: u32,
    /// Whether an approval of an older commit does not count.
    pub fresh: bool,
}

impl Required {
    /// Both at once.
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
