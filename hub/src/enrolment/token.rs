//! Join tokens, as far as they decide anything.

use std::collections::BTreeMap;

use flotilla_shared::id::{ClusterName, EnvironmentName};
use jiff::Timestamp;

/// A token to be made.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// The only name it may be redeemed for; none: any that is free.
    pub cluster: Option<ClusterName>,
    /// Where the cluster will belong.
    pub environment: Option<EnvironmentName>,
    /// The cluster's labels.
    pub labels: BTreeMap<String, String>,
    /// End of its use.
    pub expires_at: Timestamp,
    /// No second step by a person.
    pub auto_accept: bool,
    /// Who asked for it.
    pub created_by: String,
}

/// A token as it is kept: without its secret.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its public part.
    pub id: String,
    /// What was asked for.
    pub new: NewToken,
    /// Whom it let in; none: nobody yet.
    pub redeemed: Option<Redeemer>,
    /// When a person revoked it; none: nobody did.
    pub revoked_at: Option<Timestamp>,
}

/// Whom a token let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemer {
    pub at: Timestamp,
    /// Under which name.
    pub cluster: ClusterName,
    /// With the key of this SHA-256.
    pub key: String,
}
