//! Who did what, and who may.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

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
