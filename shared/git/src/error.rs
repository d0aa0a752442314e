//! What can go wrong with a repository, in classes that a caller and an operator can act on.

use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};

/// A Git operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not reached, or not answered in a way that makes sense; worth another try.
    #[error("{url} cannot be reached: {cause}")]
    Unavailable {
        /// The repository.
        url: RepositoryUrl,
        /// What the transport said.
        cause: String,
    },
    /// 401 or 403.
    #[error("{url} refuses our credentials (or wants some): {cause}")]
    Authentication {
        /// The repository.
        url: RepositoryUrl,
        /// What the server said.
        cause: String,
    },
    /// What the host is to be asked with cannot be used; nothing was sent.
    #[error("{url} cannot be asked with the credentials that are mounted: {cause}")]
    Access {
        /// The repository.
        url: RepositoryUrl,
        /// Which file, and what is wrong.
        cause: String,
    },
    /// An SSH server has another key than the pinned one; nothing was sent.
    #[error("{url} does not have the host key that `known_hosts` pins: {cause}")]
    HostKey {
        /// The repository.
        url: RepositoryUrl,
        /// What ssh said.
        cause: String,
    },
    /// 404, or no such directory.
    #[error("there is no repository at {url}")]
    RepositoryNotFound {
        /// The repository.
        url: RepositoryUrl,
    },
    /// The branch is not advertised.
    #[error("branch {branch} is not in {url}")]
    BranchNotFound {
        /// The repository.
        url: RepositoryUrl,
        /// The branch.
        branch: BranchName,
    },
    /// The server does not have the commit.
    #[error("commit {commit} is not in {url}")]
    CommitNotFound {
        /// The repository.
        url: RepositoryUrl,
        /// The commit.
        commit: Commit,
    },
    /// The commit exists but was not found on the branch within the history that may be fetched.
    #[error("commit {commit} is not on branch {branch} of {url} (looked {depth} commits deep)")]
    NotOnBranch {
        /// The repository.
        url: RepositoryUrl,
        /// The branch.
        branch: BranchName,
        /// The commit.
        commit: Commit,
        /// How deep.
        depth: u32,
    },
    /// A budget is used up.
    #[error("{url}: more than {limit} {what}")]
    Limit {
        /// The repository.
        url: RepositoryUrl,
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// An object cannot be read or has a hostile shape.
    #[error("{url} has damaged or refused objects: {cause}")]
    Corrupt {
        /// The repository.
        url: RepositoryUrl,
        /// What is wrong.
        cause: String,
    },
    /// The repository's ids are not SHA-1.
    #[error(
        "{url} has object ids of SHA-256, which this version does not read: assign a repository of SHA-1"
    )]
    ObjectFormat {
        /// The repository.
        url: RepositoryUrl,
    },
    /// Our own cache directory cannot be used.
    #[error("the cache at {path} cannot be used: {cause}")]
    Cache {
        /// The directory.
        path: String,
        /// What is wrong.
        cause: String,
    },
}

impl Error {
    /// The bounded code for status, events and metrics.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unavailable { .. } | Self::Cache { .. } => Reason::RepositoryUnavailable,
            Self::Authentication { .. } | Self::Access { .. } => Reason::AuthenticationFailed,
            Self::HostKey { .. } => Reason::HostKeyRefused,
            Self::RepositoryNotFound { .. } => Reason::RepositoryNotFound,
            Self::BranchNotFound { .. } => Reason::BranchNotFound,
            Self::CommitNotFound { .. } => Reason::CommitNotFound,
            Self::NotOnBranch { .. } => Reason::CommitNotOnBranch,
            Self::Limit { .. } => Reason::LimitExceeded,
            Self::Corrupt { .. } => Reason::CorruptRepository,
            Self::ObjectFormat { .. } => Reason::ObjectFormatUnsupported,
        }
    }

    /// Sorts a transport's failure by what it says; gix keeps HTTP statuses only in its texts.
    pub(crate) fn transport(url: &RepositoryUrl, error: impl std::fmt::Debug) -> Self {
        // The debug form of gix' errors is the whole chain; credentials are never part of it, since
        // URLs with user information are refused before.
        let text = format!("{error:?}");
        let url = url.clone();
        let says = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        if says(&["hash sized 64", "object-format", "ObjectFormat"]) {
            return Self::ObjectFormat { url };
        }
        if says(&[
            "404",
            "NotFound",
            "does not appear to be a git repository",
            "No such file",
        ]) {
            return Self::RepositoryNotFound { url };
        }
        let cause = one_line(&text);
        if says(&[
            "401",
            "403",
            "Unauthorized",
            "Forbidden",
            "credential",
            "Credential",
        ]) {
            return Self::Authentication { url, cause };
        }
        Self::Unavailable { url, cause }
    }
}

/// The first telling part of a multi-line error chain.
pub(crate) fn one_line(text: &str) -> String {
    let joined: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    flotilla_shared::report::plain_line(&joined.join(": "), 400)
}
