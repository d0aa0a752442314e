//! One revision moving through an environment: waves, budgets, soak, verdict. Pure; it knows clusters only by their
//! observations, and nothing of Git, streams or stores.
//!
//! Laws, checked by the tests below it:
//! - its waves and numbers stay those that it began with, even if the fleet file changes meanwhile;
//! - a cluster is done only on a report of exactly this rollout's commits, healthy for the soak, which counts the time
//!   in which the cluster was online, and repeated when the soak is over;
//! - a change is empty only in comparison with the last good commits: a newer commit with the content of one that soaks
//!   continues that soak, and skips nothing;
//! - a wave is complete when a cluster in it has proven the change, or nothing changes there; one that no cluster can
//!   prove any longer ends the rollout, and one without clusters asks an operator;
//! - an offline cluster is never started, and never delays a wave beyond its own budget;
//! - no cluster of a later wave is started before the waves before it are complete, unless it is known beforehand that
//!   nothing changes there; that proves nothing, and if its report shows a change it soaks like any other.

mod advance;
mod aside;
mod blame;
mod complete;
mod judge;
mod members;
mod offline;
mod start;
#[cfg(test)]
mod tests;
mod words;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use aside::Exemptions;
pub use blame::PriorProblems;
pub(in crate::fleet) use blame::Recovery;
pub use members::wave_of_each;
pub(super) use words::listed;
pub use world::{Change, Changes, Observation, Verdict, World};

use crate::spec::Strategy;

/// One commit of each repository; for the fleet file, which counts as a source of revisions, the digest of the
/// declarations of the environment's applications.
pub type Commits = BTreeMap<RepositoryName, Commit>;

/// State of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It waits for its gates.
    Pending,
    /// Clusters are being started.
    Running,
    /// All clusters of the wave are started and healthy, and soak.
    Soaking,
    /// An operator paused it.
    Paused,
    /// More clusters failed than its budget allows; an operator decides.
    Halted,
    /// Touched clusters went back to the last good commits.
    RolledBack,
    /// Every wave is complete.
    Succeeded,
    /// A newer rollout took over.
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

    /// Returns whether the rollout has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::RolledBack | Self::Succeeded | Self::Superseded)
    }

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

/// Phase of one cluster of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Not started yet.
    Waiting,
    /// Excluded by a pin.
    Pinned,
    /// Excluded, because an operator suspended it.
    Suspended,
    /// It was assigned the new commits.
    Started,
    /// It is healthy on them, and soaks.
    Soaking,
    /// It was healthy on them, and is not now.
    Unavailable,
    /// It was healthy for the soak.
    Done,
    /// It did not become healthy on them.
    Failed,
}

impl Phase {
    /// Returns whether it was assigned the new commits.
    #[must_use]
    pub fn is_touched(self) -> bool {
        !matches!(self, Self::Waiting | Self::Pinned | Self::Suspended)
    }

    /// Returns whether it takes part: the rollout waits for it and counts it.
    #[must_use]
    pub fn takes_part(self) -> bool {
        !matches!(self, Self::Pinned | Self::Suspended)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pinned => "pinned",
            Self::Suspended => "suspended",
            Self::Started => "started",
            Self::Soaking => "soaking",
            Self::Unavailable => "unavailable",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// Progress of one cluster in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Index of its wave.
    pub wave: usize,
    pub phase: Phase,
    /// Since when it is in this phase.
    pub since: Timestamp,
    /// When it was assigned the new commits; none: not yet.
    pub started_at: Option<Timestamp>,
    /// Digest of what its applications rendered from when it last ran the good commits, known only if it did; where
    /// nothing of it changes, no soak is needed.
    pub rendered_from: Digest,
    /// Why it failed or waits, as a reason code.
    pub reason: Option<Reason>,
    /// Message for operators, with the object where there is one.
    pub message: String,
    /// Whether the commits render the same as before there, by its own report or by what is known of them.
    #[serde(default)]
    pub unchanged: bool,
    /// Time in this phase during which it was online, which soaks and deadlines count. The stored value lags a little.
    #[serde(default)]
    pub counted: Duration,
    /// Digest of what it renders from on the new commits.
    #[serde(default)]
    pub content: Digest,
    /// When its soak was over and another report was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// Soak of the same content in rollouts that this one took over from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<CarriedSoak>,
    /// Problems before the rollout started there.
    #[serde(default, skip_serializing_if = "PriorProblems::is_nothing")]
    pub before: PriorProblems,
    /// Whether it failed because of problems from before, or of what waits for those.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blameless: bool,
    /// Whether it failed for a cause outside any commit, such as an unreachable Git server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
}

/// A soak that a newer commit with the same content continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CarriedSoak {
    /// Digest of the content that soaked; none: nothing did.
    pub content: Digest,
    /// For how long it soaked.
    pub counted: Duration,
}

impl Progress {
    pub(crate) fn waiting(wave: usize, now: Timestamp) -> Self {
        Self {
            wave,
            phase: Phase::Waiting,
            since: now,
            started_at: None,
            rendered_from: Digest::default(),
            reason: None,
            message: String::new(),
            unchanged: false,
            counted: Duration::ZERO,
            content: Digest::default(),
            asked_at: None,
            carried: None,
            before: PriorProblems::default(),
            blameless: false,
            outside: false,
        }
    }

    /// Returns what a newer rollout continues from, where this one never became good.
    fn carry(&self, now: Timestamp) -> Option<Self> {
        if !self.phase.is_touched() {
            let is_marked = self.carried.is_some() || self.before.is_doubted();
            return is_marked.then(|| Self {
                phase: Phase::Waiting,
                since: now,
                // It was started by the rollout before, and then suspended: this rollout has its own gates.
                started_at: None,
                unchanged: false,
                ..self.clone()
            });
        }
        let carried = match self.phase {
            Phase::Soaking | Phase::Done => CarriedSoak {
                content: self.content,
                counted: self.counted,
            },
            _ => CarriedSoak {
                content: Digest::default(),
                counted: Duration::ZERO,
            },
        };
        Some(Self {
            rendered_from: self.rendered_from,
            carried: Some(carried),
            before: self.before.doubted(),
            ..Self::waiting(self.wave, now)
        })
    }

    /// Marks it as started.
    fn start(&mut self, now: Timestamp) {
        self.enter(Phase::Started, now);
        self.started_at = Some(now);
    }

    /// Sets what it ran before: the good commits, unless a rollout that never became good was there in between.
    fn begin_from(&mut self, rendered_from: Digest) {
        if self.carried.is_none() {
            self.rendered_from = rendered_from;
        }
    }

    fn enter(&mut self, phase: Phase, now: Timestamp) {
        self.phase = phase;
        self.since = now;
        self.counted = Duration::ZERO;
        self.asked_at = None;
        self.blameless = false;
        self.outside = false;
        self.reason = None;
        self.message.clear();
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Its id, `<environment>-<number>`.
    pub id: String,
    pub environment: EnvironmentName,
    /// The commits that it rolls out.
    pub target: Commits,
    /// The last good commits, and the rollout that brought them.
    pub from: Commits,
    pub from_id: String,
    /// Its state.
    pub state: State,
    /// Rollouts that it took over from; their clusters stay where they are until their turn.
    pub carried: Vec<String>,
    /// Names of its waves.
    pub waves: Vec<String>,
    /// Index of the current wave, from 0.
    pub wave: usize,
    /// When its commits were first seen.
    pub created_at: Timestamp,
    /// Epoch in which it was decided; 0: from an older hub.
    #[serde(default)]
    pub epoch: u64,
    /// When its first cluster could be started.
    pub started_at: Option<Timestamp>,
    /// When it ended; none: it has not.
    pub ended_at: Option<Timestamp>,
    /// Reason of its state; message for operators.
    pub note: String,
    /// Whether it is halted for a cause outside its commits: it continues when that is resolved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blameless: bool,
    /// Its strategy, as of its creation; none: from an older hub, it takes the next one of the fleet file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Box<Strategy>>,
    /// Its changes of declarations in the fleet file: application, field, before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Progress by cluster; stored row by row.
    #[serde(skip)]
    pub clusters: BTreeMap<ClusterName, Progress>,
    /// Time of its last step in this process.
    #[serde(skip)]
    pub stepped_at: Option<Timestamp>,
}

impl Rollout {
    /// Returns the number of clusters in a phase.
    #[must_use]
    pub fn count(&self, phase: Phase) -> usize {
        let all = self.clusters.values();
        all.filter(|progress| progress.phase == phase).count()
    }

    /// Returns the number of clusters that take part.
    #[must_use]
    pub fn taking_part(&self) -> usize {
        let all = self.clusters.values();
        all.filter(|progress| progress.phase.takes_part()).count()
    }

    /// Returns whether a cluster was assigned the new commits.
    #[must_use]
    pub fn touches(&self, cluster: &ClusterName) -> bool {
        self.clusters
            .get(cluster)
            .is_some_and(|progress| progress.phase.is_touched())
    }

    /// Returns the progress of its clusters for a rollout that takes over, or for the next one where this one was
    /// rolled back: then only earlier problems are carried over.
    pub(super) fn carry(&self, now: Timestamp) -> BTreeMap<ClusterName, Progress> {
        let carry = |progress: &Progress| match self.state {
            State::RolledBack => progress.doubt(now),
            _ => progress.carry(now),
        };
        let all = self.clusters.iter();
        all.filter_map(|(name, progress)| Some((name.clone(), carry(progress)?)))
            .collect()
    }

    /// Returns the commits that it changes.
    #[must_use]
    pub fn changed(&self) -> Commits {
        changed(&self.from, &self.target)
    }

    /// Returns the reason of its state, with what an operator can do.
    #[must_use]
    pub fn why(&self) -> String {
        if self.state != State::Halted {
            return self.note.clone();
        }
        let (note, name) = (&self.note, &self.environment);
        if self.blameless {
            return format!(
                "{note}; it continues when the cause is resolved; to retry: flotilla retry \
                 {name}; to end it: flotilla abort {name} --reason TEXT"
            );
        }
        format!(
            "{note}; push a fix, which takes over; to retry: flotilla retry {name}; to end it: \
             flotilla abort {name} --reason TEXT"
        )
    }

    /// Returns its revision of the fleet file, if that differs from the one before.
    #[must_use]
    pub fn specification(&self) -> Option<&Commit> {
        let source = RepositoryName::fleet_file();
        let target = self.target.get(source);
        target.filter(|target| self.from.get(source) != Some(*target))
    }

    /// Returns its number in its environment, by which rollouts are ordered, since clocks may go back.
    #[must_use]
    pub fn number(&self) -> u64 {
        let number = self.id.rsplit_once('-').map(|(_, number)| number.parse());
        number.and_then(Result::ok).unwrap_or_default()
    }

    /// Returns its commits; the revision of the fleet file is included where it changes.
    #[must_use]
    pub fn shown(&self) -> Commits {
        let mut shown = self.target.clone();
        if self.specification().is_none() {
            shown.remove(RepositoryName::fleet_file());
        }
        shown
    }

    /// Returns the last good commits before it, likewise.
    #[must_use]
    pub fn shown_from(&self) -> Commits {
        let mut shown = self.from.clone();
        if self.specification().is_none() {
            shown.remove(RepositoryName::fleet_file());
        }
        shown
    }

    /// Returns its commits, shortened, for a line of text.
    #[must_use]
    pub fn title(&self) -> String {
        match self.specification() {
            Some(revision) if self.target.len() > 1 => format!(
                "{} as of fleet file {}",
                title(&self.target),
                revision.short()
            ),
            _ => title(&self.target),
        }
    }
}

/// Returns the commits of a target that differ from those before.
#[must_use]
pub fn changed(from: &Commits, target: &Commits) -> Commits {
    let all = target.iter();
    all.filter(|(repository, commit)| from.get(*repository) != Some(*commit))
        .map(|(repository, commit)| (repository.clone(), commit.clone()))
        .collect()
}

/// Returns commits, shortened, for a line of text.
#[must_use]
pub fn title(commits: &Commits) -> String {
    let of_repositories = commits.iter().filter(|(source, _)| !source.is_fleet_file());
    let all: Vec<&str> = of_repositories.map(|(_, commit)| commit.short()).collect();
    match (all.as_slice(), commits.get(RepositoryName::fleet_file())) {
        ([], None) => "nothing".to_owned(),
        ([], Some(revision)) => format!("fleet file {}", revision.short()),
        (all, _) => all.join("+"),
    }
}
