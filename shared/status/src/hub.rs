//! The hub itself, its tokens, explanations and promotions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{StepKind, is_empty};

/// What a hub says of itself, and what the caller may do there.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hub {
    /// Of the program that answered, such as `0.1.0`.
    pub version: String,
    /// Grows when it is restored from a backup.
    pub epoch: u64,
    /// Who we are to it.
    pub operator: String,
    /// What we may do, and where.
    pub rights: Vec<Right>,
    /// `host:port` agents dial.
    pub address: String,
    /// Roots of its authority, PEM.
    pub trust_bundle: String,
    /// Since when it runs.
    pub started_at: Option<Timestamp>,
    /// Of the fleet file in force.
    pub fleet_digest: String,
    /// Since when that is.
    pub fleet_loaded_at: Option<Timestamp>,
    /// Why the fleet file on disk is not in force, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fleet_errors: Vec<String>,
    /// Its clock when it answered; none: an older hub.
    pub now: Option<Timestamp>,
    /// `sqlite` or `postgresql`; empty: an older hub.
    pub store: String,
    /// Whether the last write to the store failed.
    pub store_failing: bool,
    /// Of several replicas, where the one that decides is reached by the others.
    pub decider: String,
    /// How often the right to decide has changed hands.
    pub term: u64,
    /// Whether it was given a credential to move branches with.
    pub moves_branches: bool,
    /// Messages to targets of notifications that were given up, the newest first; not all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUp>,
    /// How many were in all.
    pub given_up_total: u64,
}

/// What a target of notifications was never told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GivenUp {
    /// Its name in `notifications.yaml`.
    pub target: String,
    /// Of what, in the word of `notifications.yaml`.
    pub event: String,
    /// Where; empty: in the whole fleet.
    pub environment: String,
    /// Of which rollout; empty: of none.
    pub rollout: String,
    /// When it was given up.
    pub at: Option<Timestamp>,
    /// What the last try came to, such as `HTTP 404`.
    pub why: String,
}

/// A role, and where it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Right {
    /// viewer, approver, promoter or admin.
    pub role: String,
    /// None at all: everywhere.
    pub environments: Vec<String>,
}

/// A join token as the hub keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The public part.
    pub id: String,
    /// The only name it can be used for; empty: any.
    pub cluster: String,
    /// Where its cluster will belong; empty: not said.
    pub environment: String,
    /// What its cluster will get.
    pub labels: BTreeMap<String, String>,
    /// When it becomes unusable.
    pub expires_at: Option<Timestamp>,
    /// When it was used.
    pub redeemed_at: Option<Timestamp>,
    /// By which cluster.
    pub redeemed_by: String,
    /// By which operator.
    pub created_by: String,
    /// Whether its cluster needs no second step.
    pub auto_accept: bool,
}

/// A token that was just created.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewToken {
    /// The secret, shown once.
    pub token: String,
    /// What is kept of it.
    pub status: Token,
    /// Roots of the hub's authority, PEM.
    pub trust_bundle: String,
    /// `host:port` agents dial.
    pub hub_address: String,
}

/// How one step of a decision chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum StepState {
    /// It is done, or holds; of a gate, it is open.
    Ok,
    /// It is not done yet; of a gate, it may still open.
    Waiting,
    /// It cannot go on.
    Failed,
    /// Left out on purpose.
    Skipped,
    /// A newer hub's word.
    Unknown,
}

impl StepState {
    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Waiting => "Waiting",
            Self::Failed => "Failed",
            Self::Skipped => "Skipped",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether a gate in this state lets nothing through. One that only a newer hub knows does not, either.
    #[must_use]
    pub fn holds_back(self) -> bool {
        !matches!(self, Self::Ok | Self::Skipped)
    }
}

/// One step of a decision chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// A bounded word, such as `branch-head`, `placement` or `health`; of a gate, its kind.
    pub step: StepKind,
    /// What it speaks of.
    pub subject: String,
    /// How it stands.
    pub state: StepState,
    /// For a person.
    pub text: String,
    /// A CamelCase code.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Since when it is so.
    pub at: Option<Timestamp>,
    /// Of a closed gate: time or other people may open it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_open: bool,
    /// When it opens by itself, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
}

/// What a promotion would move.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// Into which environment.
    pub environment: String,
    /// The environment whose commits would be taken.
    pub promotes_from: String,
    /// One per repository.
    pub moves: Vec<Move>,
    /// Which will follow.
    pub clusters: Vec<String>,
    /// What has to hold first, with evidence.
    pub gates: Vec<Step>,
}

/// One repository's part.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Its name in the fleet file.
    pub repository: String,
    /// Where it is.
    pub url: String,
    /// The branch the commit is taken from.
    pub source_branch: String,
    /// The branch that moves.
    pub target_branch: String,
    /// Where it is; empty: it does not exist yet.
    pub from_commit: String,
    /// Where it will be.
    pub to_commit: String,
    /// What is in the repository.
    pub applications: Vec<String>,
    /// One line each, newest first; as many as are shown.
    pub commits: Vec<String>,
    /// How many there are.
    pub commit_count: usize,
}
