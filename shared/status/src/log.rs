//! Who did what, and who may.

use flotilla_proto::v1;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{moment, text};

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// From 1, without gaps: its place in the chain of hashes.
    pub seq: u64,
    /// By the clock of the hub that wrote it.
    pub at: Option<Timestamp>,
    /// An operator, or `hub`.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// In which environment; empty: everywhere.
    pub environment: String,
    /// To which clusters.
    pub clusters: Vec<String>,
    /// With which commit.
    pub commit: String,
    /// In the actor's words; empty: none were given.
    pub reason: String,
    /// What more there is to say, for a person, such as the key and token of an enrolment.
    pub detail: String,
    /// Over the entry and the hash before it.
    pub hash: String,
}

/// Somebody whom the hub has given a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// The operator's name.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// Where; none at all: everywhere.
    pub environments: Vec<String>,
    /// Who said so.
    pub changed_by: String,
    /// When the role was last given, by the hub's clock.
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
