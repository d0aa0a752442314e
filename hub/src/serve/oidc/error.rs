//! Errors of an issuer's file, and of calls to an issuer.

use std::path::PathBuf;

use flotilla_http::{BodyError, why};
use flotilla_yaml::config::ConfigError;

/// Why the file of the issuer is refused.
#[derive(Debug, thiserror::Error)]
pub enum IssuerFileError {
    #[error("{path}: {cause}")]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error(transparent)]
    Wrong(ConfigError),
    #[error("{0}: issuer {1:?} must be an https URL (http only on loopback)")]
    OpenIssuer(PathBuf, String),
    #[error("{0}: clientId is empty")]
    NoClient(PathBuf),
    #[error("{0}: each grant names either a user or a group")]
    Grant(PathBuf),
}

/// Why an issuer's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssuerError {
    /// The roots that the issuer is trusted by cannot be used.
    #[error("{path}: {cause}")]
    Roots {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("{0}")]
    Client(reqwest::Error),
    #[error("{place}: {}", why(cause))]
    NoAnswer {
        place: String,
        cause: reqwest::Error,
    },
    #[error("{place}: {cause}")]
    Body { place: String, cause: BodyError },
    #[error("{place}: {cause}")]
    Discovery {
        place: String,
        cause: serde_json::Error,
    },
    #[error("{place} is for issuer {issuer:?}")]
    AnotherIssuer { place: String, issuer: String },
    #[error("{place} names keys at {keys:?}")]
    OpenKeys { place: String, keys: String },
    #[error("{0} is not a key set")]
    NoKeys(String),
}
