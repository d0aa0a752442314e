//! Heads of branches, as the hub last read them.

use std::collections::BTreeMap;

use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::revision::{BranchName, Commit};
use jiff::Timestamp;

/// A branch's head as the hub last read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Its commit; none: never read, or the branch has never existed.
    pub commit: Option<Commit>,
    /// When this commit was first seen.
    pub seen_at: Option<Timestamp>,
    /// Whether the branch was seen to move: heads are forgotten when an epoch begins, so it moved in this one.
    pub moved: bool,
    /// When the branch was last read successfully.
    pub checked_at: Option<Timestamp>,
    /// Why the last read failed; none: it did not. The commit is kept.
    pub problem: Option<Problem>,
}

/// Heads by repository and branch.
pub type Heads = BTreeMap<(RepositoryName, BranchName), Head>;
