//! Pull requests for which the hub comments what they would change.

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::BranchName;
use serde::Deserialize;

/// Highest number of previews of a file: each one polls a forge.
pub(crate) const MAX_PREVIEWS: usize = 50;

/// Which pull requests are planned, and for which clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Environment whose clusters are asked.
    pub environment: EnvironmentName,
    /// Repository of the pull requests.
    pub repository: RepositoryName,
    /// Target branch of the pull requests.
    pub branch: BranchName,
    /// The label that requests a plan; none: opening a pull request does.
    pub label: Option<String>,
    /// Access to the repository that the requester needs, who added the label or opened the pull request; none: the
    /// label is enough.
    pub role: Option<Role>,
}

/// Access to a repository, in levels that every forge has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Read access.
    Read,
    /// Write access: push to branches.
    Write,
    /// Admin access: manage access.
    Admin,
}

impl Role {
    /// Returns the word in the fleet file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}
