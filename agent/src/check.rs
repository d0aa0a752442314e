//! `flotilla-agent check`: whether this agent has what it needs. [`gather`] collects facts (thin), [`judge`]
//! turns them into findings (pure).

mod gather;
mod judge;
mod rights;
#[cfg(test)]
mod tests;

use flotilla_shared::findings::Findings;
use jiff::Timestamp;

use gather::gather;
use judge::judge;
pub(crate) use rights::{Kind, Right, to_install, to_run};

use crate::args::Check;
use crate::policy::Policy;

/// Runs all checks that the arguments ask for.
pub async fn look(args: &Check) -> Findings {
    judge(&gather(args).await)
}

/// A fact, or the error of collecting it.
pub(crate) type Fact<T> = Result<T, String>;

/// A right, and whether the API server grants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RightCheck {
    pub(crate) right: Right,
    /// Whether the API server grants it.
    pub(crate) allowed: Fact<bool>,
}

/// The lease of the leader election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseFacts {
    /// The holder; empty: none.
    pub(crate) holder: String,
    /// When it was renewed, by the holder's clock.
    pub(crate) renewed: Option<Timestamp>,
}

/// The agent's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    /// Start of its validity.
    pub(crate) begin: Timestamp,
    pub(crate) end: Timestamp,
}

/// A directory that must be writable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiskFacts {
    pub(crate) path: String,
    /// Free space in bytes.
    pub(crate) free: u64,
    /// Whether a file could be created in it.
    pub(crate) writable: Fact<()>,
}

/// A repository, checked with the agent's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryFacts {
    pub(crate) url: String,
    /// Credentials that it was checked with, such as `a token`; empty: none.
    pub(crate) with: String,
    /// Requested branches that are missing.
    pub(crate) answer: Fact<Vec<String>>,
}

/// A file with a key or credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub(crate) name: String,
    /// When it was written.
    pub(crate) written: Option<Timestamp>,
}

/// All facts for the checks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CheckFacts {
    pub(crate) now: Timestamp,
    /// Whether nothing is installed yet.
    pub(crate) pre: bool,
    /// The agent's own namespace.
    pub(crate) namespace: String,
    /// The API server's version.
    pub(crate) kubernetes: Fact<String>,
    /// Whether the namespace exists; none: not checked.
    pub(crate) has_namespace: Option<Fact<bool>>,
    /// Rights, by purpose.
    pub(crate) rights: Vec<RightCheck>,
    /// Kinds in use that the API server does not serve.
    pub(crate) unserved: Vec<String>,
    /// The lease; none: not checked, inner none: it does not exist.
    pub(crate) lease: Option<Fact<Option<LeaseFacts>>>,
    /// The certificate; none: not checked, inner none: not enrolled.
    pub(crate) certificate: Option<Fact<Option<CertificateFacts>>>,
    /// The data directory; none: not given.
    pub(crate) disk: Option<Fact<DiskFacts>>,
    pub(crate) policy: Fact<Policy>,
    pub(crate) repositories: Vec<RepositoryFacts>,
    /// Files of Git credentials.
    pub(crate) credentials: Vec<KeyFile>,
    /// Number of age keys; none: no path was given.
    pub(crate) age_keys: Option<Fact<usize>>,
    /// The files of age keys.
    pub(crate) age_files: Vec<KeyFile>,
}
