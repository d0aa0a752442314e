//! One revision moving through an environment: waves, budgets, soak, verdict. Pure; it knows clusters
//! by what it is shown of them, and nothing of Git, streams or stores.
//!
//! Laws, checked by the tests below it:
//! - a cluster is done only on a report of exactly this rollout's commits, healthy for the soak;
//! - an offline cluster is never started, and never holds a wave back beyond its own budget;
//! - no cluster of a later wave is started before the waves before it are complete, unless it is known
//!   beforehand that nothing changes there; that proves nothing, and if its report says otherwise it
//!   soaks like any other.

mod advance;
mod judge;
mod members;
mod start;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use members::wave_of_each;
pub use world::{Change, Changes, Observation, Verdict, World};

/// One commit of each repository.
pub type Commits = BTreeMap<RepositoryName, Commit>;

/// How a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Its gates are not open.
    Pending,
    /// Clusters are being started.
    Running,
    /// All of the wave are started and healthy; time passes.
    Soaking,
    /// A person stopped it.
    Paused,
    /// Its budget of failures is spent; a person decides.
    Halted,
    /// Touched clusters went back to the last good commits.
    RolledBack,
    /// Every wave is complete.
    Succeeded,
    /// A newer one took over.
    Superseded,
}

impl State {
    /// Every state, for labels and tests.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Running,
        Self::Soaking,
        Self::Paused,
        Self::Halted,
        Self::RolledBack,
        Self::Succeeded,
        Self::Superseded,
    ];

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::RolledBack | Self::Succeeded | Self::Superseded)
    }

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Soaking => "soaking",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::RolledBack => "rolledBack",
            Self::Succeeded => "succeeded",
            Self::Superseded => "superseded",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far one cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Not its turn yet.
    Waiting,
    /// Kept where it is by a pin; takes no part.
    Pinned,
    /// It was given the new commits.
    Started,
    /// It is healthy on them; time passes.
    Soaking,
    /// It was healthy on them and is not now.
    Unavailable,
    /// Healthy for the soak.
    Done,
    /// It did not get there.
    Failed,
}

impl Phase {
    /// Whether it was given the new commits.
    #[must_use]
    pub fn is_touched(self) -> bool {
        !matches!(self, Self::Waiting | Self::Pinned)
    }

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pinned => "pinned",
            Self::Started => "started",
            Self::Soaking => "soaking",
            Self::Unavailable => "unavailable",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// One cluster's part in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Index of its wave.
    pub wave: usize,
    /// How far.
    pub phase: Phase,
    /// Since when it is in this phase.
    pub since: Timestamp,
    /// When it was given the new commits.
    pub started_at: Option<Timestamp>,
    /// What its applications rendered from before; where nothing of it changes, there is nothing to
    /// soak.
    pub rendered_from: Digest,
    /// Why it failed or waits.
    pub reason: Option<Reason>,
    /// For a person, with the object where there is one.
    pub message: String,
    /// The commits change nothing of what it renders, by its own report or by what is known of them.
    #[serde(default)]
    pub unchanged: bool,
}

impl Progress {
    fn waiting(wave: usize, now: Timestamp) -> Self {
        Self {
            wave,
            phase: Phase::Waiting,
            since: now,
            started_at: None,
            rendered_from: Digest::default(),
            reason: None,
            message: String::new(),
            unchanged: false,
        }
    }

    /// It is given the new commits.
    fn start(&mut self, now: Timestamp) {
        self.enter(Phase::Started, now);
        self.started_at = Some(now);
    }

    fn enter(&mut self, phase: Phase, now: Timestamp) {
        self.phase = phase;
        self.since = now;
        self.reason = None;
        self.message.clear();
    }
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// `<environment>-<number>`.
    pub id: String,
    /// Where.
    pub environment: EnvironmentName,
    /// What it brings.
    pub target: Commits,
    /// The last good commits, and the rollout that brought them.
    pub from: Commits,
    /// See `from`.
    pub from_id: String,
    /// How it stands.
    pub state: State,
    /// Rollouts that it took over from; their clusters stay where they are until their turn.
    pub carried: Vec<String>,
    /// Names of its waves.
    pub waves: Vec<String>,
    /// The present wave.
    pub wave: usize,
    /// When its commits were first seen.
    pub created_at: Timestamp,
    /// When its first cluster could be started.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why it stands as it does.
    pub note: String,
    /// By cluster; kept row by row.
    #[serde(skip)]
    pub clusters: BTreeMap<ClusterName, Progress>,
}

impl Rollout {
    /// How many clusters are in a phase.
    #[must_use]
    pub fn count(&self, phase: Phase) -> usize {
        let all = self.clusters.values();
        all.filter(|progress| progress.phase == phase).count()
    }

    /// Whether a cluster was given the new commits.
    #[must_use]
    pub fn touches(&self, cluster: &ClusterName) -> bool {
        self.clusters
            .get(cluster)
            .is_some_and(|progress| progress.phase.is_touched())
    }

    /// Its commits, shortened, for a line of text.
    #[must_use]
    pub fn title(&self) -> String {
        title(&self.target)
    }
}

/// Commits, shortened, for a line of text.
#[must_use]
pub fn title(commits: &Commits) -> String {
    let all: Vec<&str> = commits.values().map(Commit::short).collect();
    if all.is_empty() {
        "nothing".to_owned()
    } else {
        all.join("+")
    }
}
