//! Join tokens.

use std::collections::BTreeMap;

use flotilla_shared::id::{ClusterName, EnvironmentName};
use jiff::Timestamp;

/// A token to create.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// The only name that it may be used for; none: any free one.
    pub cluster: Option<ClusterName>,
    /// Environment that the cluster will join.
    pub environment: Option<EnvironmentName>,
    /// The cluster's labels.
    pub labels: BTreeMap<String, String>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Whether the cluster is accepted without a second step.
    pub auto_accept: bool,
    /// Name of the operator who created it.
    pub created_by: String,
}

/// A stored token, without its secret.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its public id.
    pub id: String,
    /// The token as requested.
    pub new: NewToken,
    /// The cluster that used it; none: not used yet.
    pub redeemed: Option<Redeemer>,
    /// When it was revoked; none: not revoked.
    pub revoked_at: Option<Timestamp>,
}

/// The cluster that used a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemer {
    pub at: Timestamp,
    /// Name of the cluster.
    pub cluster: ClusterName,
    /// SHA-256 of its public key.
    pub key: String,
}
