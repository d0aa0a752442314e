//! `flotilla-agent check`: whether this agent has what it needs. [`gather`] asks (thin), [`judge`] says
//! how it stands (pure).

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

/// Looks at everything that the arguments name.
pub async fn look(args: &Check) -> Findings {
    judge(&gather(args).await)
}

/// What a thing is, or why it could not be had.
pub(crate) type Fact<T> = Result<T, String>;

/// A right, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) right: Right,
    /// Whether the API server grants it.
    pub(crate) allowed: Fact<bool>,
}

/// The election's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseFacts {
    /// Who holds it; empty: nobody.
    pub(crate) holder: String,
    /// When it was renewed, by the holder's clock.
    pub(crate) renewed: Option<Timestamp>,
}

/// The agent's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    /// Its first moment.
    pub(crate) begin: Timestamp,
    pub(crate) end: Timestamp,
}

/// A directory that should be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiskFacts {
    pub(crate) path: String,
    /// Bytes that may still be written.
    pub(crate) free: u64,
    /// Whether a file could be made there.
    pub(crate) writable: Fact<()>,
}

/// A repository, asked with the credentials that the agent has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryFacts {
    pub(crate) url: String,
    /// With what it was asked, such as `a token`; empty: nothing.
    pub(crate) with: String,
    /// Branches that were asked for and are not there.
    pub(crate) answer: Fact<Vec<String>>,
}

/// A file with a key or credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub(crate) name: String,
    /// When it was written.
    pub(crate) written: Option<Timestamp>,
}

/// Everything that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CheckFacts {
    pub(crate) now: Timestamp,
    /// Whether nothing is installed yet.
    pub(crate) pre: bool,
    /// The agent's own namespace.
    pub(crate) namespace: String,
    /// The API server's version.
    pub(crate) kubernetes: Fact<String>,
    /// Whether the namespace is there; none: not asked.
    pub(crate) has_namespace: Option<Fact<bool>>,
    /// Rights, by what they are for.
    pub(crate) rights: Vec<Asked>,
    /// Kinds in use that the API server does not serve.
    pub(crate) unserved: Vec<String>,
    /// The lease; none: not asked, inner none: there is none.
    pub(crate) lease: Option<Fact<Option<LeaseFacts>>>,
    /// The certificate; none: not asked, inner none: not enrolled.
    pub(crate) certificate: Option<Fact<Option<CertificateFacts>>>,
    /// The data directory; none: none was named.
    pub(crate) disk: Option<Fact<DiskFacts>>,
    pub(crate) policy: Fact<Policy>,
    pub(crate) repositories: Vec<RepositoryFacts>,
    /// Files of Git credentials.
    pub(crate) credentials: Vec<KeyFile>,
    /// How many age keys there are; none: no place was named.
    pub(crate) age_keys: Option<Fact<usize>>,
    /// The files of age keys.
    pub(crate) age_files: Vec<KeyFile>,
}
