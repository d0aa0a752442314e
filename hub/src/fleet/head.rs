//! Where a branch is, as the hub last read it.

use std::collections::BTreeMap;

use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::revision::{BranchName, Commit};
use jiff::Timestamp;

/// A branch's head as the hub last read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// None: never read, or the branch has never been there.
    pub commit: Option<Commit>,
    /// When this commit was first seen.
    pub seen_at: Option<Timestamp>,
    /// The branch was seen to move: heads are forgotten when an epoch begins, so it did in this one.
    pub moved: bool,
    /// The last look that succeeded.
    pub checked_at: Option<Timestamp>,
    /// Why the last look failed; none: it did not. The commit stays.
    pub problem: Option<Problem>,
}

/// Heads by repository and branch.
pub type Heads = BTreeMap<(RepositoryName, BranchName), Head>;
