//! Rollout strategies and gates.

mod check;
mod entry;
mod job;
mod problems;
mod proof;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_shared::id::ClusterName;

pub use check::{Check, Question};
pub(super) use entry::StrategyEntry;
pub use job::JobGate;
pub use window::{Freeze, Window};

use super::{Environment, Selector, Spec};
use problems::Problems;

/// A number of clusters, or a percentage of those that take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Amount {
    /// A fixed number of clusters.
    Count(u32),
    /// A percentage, 0 to 100.
    Share(u8),
}

impl Amount {
    /// Returns the amount of `total` clusters, with a percentage rounded down: for budgets, which may not be exceeded.
    #[must_use]
    pub fn at_most(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Share(share) => total * usize::from(share) / 100,
        }
    }

    /// Returns the amount of `total` clusters, with a percentage rounded up, and at least one: for progress, which must
    /// not stall.
    #[must_use]
    pub fn at_least_one(self, total: usize) -> usize {
        match self {
            Self::Count(count) => (count as usize).max(1),
            Self::Share(share) => (total * usize::from(share)).div_ceil(100).max(1),
        }
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{share}%"),
        }
    }
}

/// Clusters of a wave.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Members {
    /// Clusters with matching labels.
    Selector(Selector),
    /// The clusters that the wave lists.
    Clusters(BTreeSet<ClusterName>),
    /// A percentage of the environment's clusters, out of those that no selector or list includes.
    Share(u8),
    /// All clusters that are left; always the last wave.
    Rest,
}

/// A wave: clusters that are rolled out together.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// Its name, unique in the strategy; `rest` for the implicit last wave.
    pub name: String,
    /// Its clusters.
    pub members: Members,
    /// Clusters in progress at once; overrides the strategy's value.
    pub max_concurrent: Option<Amount>,
    /// How long a cluster must stay healthy; overrides the strategy's value.
    pub soak: Option<Duration>,
    /// Number of people who must approve before the wave begins.
    pub approvals: u32,
    /// What happens where it has no clusters.
    #[serde(default)]
    pub when_empty: WhenEmpty,
}

/// What a rollout does at a wave without clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenEmpty {
    /// It needs an approval to continue, since nothing was proven there.
    #[default]
    Ask,
    /// It continues.
    Skip,
}

/// Budgets of a rollout: what may be wrong before it waits or halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budgets {
    /// Clusters that failed; one more halts the rollout.
    pub failed: Amount,
    /// Clusters that were healthy on the new commit and are not now; with one more the rollout starts no further
    /// cluster.
    pub unavailable: Amount,
    /// Clusters that are offline and are left behind; with one more the rollout waits for them.
    pub offline: Amount,
}

/// What a new commit does to a running rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNewCommit {
    /// A new rollout takes over, from the first wave.
    #[default]
    Supersede,
    /// New commits are queued, in order.
    Queue,
    /// The running rollout is finished; of the commits that came meanwhile, only the newest follows.
    Finish,
}

/// What a rollout does when more clusters fail than its budget allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It halts; clusters stay where they are.
    #[default]
    Halt,
    /// It returns touched clusters to the last good commit.
    Rollback,
}

/// The rollout strategy of an environment.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// Its waves, in order; the last one has [`Members::Rest`].
    pub waves: Vec<Wave>,
    /// Clusters in progress at once, in one wave.
    pub max_concurrent: Amount,
    /// Its budgets.
    pub budgets: Budgets,
    /// How long a cluster must stay healthy before it counts as done.
    pub soak: Duration,
    /// Time in which a cluster has to become healthy.
    pub progress_deadline: Duration,
    /// Label by whose value the clusters of a wave are ordered, then by name; none: by name.
    pub sort_label: Option<String>,
    /// What a newer commit does.
    pub on_new_commit: OnNewCommit,
    /// What failures beyond the budget do.
    pub on_failure: OnFailure,
}

impl Default for Strategy {
    fn default() -> Self {
        Self {
            waves: vec![Wave::rest()],
            max_concurrent: Amount::Share(100),
            budgets: Budgets {
                failed: Amount::Count(0),
                unavailable: Amount::Count(0),
                offline: Amount::Share(25),
            },
            soak: Duration::ZERO,
            progress_deadline: Duration::from_secs(600),
            sort_label: None,
            on_new_commit: OnNewCommit::default(),
            on_failure: OnFailure::default(),
        }
    }
}

impl Wave {
    /// Returns the implicit last wave, with the strategy's own values.
    #[must_use]
    pub fn rest() -> Self {
        Self {
            name: "rest".to_owned(),
            members: Members::Rest,
            max_concurrent: None,
            soak: None,
            approvals: 0,
            when_empty: WhenEmpty::Skip,
        }
    }
}

impl Strategy {
    /// Returns the number of clusters of a wave that may be in progress at once.
    #[must_use]
    pub fn concurrency(&self, wave: usize, members: usize) -> usize {
        self.waves
            .get(wave)
            .and_then(|wave| wave.max_concurrent)
            .unwrap_or(self.max_concurrent)
            .at_least_one(members)
    }

    /// Returns how long a cluster of a wave must stay healthy.
    #[must_use]
    pub fn soak(&self, wave: usize) -> Duration {
        self.waves
            .get(wave)
            .and_then(|wave| wave.soak)
            .unwrap_or(self.soak)
    }

    /// Returns the key by which clusters of a wave are ordered.
    #[must_use]
    pub fn sort_key<'l>(&self, labels: &'l BTreeMap<String, String>) -> &'l str {
        self.sort_label
            .as_ref()
            .and_then(|label| labels.get(label))
            .map_or("", String::as_str)
    }
}

/// Gates of an environment, which must be open before a commit is rolled out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gates {
    /// Time for which the environment before must have been healthy at exactly this commit; none: no proof is needed.
    pub proof: Option<Duration>,
    /// Clusters of the environment before that may be offline.
    pub offline: Option<Amount>,
    /// Number of different people who must approve.
    pub approvals: u32,
    /// Change windows; empty: always open.
    pub windows: Vec<Window>,
    /// Freezes, which override windows.
    pub freezes: Vec<Freeze>,
    /// External checks.
    pub checks: Vec<Check>,
    /// Gate Jobs, from the commit itself.
    pub jobs: Vec<JobGate>,
}

impl Gates {
    /// Returns the number of offline clusters of the environment before that are tolerated, of `total`.
    #[must_use]
    pub fn offline_allowed(&self, total: usize) -> usize {
        self.offline.unwrap_or(Amount::Share(25)).at_most(total)
    }
}

/// Gates in the fleet file. A kind of gate is named here, in [`Gates`], and, where it has requirements, in [`misfits`]
/// and [`never_open`]; everything else about it is in its own file.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct GatesEntry {
    #[serde(default)]
    proof: Option<proof::ProofEntry>,
    #[serde(default)]
    approvals: u32,
    #[serde(default)]
    windows: Vec<window::WindowEntry>,
    #[serde(default)]
    freezes: Vec<window::FreezeEntry>,
    #[serde(default)]
    checks: Vec<check::CheckEntry>,
    #[serde(default)]
    jobs: Vec<job::JobEntry>,
}

impl GatesEntry {
    /// Reads them; errors are added to `problems`.
    pub(super) fn read(&self, problems: &mut Problems) -> Gates {
        let proof = self.proof.as_ref().map(|proof| proof.read(problems));
        let (proof, offline) = proof.unzip();
        Gates {
            proof,
            offline: offline.flatten(),
            approvals: self.approvals,
            windows: window::windows(&self.windows, problems),
            freezes: window::freezes(&self.freezes, problems),
            checks: check::read(&self.checks, problems),
            jobs: job::read(&self.jobs, problems),
        }
    }
}

/// Returns what an environment's gates refer to that the file does not have, with keys below `gates`. A file with such
/// an error is not used.
pub(super) fn misfits(environment: &Environment, spec: &Spec) -> Problems {
    let mut problems = Problems::new();
    proof::misfits(environment, &mut problems);
    job::misfits(environment, spec, &mut problems);
    problems
}

/// Returns which of its gates can never open with the present file, with keys below `gates`: the file is used all the
/// same.
pub(super) fn never_open(environment: &Environment, spec: &Spec) -> Problems {
    let mut problems = Problems::new();
    proof::never_open(environment, spec, &mut problems);
    job::never_open(environment, spec, &mut problems);
    problems
}
