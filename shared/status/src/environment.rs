//! Environments and the branches they follow.

use flotilla_proto::v1;
use flotilla_shared::health::Health;
use flotilla_shared::wire::health_from_wire;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::schema::HealthWord;
use super::{Cluster, Mark, Pin, Quarantine, Revision, Rollout, is_empty, moment, text};

/// Most characters of a line of a heading.
const MAX_HEADING: usize = 200;

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

impl From<&v1::CommitHeading> for Heading {
    fn from(wire: &v1::CommitHeading) -> Self {
        let short = |line: &str| text(line).chars().take(MAX_HEADING).collect();
        Self {
            subject: short(&wire.subject),
            author: short(&wire.author),
            authored_at: moment(wire.authored_at.as_ref()),
        }
    }
}

impl From<&v1::EnvironmentStatus> for Environment {
    fn from(wire: &v1::EnvironmentStatus) -> Self {
        Self {
            name: text(&wire.name),
            branch: text(&wire.branch),
            promotes_from: text(&wire.promotes_from),
            branches: wire.branches.iter().map(Branch::from).collect(),
            clusters: wire.clusters,
            online: wire.online,
            current: wire.current,
            failed: wire.failed,
            health: health_from_wire(wire.health()),
            rollout: wire.rollout.as_ref().map(Rollout::from),
            paused: wire.paused.as_ref().map(Mark::from),
            hold: wire.hold.as_ref().map(Mark::from),
            pin: wire.pin.as_ref().map(Pin::from),
            quarantined: wire.quarantined.iter().map(Quarantine::from).collect(),
        }
    }
}

impl From<&v1::BranchStatus> for Branch {
    fn from(wire: &v1::BranchStatus) -> Self {
        let head = Revision::from_wire(wire.revision.as_ref());
        let approved = Some(text(&wire.approved)).filter(|approved| {
            !approved.is_empty() && head.as_ref().is_none_or(|head| head.commit != *approved)
        });
        Self {
            repository: wire
                .revision
                .as_ref()
                .map(|revision| text(&revision.repository))
                .unwrap_or_default(),
            heading: wire.heading.as_ref().map(Heading::from),
            approved_heading: approved
                .as_ref()
                .and(wire.approved_heading.as_ref())
                .map(Heading::from),
            head,
            approved,
            seen_at: moment(wire.seen_at.as_ref()),
            checked_at: moment(wire.checked_at.as_ref()),
            reason: text(&wire.reason),
            message: text(&wire.message),
        }
    }
}
