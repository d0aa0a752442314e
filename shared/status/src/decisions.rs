//! What people and rollouts decided about an environment.

use flotilla_proto::v1;
use jiff::Timestamp;
use serde::Serialize;

use super::rollout::{RepositoryCommit, commits};
use super::{moment, text};

/// What was decided about an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decisions {
    /// Who stopped rollouts, and why.
    pub paused: Option<Mark>,
    /// Why no automatic promotion comes in.
    pub hold: Option<Mark>,
    /// Pins of the environment and of its clusters.
    pub pins: Vec<Pin>,
    /// Commits that failed and are not tried again.
    pub quarantined: Vec<Quarantine>,
    /// Good commits, oldest first.
    pub good: Vec<Good>,
    /// Who stood for which commit, oldest first.
    pub approvals: Vec<Approval>,
}

/// Somebody's word for a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// The full id.
    pub commit: String,
    /// For this wave only; empty: for the commit.
    pub wave: String,
    /// Whether it comes in whatever the gates say.
    pub r#override: bool,
    /// Who, why, when.
    pub mark: Option<Mark>,
}

/// Somebody's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// An operator's name, or `hub`.
    pub by: String,
    /// In their own words.
    pub reason: String,
    /// By the hub's clock.
    pub at: Option<Timestamp>,
    /// The rollout that was rolled back, where that is the reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rolled_back: String,
}

/// Kept on commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// Empty: the environment.
    pub cluster: String,
    /// On these.
    pub commits: Vec<RepositoryCommit>,
    /// Who, why, when.
    pub mark: Option<Mark>,
    /// End by itself.
    pub expires_at: Option<Timestamp>,
}

/// Commits that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantine {
    /// What the rollout brought: at most one for each repository.
    pub commits: Vec<RepositoryCommit>,
    /// In which rollout.
    pub rollout: String,
    /// Why the rollout ended, for a person.
    pub reason: String,
    /// When the rollout ended, by the hub's clock.
    pub at: Option<Timestamp>,
}

/// Commits that were good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Good {
    /// At most one for each repository.
    pub commits: Vec<RepositoryCommit>,
    /// In which rollout.
    pub rollout: String,
    /// Since when.
    pub at: Option<Timestamp>,
    /// Where there are no rollouts: what clusters said of each repository's commit last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Seen>,
}

/// What clusters said of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Of which repository.
    pub repository: String,
    /// Why it was not seen to be good; empty: it was.
    pub doubt: String,
}

impl From<&v1::Mark> for Mark {
    fn from(wire: &v1::Mark) -> Self {
        Self {
            by: text(&wire.by),
            reason: text(&wire.reason),
            at: moment(wire.at.as_ref()),
            rolled_back: text(&wire.rolled_back),
        }
    }
}

impl From<&v1::GoodCommits> for Good {
    fn from(wire: &v1::GoodCommits) -> Self {
        let seen = wire.seen.iter().map(|one| Seen {
            repository: text(&one.repository),
            doubt: text(&one.doubt),
        });
        Self {
            commits: commits(&wire.commits),
            rollout: text(&wire.rollout),
            at: moment(wire.at.as_ref()),
            seen: seen.collect(),
        }
    }
}

impl From<&v1::Quarantine> for Quarantine {
    fn from(wire: &v1::Quarantine) -> Self {
        Self {
            commits: commits(&wire.commits),
            rollout: text(&wire.rollout),
            reason: text(&wire.reason),
            at: moment(wire.at.as_ref()),
        }
    }
}

impl From<&v1::Pin> for Pin {
    fn from(pin: &v1::Pin) -> Self {
        Self {
            cluster: text(&pin.cluster),
            commits: commits(&pin.commits),
            mark: pin.mark.as_ref().map(Mark::from),
            expires_at: moment(pin.expires_at.as_ref()),
        }
    }
}

impl From<&v1::EnvironmentDecisions> for Decisions {
    fn from(wire: &v1::EnvironmentDecisions) -> Self {
        let pins = wire.pin.iter().chain(&wire.cluster_pins);
        Self {
            paused: wire.paused.as_ref().map(Mark::from),
            hold: wire.hold.as_ref().map(Mark::from),
            pins: pins.map(Pin::from).collect(),
            quarantined: wire.quarantined.iter().map(Quarantine::from).collect(),
            approvals: wire
                .approvals
                .iter()
                .map(|one| Approval {
                    commit: text(&one.commit),
                    wave: text(&one.wave),
                    r#override: one.r#override,
                    mark: one.mark.as_ref().map(Mark::from),
                })
                .collect(),
            good: wire.good.iter().map(Good::from).collect(),
        }
    }
}
