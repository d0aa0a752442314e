//! Environments and the branches they follow.

use flotilla_shared::health::Health;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::schema::HealthWord;
use super::{Cluster, Mark, Pin, Quarantine, Revision, Rollout, is_empty};

/// What `status` shows.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// In the fleet file's order.
    pub environments: Vec<Environment>,
    /// Those that were asked for, by name.
    pub clusters: Vec<Cluster>,
}

/// An environment as the hub knows it, with its last rollout and what keeps commits out.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// As in the fleet file, such as `prod`.
    pub name: String,
    /// The branch it follows in every repository.
    pub branch: String,
    /// Empty: the first one.
    pub promotes_from: String,
    /// One per repository.
    pub branches: Vec<Branch>,
    /// Clusters in it.
    pub clusters: u32,
    /// Of those, online.
    pub online: u32,
    /// Of those, healthy at exactly what they are assigned.
    pub current: u32,
    /// Of those, failed or refused.
    pub failed: u32,
    /// Worst over those online.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// The last rollout, without its clusters; none where there was none.
    pub rollout: Option<Rollout>,
    /// Who stopped its rollouts, and why.
    pub paused: Option<Mark>,
    /// Why no automatic promotion comes in.
    pub hold: Option<Mark>,
    /// What keeps all of its clusters on commits.
    pub pin: Option<Pin>,
    /// Why heads of it are not tried again, each failure once.
    pub quarantined: Vec<Quarantine>,
}

/// A branch as the hub last read it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// The repository's name.
    pub repository: String,
    /// Its head; none where it was never read.
    pub head: Option<Revision>,
    /// The commit clusters are sent to, where that is another.
    pub approved: Option<String>,
    /// What the head says of itself; none: it was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heading: Option<Heading>,
    /// What `approved` says of itself, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_heading: Option<Heading>,
    /// When the head was first seen.
    pub seen_at: Option<Timestamp>,
    /// When the branch was last read.
    pub checked_at: Option<Timestamp>,
    /// Why the last look failed.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// For a person.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// The commit clusters are sent to, whether or not it is the head; none: there is none yet.
    #[serde(skip)]
    pub good: Option<String>,
}

/// What a commit says of itself. Whoever wrote it chose every word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heading {
    /// The first line of its message.
    pub subject: String,
    /// Its author's name.
    pub author: String,
    /// When it was written, by the author's clock.
    pub authored_at: Option<Timestamp>,
}
