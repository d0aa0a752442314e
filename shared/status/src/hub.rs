//! The hub itself, its tokens, explanations and promotions.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{is_empty, labels, moment, text};

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
    pub step: String,
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

impl From<&v1::GetHubResponse> for Hub {
    fn from(wire: &v1::GetHubResponse) -> Self {
        Self {
            version: text(&wire.version),
            epoch: wire.epoch,
            operator: text(&wire.operator),
            rights: wire
                .rights
                .iter()
                .map(|right| Right {
                    role: text(&right.role),
                    environments: right.environments.iter().map(|name| text(name)).collect(),
                })
                .collect(),
            address: text(&wire.address),
            trust_bundle: wire.trust_bundle.clone(),
            started_at: moment(wire.started_at.as_ref()),
            fleet_digest: text(&wire.fleet_digest),
            fleet_loaded_at: moment(wire.fleet_loaded_at.as_ref()),
            fleet_errors: wire.fleet_error.lines().take(100).map(text).collect(),
            now: moment(wire.now.as_ref()),
            store: text(&wire.store),
            store_failing: wire.store_failing,
            decider: text(&wire.decider),
            term: wire.term,
            moves_branches: wire.moves_branches,
            given_up: wire
                .given_up
                .iter()
                .take(100)
                .map(|one| GivenUp {
                    target: text(&one.target),
                    event: text(&one.event),
                    environment: text(&one.environment),
                    rollout: text(&one.rollout),
                    at: moment(one.at.as_ref()),
                    why: text(&one.why),
                })
                .collect(),
            given_up_total: wire.given_up_total,
        }
    }
}

impl From<&v1::TokenStatus> for Token {
    fn from(wire: &v1::TokenStatus) -> Self {
        Self {
            id: text(&wire.id),
            cluster: text(&wire.cluster),
            environment: text(&wire.environment),
            labels: labels(&wire.labels),
            expires_at: moment(wire.expires_at.as_ref()),
            redeemed_at: moment(wire.redeemed_at.as_ref()),
            redeemed_by: text(&wire.redeemed_by),
            created_by: text(&wire.created_by),
            auto_accept: wire.auto_accept,
        }
    }
}

impl From<&v1::CreateTokenResponse> for NewToken {
    fn from(wire: &v1::CreateTokenResponse) -> Self {
        Self {
            token: text(&wire.token),
            status: Token::from(&wire.status.clone().unwrap_or_default()),
            trust_bundle: wire.trust_bundle.clone(),
            hub_address: text(&wire.hub_address),
        }
    }
}

impl From<&v1::ExplainStep> for Step {
    fn from(wire: &v1::ExplainStep) -> Self {
        Self {
            step: text(&wire.step),
            subject: text(&wire.subject),
            state: match wire.state() {
                v1::StepState::Ok => StepState::Ok,
                v1::StepState::Waiting => StepState::Waiting,
                v1::StepState::Failed => StepState::Failed,
                v1::StepState::Skipped => StepState::Skipped,
                v1::StepState::Unspecified => StepState::Unknown,
            },
            text: text(&wire.text),
            reason: text(&wire.reason),
            at: moment(wire.at.as_ref()),
            may_open: wire.may_open,
            opens_at: moment(wire.opens_at.as_ref()),
        }
    }
}

impl From<&v1::PreviewPromotionResponse> for Promotion {
    fn from(wire: &v1::PreviewPromotionResponse) -> Self {
        Self {
            environment: text(&wire.environment),
            promotes_from: text(&wire.promotes_from),
            moves: wire.moves.iter().map(Move::from).collect(),
            clusters: wire.clusters.iter().map(|one| text(one)).collect(),
            gates: wire
                .gates
                .iter()
                .map(|gate| {
                    let step = Step::from(gate);
                    // An older hub says so by the state alone.
                    let may_open = step.may_open || step.state == StepState::Waiting;
                    Step { may_open, ..step }
                })
                .collect(),
        }
    }
}

impl From<&v1::PromotionMove> for Move {
    fn from(wire: &v1::PromotionMove) -> Self {
        Self {
            repository: text(&wire.repository),
            url: text(&wire.url),
            source_branch: text(&wire.source_branch),
            target_branch: text(&wire.target_branch),
            from_commit: text(&wire.from_commit),
            to_commit: text(&wire.to_commit),
            applications: wire.applications.iter().map(|one| text(one)).collect(),
            commits: Vec::new(),
            commit_count: 0,
        }
    }
}
