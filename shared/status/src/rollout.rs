//! Rollouts, their waves and clusters.

use flotilla_shared::id::RepositoryName;
use flotilla_shared::reason::Reason;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Step, digits};
use crate::words::words;

words! {
    /// How a rollout stands.
    pub open RolloutState {
        /// Its gates are not open.
        Pending = "pending",
        /// Clusters are being started.
        Running = "running",
        /// All of the wave are started and healthy; time passes.
        Soaking = "soaking",
        /// A person stopped it.
        Paused = "paused",
        /// Its budget of failures is spent; a person decides.
        Halted = "halted",
        /// Touched clusters went back to the last good commits.
        RolledBack = "rolledBack",
        /// Every wave is complete.
        Succeeded = "succeeded",
        /// A newer one took over.
        Superseded = "superseded",
    }
}

impl RolloutState {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::RolledBack | Self::Succeeded | Self::Superseded)
    }

    /// Whether clusters are being given its commits, or soak on them.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Running | Self::Soaking)
    }

    /// Whether it goes on by itself, as soon as what it waits for is there: nobody and nothing stopped it.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::Soaking)
    }

    /// Whether it is over, and there is nothing of it that anybody needs to know.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Superseded)
    }

    /// As people say it.
    #[must_use]
    pub fn phrase(&self) -> &str {
        match self {
            Self::RolledBack => "rolled back",
            state => state.as_str(),
        }
    }
}

words! {
    /// How far one cluster of a rollout is.
    pub open Phase {
        /// Not its turn yet.
        Waiting = "waiting",
        /// Kept where it is by a pin; takes no part.
        Pinned = "pinned",
        /// A person asked it to write nothing; takes no part.
        Suspended = "suspended",
        /// It was given the new commits.
        Started = "started",
        /// It is healthy on them; time passes.
        Soaking = "soaking",
        /// It was healthy on them and is not now.
        Unavailable = "unavailable",
        /// Healthy for the soak.
        Done = "done",
        /// It did not get there.
        Failed = "failed",
    }
}

words! {
    /// What a budget of a rollout counts.
    pub open BudgetKind {
        /// Clusters that did not get there.
        Failed = "failed",
        /// Clusters that were healthy on the new commits and are not now.
        Unavailable = "unavailable",
        /// Clusters of which nothing is heard.
        Offline = "offline",
    }
}

/// The way of commits through an environment, wave by wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// `<environment>-<number>`.
    pub id: String,
    /// The one whose clusters it changes.
    pub environment: String,
    /// pending, running, soaking, paused, halted, rolledBack, succeeded or superseded.
    pub state: RolloutState,
    /// What it brings.
    pub target: Vec<RepositoryCommit>,
    /// The last good commits when it began.
    pub from: Vec<RepositoryCommit>,
    /// The waves in their order.
    pub waves: Vec<Wave>,
    /// Index of the present wave.
    pub wave: usize,
    /// When its commits were first seen.
    pub created_at: Option<Timestamp>,
    /// When its first cluster could be started.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why it stands as it does.
    pub note: String,
    /// Why nobody can tell beforehand whom the commits change; empty: it can be told, or it is over.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unread: String,
    /// What it changes of what the fleet file declares: application, field, before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// How much of each budget is used, while it is not over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The first of the gates that hold it back now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Step>,
    /// How many more do.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_gates: u32,
    /// What the environment is asked for and it does not bring, since gates of its own are closed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<Apart>,
    /// Its clusters, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Progress>,
    /// What a person can do for it to go on, as a command with what it does; empty: nothing, or the note names it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// The wave that people have to approve now; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wave_to_approve: String,
}

/// A rollout in a list, which does not count its clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSummary<'r> {
    /// `<environment>-<number>`.
    id: &'r str,
    /// The one whose clusters it changes.
    environment: &'r str,
    state: &'r RolloutState,
    /// What it brings.
    target: &'r [RepositoryCommit],
    /// The last good commits when it began.
    from: &'r [RepositoryCommit],
    /// By name, in order.
    waves: Vec<&'r str>,
    /// Index of the present wave.
    wave: usize,
    /// When its commits were first seen.
    created_at: Option<Timestamp>,
    /// When its first cluster could be started.
    started_at: Option<Timestamp>,
    /// When it was over.
    ended_at: Option<Timestamp>,
    /// Why it stands as it does.
    note: &'r str,
    /// What it changes of what the fleet file declares: application, field, before and after.
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

/// A commit that waits by itself beside a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Apart {
    /// What waits; of the fleet file, the digest of what is declared.
    #[serde(flatten)]
    pub commit: RepositoryCommit,
    /// What holds it back, in words, with what lets it in.
    pub text: String,
    /// Each of its gates that is closed.
    pub gates: Vec<Step>,
}

impl Apart {
    /// Whether people's approval of it is among what it waits for.
    #[must_use]
    pub fn wants_approval(&self) -> bool {
        asks_people(&self.gates)
    }
}

fn asks_people(gates: &[Step]) -> bool {
    let mut gates = gates.iter();
    gates.any(|gate| gate.reason == Reason::ApprovalNeeded.as_str())
}

/// How much of a budget is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// failed, unavailable or offline.
    pub budget: BudgetKind,
    /// Clusters that count against it now.
    pub used: u32,
    /// As many as it takes.
    pub at_most: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One commit of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RepositoryCommit {
    /// Its name in the fleet file; `fleet-file` for what that itself declares.
    pub repository: String,
    /// Full commit id.
    pub commit: String,
}

/// How many clusters of a wave are how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// As in the strategy; `rest` where that has no last wave for what is left.
    pub name: String,
    /// Clusters that have not started.
    pub waiting: u32,
    /// Given the new commits.
    pub started: u32,
    /// Healthy, for less than the soak.
    pub soaking: u32,
    /// Were healthy, and are not now.
    pub unavailable: u32,
    /// Healthy for the soak.
    pub done: u32,
    /// Did not get there.
    pub failed: u32,
    /// Kept out by a pin.
    pub pinned: u32,
    /// Kept out, since a person asked them to write nothing.
    pub suspended: u32,
    /// Render the same from the new commits as before, as far as that is known.
    pub unchanged: u32,
    /// How many people must approve before it begins.
    pub approvals: u32,
    /// Who approved it.
    pub approved_by: Vec<String>,
    /// How long its clusters must stay healthy.
    pub soak_seconds: u32,
    /// Of those that wait, how many are not online.
    #[serde(skip_serializing_if = "is_zero")]
    pub offline: u32,
    /// Of those that are done, how many render the same as before.
    #[serde(skip_serializing_if = "is_zero")]
    pub done_unchanged: u32,
    /// When the last of those that soak has soaked long enough, if all stay healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak_ends_at: Option<Timestamp>,
}

impl Wave {
    /// Clusters that take part.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.waiting + self.started + self.soaking + self.unavailable + self.done + self.failed
    }
}

/// One cluster's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Its name in the fleet.
    pub cluster: String,
    /// The name of the wave that it is in.
    pub wave: String,
    /// waiting, pinned, suspended, started, soaking, unavailable, done or failed.
    pub phase: Phase,
    /// Since when it is in this phase.
    pub since: Option<Timestamp>,
    /// When it was given the new commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// A code where something is wrong.
    pub reason: String,
    /// For a person.
    pub message: String,
    /// It renders the same from the new commits as before.
    pub unchanged: bool,
}

impl RepositoryCommit {
    /// Commits, shortened, for a line of text: `3f2a9c1+fleet file 77aa01b`; empty: there are none.
    #[must_use]
    pub fn title(commits: &[Self]) -> String {
        let entry = |entry: &Self| match entry.is_fleet_file() {
            true => format!("fleet file {}", digits(&entry.commit)),
            false => digits(&entry.commit).to_owned(),
        };
        let all: Vec<String> = commits.iter().map(entry).collect();
        all.join("+")
    }

    /// Whether it is the digest of what the fleet file declares, and no commit of a repository.
    #[must_use]
    pub fn is_fleet_file(&self) -> bool {
        self.repository == RepositoryName::fleet_file().as_str()
    }
}

impl Rollout {
    /// The wave that wants a person's approval now; none: none does.
    #[must_use]
    pub fn asked_wave(&self) -> Option<&Wave> {
        let asked = self.wave_to_approve.as_str();
        let mut waves = self.waves.iter();
        waves.find(|wave| !asked.is_empty() && wave.name == asked)
    }

    /// Whether people's approval of its commits is among what it waits for.
    #[must_use]
    pub fn wants_commits_approved(&self) -> bool {
        self.state == RolloutState::Pending && asks_people(&self.gates)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }
}
