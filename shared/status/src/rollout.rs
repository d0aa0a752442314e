//! Rollouts, their waves and clusters.

use flotilla_shared::id::RepositoryName;
use flotilla_shared::reason::Reason;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Step, digits};
use crate::words::words;

words! {
    /// State of a rollout.
    pub open RolloutState {
        /// It waits for its gates.
        Pending = "pending",
        /// Clusters are being started.
        Running = "running",
        /// All clusters of the wave are started and healthy, and soak.
        Soaking = "soaking",
        /// An operator paused it.
        Paused = "paused",
        /// More clusters failed than its budget allows; an operator decides.
        Halted = "halted",
        /// Touched clusters went back to the last good commits.
        RolledBack = "rolledBack",
        /// Every wave is complete.
        Succeeded = "succeeded",
        /// A newer rollout took over.
        Superseded = "superseded",
    }
}

impl RolloutState {
    /// Returns whether the rollout has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::RolledBack | Self::Succeeded | Self::Superseded)
    }

    /// Returns whether clusters are being started or soak.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Running | Self::Soaking)
    }

    /// Returns whether it continues by itself once what it waits for is fulfilled: it is neither stopped nor over.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::Soaking)
    }

    /// Returns whether it is over and needs no attention.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Superseded)
    }

    /// Returns the state as a phrase, such as `rolled back`.
    #[must_use]
    pub fn phrase(&self) -> &str {
        match self {
            Self::RolledBack => "rolled back",
            state => state.as_str(),
        }
    }
}

words! {
    /// Phase of one cluster of a rollout.
    pub open Phase {
        /// Not started yet.
        Waiting = "waiting",
        /// Excluded by a pin.
        Pinned = "pinned",
        /// Excluded, because an operator suspended it.
        Suspended = "suspended",
        /// It was assigned the new commits.
        Started = "started",
        /// It is healthy on them, and soaks.
        Soaking = "soaking",
        /// It was healthy on them, and is not now.
        Unavailable = "unavailable",
        /// It was healthy for the soak.
        Done = "done",
        /// It did not become healthy on them.
        Failed = "failed",
    }
}

words! {
    /// What a budget of a rollout counts.
    pub open BudgetKind {
        /// Clusters that failed.
        Failed = "failed",
        /// Clusters that were healthy on the new commits and are not now.
        Unavailable = "unavailable",
        /// Clusters that are offline.
        Offline = "offline",
    }
}

/// A rollout of commits through an environment, wave by wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Its id, `<environment>-<number>`.
    pub id: String,
    /// Name of the environment.
    pub environment: String,
    /// Its state: pending, running, soaking, paused, halted, rolledBack, succeeded or superseded.
    pub state: RolloutState,
    /// The commits that it rolls out.
    pub target: Vec<RepositoryCommit>,
    /// The last good commits when it was created.
    pub from: Vec<RepositoryCommit>,
    /// Its waves, in order.
    pub waves: Vec<Wave>,
    /// Index of the current wave, from 0.
    pub wave: usize,
    /// When its commits were first seen.
    pub created_at: Option<Timestamp>,
    /// When its first cluster could be started.
    pub started_at: Option<Timestamp>,
    /// When it ended; none: it has not.
    pub ended_at: Option<Timestamp>,
    /// Reason of its state; message for operators.
    pub note: String,
    /// Why it is not known beforehand which clusters the commits change; empty: it is known, or the rollout is over.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unread: String,
    /// Its changes of declarations in the fleet file: application, field, before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Use of its budgets, while it is not over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The first gates that hold it back now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Step>,
    /// Number of further gates that hold it back.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_gates: u32,
    /// Commits that the environment is asked for but this rollout does not include, because their own gates are closed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<Apart>,
    /// Progress of its clusters, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Progress>,
    /// Command with which an operator can let it continue; empty: none, or the note names it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// Name of the wave that needs approval now; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wave_to_approve: String,
}

/// A rollout in a list, without its clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSummary<'r> {
    /// Its id, `<environment>-<number>`.
    id: &'r str,
    /// Name of the environment.
    environment: &'r str,
    state: &'r RolloutState,
    /// The commits that it rolls out.
    target: &'r [RepositoryCommit],
    /// The last good commits when it was created.
    from: &'r [RepositoryCommit],
    /// Names of its waves, in order.
    waves: Vec<&'r str>,
    /// Index of the current wave, from 0.
    wave: usize,
    /// When its commits were first seen.
    created_at: Option<Timestamp>,
    /// When its first cluster could be started.
    started_at: Option<Timestamp>,
    /// When it ended; none: it has not.
    ended_at: Option<Timestamp>,
    /// Reason of its state; message for operators.
    note: &'r str,
    /// Its changes of declarations in the fleet file: application, field, before and after.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    changes: &'r [String],
}

impl<'r> From<&'r Rollout> for RolloutSummary<'r> {
    fn from(rollout: &'r Rollout) -> Self {
        Self {
            id: &rollout.id,
            environment: &rollout.environment,
            state: &rollout.state,
            target: &rollout.target,
            from: &rollout.from,
            waves: rollout
                .waves
                .iter()
                .map(|wave| wave.name.as_str())
                .collect(),
            wave: rollout.wave,
            created_at: rollout.created_at,
            started_at: rollout.started_at,
            ended_at: rollout.ended_at,
            note: &rollout.note,
            changes: &rollout.changes,
        }
    }
}

/// A commit that is held back while a rollout runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Apart {
    /// The commit; for the fleet file, the digest of what it declares.
    #[serde(flatten)]
    pub commit: RepositoryCommit,
    /// What holds it back, and how to let it in; message for operators.
    pub text: String,
    /// Its closed gates.
    pub gates: Vec<Step>,
}

impl Apart {
    /// Returns whether it waits for approvals.
    #[must_use]
    pub fn wants_approval(&self) -> bool {
        asks_people(&self.gates)
    }
}

fn asks_people(gates: &[Step]) -> bool {
    let mut gates = gates.iter();
    gates.any(|gate| gate.reason == Reason::ApprovalNeeded.as_str())
}

/// Use of one budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// The budget: failed, unavailable or offline.
    pub budget: BudgetKind,
    /// Number of clusters that count against it now.
    pub used: u32,
    /// Highest number of clusters that it allows.
    pub at_most: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RepositoryCommit {
    /// The repository's name in the fleet file; `fleet-file` for the fleet file's own declarations.
    pub repository: String,
    /// Full commit id.
    pub commit: String,
}

/// A wave, with the number of its clusters by phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// Its name in the strategy; `rest` for the implicit last wave.
    pub name: String,
    /// Number of clusters that have not started.
    pub waiting: u32,
    /// Number of clusters that were assigned the new commits.
    pub started: u32,
    /// Number of clusters that are healthy and soak.
    pub soaking: u32,
    /// Number of clusters that were healthy, and are not now.
    pub unavailable: u32,
    /// Number of clusters that were healthy for the soak.
    pub done: u32,
    /// Number of clusters that failed.
    pub failed: u32,
    /// Number of clusters that are excluded by a pin.
    pub pinned: u32,
    /// Number of clusters that are excluded because they are suspended.
    pub suspended: u32,
    /// Number of clusters for which the new commits render the same as before, as far as known.
    pub unchanged: u32,
    /// Number of people who must approve before it begins.
    pub approvals: u32,
    /// Names of those who approved it.
    pub approved_by: Vec<String>,
    /// Seconds for which its clusters must stay healthy.
    pub soak_seconds: u32,
    /// Number of waiting clusters that are offline.
    #[serde(skip_serializing_if = "is_zero")]
    pub offline: u32,
    /// Number of done clusters for which the commits render the same as before.
    #[serde(skip_serializing_if = "is_zero")]
    pub done_unchanged: u32,
    /// When the last soaking cluster is done, if all stay healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak_ends_at: Option<Timestamp>,
}

impl Wave {
    /// Returns the number of clusters that take part.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.waiting + self.started + self.soaking + self.unavailable + self.done + self.failed
    }
}

/// Progress of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The cluster's name.
    pub cluster: String,
    /// Name of its wave.
    pub wave: String,
    /// Its phase: waiting, pinned, suspended, started, soaking, unavailable, done or failed.
    pub phase: Phase,
    /// Since when it is in this phase.
    pub since: Option<Timestamp>,
    /// When it was assigned the new commits; none: not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// A CamelCase code where something is wrong; empty: nothing.
    pub reason: String,
    /// Message for operators.
    pub message: String,
    /// Whether the new commits render the same as before.
    pub unchanged: bool,
}

impl RepositoryCommit {
    /// Returns commits, shortened, for a line of text: `3f2a9c1+fleet file 77aa01b`; empty: there are none.
    #[must_use]
    pub fn title(commits: &[Self]) -> String {
        let entry = |entry: &Self| match entry.is_fleet_file() {
            true => format!("fleet file {}", digits(&entry.commit)),
            false => digits(&entry.commit).to_owned(),
        };
        let all: Vec<String> = commits.iter().map(entry).collect();
        all.join("+")
    }

    /// Returns whether it is the digest of the fleet file's declarations, and not a commit of a repository.
    #[must_use]
    pub fn is_fleet_file(&self) -> bool {
        self.repository == RepositoryName::fleet_file().as_str()
    }
}

impl Rollout {
    /// Returns the wave that needs approval now, if any.
    #[must_use]
    pub fn asked_wave(&self) -> Option<&Wave> {
        let asked = self.wave_to_approve.as_str();
        let mut waves = self.waves.iter();
        waves.find(|wave| !asked.is_empty() && wave.name == asked)
    }

    /// Returns whether it waits for approvals of its commits.
    #[must_use]
    pub fn wants_commits_approved(&self) -> bool {
        self.state == RolloutState::Pending && asks_people(&self.gates)
    }

    /// Returns whether the rollout has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }
}
