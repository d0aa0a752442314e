//! Who did what, and who may.

use flotilla_proto::v1;
use jiff::Timestamp;
use serde::Serialize;

use super::{moment, text};

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its place.
    pub seq: u64,
    /// When.
    pub at: Option<Timestamp>,
    /// An operator, or `hub`.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// Where.
    pub environment: String,
    /// To which clusters.
    pub clusters: Vec<String>,
    /// With which commit.
    pub commit: String,
    /// Why.
    pub reason: String,
    /// More.
    pub detail: String,
    /// Over the entry and the hash before it.
    pub hash: String,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// Where; none at all: everywhere.
    pub environments: Vec<String>,
    /// Who said so.
    pub changed_by: String,
    /// When.
    pub changed_at: Option<Timestamp>,
}

impl From<&v1::AuditEntry> for Entry {
    fn from(wire: &v1::AuditEntry) -> Self {
        Self {
            seq: wire.seq,
            at: moment(wire.at.as_ref()),
            actor: text(&wire.actor),
            action: text(&wire.action),
            environment: text(&wire.environment),
            clusters: wire.clusters.iter().map(|name| text(name)).collect(),
            commit: text(&wire.commit),
            reason: text(&wire.reason),
            detail: text(&wire.detail),
            hash: text(&wire.hash),
        }
    }
}

impl From<&v1::OperatorStatus> for Operator {
    fn from(wire: &v1::OperatorStatus) -> Self {
        Self {
            name: text(&wire.name),
            role: text(&wire.role),
            environments: wire.environments.iter().map(|name| text(name)).collect(),
            changed_by: text(&wire.changed_by),
            changed_at: moment(wire.changed_at.as_ref()),
        }
    }
}
