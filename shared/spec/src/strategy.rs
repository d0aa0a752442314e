//! How a commit moves through an environment, and what must hold before it does.

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

/// A number of clusters, or a share of those that take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Amount {
    /// So many clusters, however many take part.
    Count(u32),
    /// Per cent, 0 to 100.
    Share(u8),
}

impl Amount {
    /// Of `total` clusters, where a share is rounded down: for budgets, which may not be exceeded.
    #[must_use]
    pub fn at_most(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Share(share) => total * usize::from(share) / 100,
        }
    }

    /// Of `total` clusters, where a share is rounded up, and at least one: for progress, which must
    /// not stand still.
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

/// Which clusters a wave takes.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Members {
    /// Clusters whose labels match.
    Selector(Selector),
    /// Those that the wave's `clusters` names.
    Clusters(BTreeSet<ClusterName>),
    /// A share of the environment's clusters, of those that no selector or list took.
    Share(u8),
    /// All that no other wave took; always the last wave.
    Rest,
}

/// Clusters that are stepped together.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// Unique in its strategy; `rest` where the file has no last wave for what is left.
    pub name: String,
    /// Whom it takes.
    pub members: Members,
    /// Clusters under way at once; over the strategy's.
    pub max_concurrent: Option<Amount>,
    /// Over the strategy's.
    pub soak: Option<Duration>,
    /// People who must approve before this wave begins.
    pub approvals: u32,
    /// What happens where it has no cluster.
    #[serde(default)]
    pub when_empty: WhenEmpty,
}

/// What a rollout does at a wave without clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenEmpty {
    /// A person lets it go on: nobody has proven anything there.
    #[default]
    Ask,
    /// It goes on.
    Skip,
}

/// What may be wrong before a rollout waits or halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budgets {
    /// Clusters that failed; one more halts the rollout.
    pub failed: Amount,
    /// Clusters that were healthy on the new commit and are not any more; with one more the rollout
    /// starts no further cluster.
    pub unavailable: Amount,
    /// Clusters that are offline and are left behind; with one more the rollout waits for them.
    pub offline: Amount,
}

/// What a new commit does to a rollout that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNewCommit {
    /// It takes over, from the first wave.
    #[default]
    Supersede,
    /// Each waits for its turn, in order.
    Queue,
    /// The running one is finished; of those that came meanwhile only the newest follows.
    Finish,
}

/// What a rollout does when its budget of failures is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Stops; clusters stay where they are.
    #[default]
    Halt,
    /// Returns touched clusters to the last good commit.
    Rollback,
}

/// How a commit moves through an environment.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// In order; the last one takes [`Members::Rest`].
    pub waves: Vec<Wave>,
    /// Clusters under way at once, in one wave.
    pub max_concurrent: Amount,
    /// What may be wrong.
    pub budgets: Budgets,
    /// How long a cluster must stay healthy before it counts as done.
    pub soak: Duration,
    /// How long a cluster may take to become healthy.
    pub progress_deadline: Duration,
    /// Clusters of a wave go in the order of this label's value, then by name; none: by name.
    pub sort_label: Option<String>,
    /// When a newer commit comes.
    pub on_new_commit: OnNewCommit,
    /// When failures exceed their budget.
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
    /// The last wave, with the strategy's own numbers.
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
    /// Clusters of a wave under way at once.
    #[must_use]
    pub fn concurrency(&self, wave: usize, members: usize) -> usize {
        self.waves
            .get(wave)
            .and_then(|wave| wave.max_concurrent)
            .unwrap_or(self.max_concurrent)
            .at_least_one(members)
    }

    /// How long a cluster of a wave must stay healthy.
    #[must_use]
    pub fn soak(&self, wave: usize) -> Duration {
        self.waves
            .get(wave)
            .and_then(|wave| wave.soak)
            .unwrap_or(self.soak)
    }

    /// The order of clusters within a wave.
    #[must_use]
    pub fn sort_key<'l>(&self, labels: &'l BTreeMap<String, String>) -> &'l str {
        self.sort_label
            .as_ref()
            .and_then(|label| labels.get(label))
            .map_or("", String::as_str)
    }
}

/// What must hold before an environment takes a commit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gates {
    /// The environment before must have been healthy at exactly this commit for so long. None: it
    /// need not be proven there.
    pub proof: Option<Duration>,
    /// Clusters of the environment before that may be offline, of all of them.
    pub offline: Option<Amount>,
    /// Different people who must approve.
    pub approvals: u32,
    /// Open times; none at all: always open.
    pub windows: Vec<Window>,
    /// Closed times, over the windows.
    pub freezes: Vec<Freeze>,
    /// Questions to the outside.
    pub checks: Vec<Check>,
    /// Jobs of the commit itself.
    pub jobs: Vec<JobGate>,
}

impl Gates {
    /// Offline clusters of the environment before that are tolerated, of `total`.
    #[must_use]
    pub fn offline_allowed(&self, total: usize) -> usize {
        self.offline.unwrap_or(Amount::Share(25)).at_most(total)
    }
}

/// The gates as the file has them. A kind of gate is named here, in [`Gates`], and where it asks for something
/// in [`misfits`] and [`never_open`]; all else of it is in its own file.
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
    /// Reads them; what is wrong is added to `problems`.
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

/// What an environment's gates ask for that the rest of the file does not have, with keys below `gates`. A file
/// with one is not used.
pub(super) fn misfits(environment: &Environment, spec: &Spec) -> Problems {
    let mut problems = Problems::new();
    proof::misfits(environment, &mut problems);
    job::misfits(environment, spec, &mut problems);
    problems
}

/// Which of its gates can never open as the file is now, likewise: it is used all the same.
pub(super) fn never_open(environment: &Environment, spec: &Spec) -> Problems {
    let mut problems = Problems::new();
    proof::never_open(environment, spec, &mut problems);
    job::never_open(environment, spec, &mut problems);
    problems
}
