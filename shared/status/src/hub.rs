//! The hub itself, its tokens, explanations and promotions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{StepKind, StepState, is_empty};

/// The hub's description of itself, and the caller's rights.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hub {
    /// Version of the hub that answered, such as `0.1.0`.
    pub version: String,
    /// The hub's epoch, which grows when it is restored from a backup.
    pub epoch: u64,
    /// The caller's identity.
    pub operator: String,
    /// The caller's roles, and the environments that they cover.
    pub rights: Vec<Right>,
    /// `host:port` at which agents reach the hub.
    pub address: String,
    /// Root certificates of its authority, PEM.
    pub trust_bundle: String,
    /// When the hub started.
    pub started_at: Option<Timestamp>,
    /// Digest of the fleet file in force.
    pub fleet_digest: String,
    /// Since when that fleet file is in force.
    pub fleet_loaded_at: Option<Timestamp>,
    /// Why the fleet file on disk is not in force, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fleet_errors: Vec<String>,
    /// The hub's clock when it answered; none: an older hub.
    pub now: Option<Timestamp>,
    /// The kind of store, `sqlite` or `postgresql`; empty: an older hub.
    pub store: String,
    /// Whether the last write to the store failed.
    pub store_failing: bool,
    /// Of several replicas, the address at which the others reach the deciding one.
    pub decider: String,
    /// Term of the deciding replica's lease, which grows with each change of the replica.
    pub term: u64,
    /// Whether it has a credential for moving branches.
    pub moves_branches: bool,
    /// The latest notifications that were given up, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUp>,
    /// Total number of notifications that were given up.
    pub given_up_total: u64,
}

/// A notification that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GivenUp {
    /// The target's name in `notifications.yaml`.
    pub target: String,
    /// The kind of event, as in `notifications.yaml`.
    pub event: String,
    /// Name of the environment; empty: the whole fleet.
    pub environment: String,
    /// Id of the rollout; empty: none.
    pub rollout: String,
    /// When the notification was given up.
    pub at: Option<Timestamp>,
    /// Error of the last attempt, such as `HTTP 404`.
    pub why: String,
}

/// A role and the environments that it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Right {
    /// The role: viewer, approver, promoter or admin.
    pub role: String,
    /// Environments that it covers; empty: all.
    pub environments: Vec<String>,
}

/// A join token as the hub keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The token's public id.
    pub id: String,
    /// The only cluster name that it can be used for; empty: any.
    pub cluster: String,
    /// Environment that its cluster will join; empty: not set.
    pub environment: String,
    /// Labels that its cluster will get.
    pub labels: BTreeMap<String, String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was used; none: not yet.
    pub redeemed_at: Option<Timestamp>,
    /// Name of the cluster that used it.
    pub redeemed_by: String,
    /// Name of the operator who created it.
    pub created_by: String,
    /// Whether its cluster is accepted without a second step.
    pub auto_accept: bool,
}

/// A token that was just created.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewToken {
    /// The secret, shown once.
    pub token: String,
    /// The token as the hub keeps it.
    pub status: Token,
    /// Roots of the hub's authority, PEM.
    pub trust_bundle: String,
    /// `host:port` at which agents reach the hub.
    pub hub_address: String,
}

/// One step of a decision chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Kind of the step, such as `branch-head`, `placement` or `health`; of a gate, its kind.
    pub step: StepKind,
    /// What the step is about, such as a branch, a cluster or a check.
    pub subject: String,
    /// State of the step.
    pub state: StepState,
    /// Message for operators.
    pub text: String,
    /// A CamelCase code; empty: none.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Since when the step is in this state.
    pub at: Option<Timestamp>,
    /// Of a closed gate: whether time or other people may open it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_open: bool,
    /// When the gate opens by itself, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
}

/// What a promotion would move.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// Name of the environment that it moves commits into.
    pub environment: String,
    /// Name of the environment whose commits would be promoted.
    pub promotes_from: String,
    /// The move in each repository.
    pub moves: Vec<Move>,
    /// Clusters that would follow.
    pub clusters: Vec<String>,
    /// Gates that have to be open first, with their evidence.
    pub gates: Vec<Step>,
}

/// The part of a promotion in one repository.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// The repository's name in the fleet file.
    pub repository: String,
    /// URL of the repository.
    pub url: String,
    /// Branch that the commit comes from.
    pub source_branch: String,
    /// Branch that moves.
    pub target_branch: String,
    /// Present commit of that branch; empty: the branch does not exist yet.
    pub from_commit: String,
    /// Commit that the branch would move to.
    pub to_commit: String,
    /// Applications from this repository.
    pub applications: Vec<String>,
    /// Commits in between, one line each, newest first; not necessarily all.
    pub commits: Vec<String>,
    /// Number of commits in between.
    pub commit_count: usize,
}
