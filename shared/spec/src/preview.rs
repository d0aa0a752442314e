//! Pull requests of which the hub says beforehand what they would change.

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::BranchName;
use serde::Deserialize;

/// Most previews of one file: each asks a forge again and again.
pub(crate) const MAX_PREVIEWS: usize = 50;

/// Which pull requests, and whose clusters are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The environment whose clusters are asked.
    pub environment: EnvironmentName,
    /// The repository whose pull requests are meant.
    pub repository: RepositoryName,
    /// The branch that they want to be taken into.
    pub branch: BranchName,
    /// The mark that asks for it; none: whoever opens one asks.
    pub label: Option<String>,
    /// What who asks may do in the repository: who gave the mark, or opened it; none: the mark is enough.
    pub role: Option<Role>,
}

/// What somebody may do in a repository, in words that every forge has one for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Look at it.
    Read,
    /// Push to its branches.
    Write,
    /// Decide who may.
    Admin,
}

impl Role {
    /// The word of the fleet file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}
