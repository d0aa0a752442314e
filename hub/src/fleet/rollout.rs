//! One revision moving through an environment: waves, budgets, soak, verdict. Pure; it knows clusters
//! by what it is shown of them, and nothing of Git, streams or stores.
//!
//! Laws, checked by the tests below it:
//! - it goes by the waves and numbers that it began with, whatever the fleet file says meanwhile;
//! - a cluster is done only on a report of exactly this rollout's commits, healthy for the soak, which
//!   counts the time in which the cluster was heard from, and given anew when the soak is over;
//! - nothing has changed only against what was last good: a newer commit with the content of one that
//!   soaks takes over how far that was, and skips nothing;
//! - a wave is complete when somebody in it has proven the change, or nothing changes there; one that
//!   nobody can prove any more ends the rollout, and one without clusters asks a person;
//! - an offline cluster is never started, and never holds a wave back beyond its own budget;
//! - no cluster of a later wave is started before the waves before it are complete, unless it is known
//!   beforehand that nothing changes there; that proves nothing, and if its report says otherwise it
//!   soaks like any other.

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

pub use aside::Aside;
pub use blame::Before;
pub(in crate::fleet) use blame::Recovery;
pub use members::wave_of_each;
pub(super) use words::listed;
pub use world::{Change, Changes, Observation, Verdict, World};

use crate::spec::Strategy;

/// One commit of each repository; and of the fleet file, which is a source of revisions like them, the digest
/// of what the environment's applications are declared as.
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
    /// A person asked it to write nothing; takes no part.
    Suspended,
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
        !matches!(self, Self::Waiting | Self::Pinned | Self::Suspended)
    }

    /// Whether the rollout waits for it, and counts it.
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

/// One cluster's part in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Index of its wave.
    pub wave: usize,
    pub phase: Phase,
    /// Since when it is in this phase.
    pub since: Timestamp,
    /// When it was given the new commits.
    pub started_at: Option<Timestamp>,
    /// What its applications rendered from when it last ran what was good, known only if it did; where
    /// nothing of it changes, there is nothing to soak.
    pub rendered_from: Digest,
    /// Why it failed or waits.
    pub reason: Option<Reason>,
    /// For a person, with the object where there is one.
    pub message: String,
    /// The commits change nothing of what it renders, by its own report or by what is known of them.
    #[serde(default)]
    pub unchanged: bool,
    /// Time in this phase in which it was heard from: what soaks and deadlines count. It is in the
    /// store as of some moments ago.
    #[serde(default)]
    pub counted: Duration,
    /// What it renders from on the new commits.
    #[serde(default)]
    pub content: Digest,
    /// When its soak was over and one more word of it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// How far another content had come in rollouts that this one took over from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
    /// What was wrong there before: not of its making.
    #[serde(default, skip_serializing_if = "Before::is_nothing")]
    pub before: Before,
    /// It failed by what was so before, or by what that holds up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blameless: bool,
    /// It failed by what no commit does: its Git server is away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
}

/// A soak that a newer commit with the same content goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Carried {
    /// What soaked; none: nothing did.
    pub content: Digest,
    /// For how long.
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
            before: Before::default(),
            blameless: false,
            outside: false,
        }
    }

    /// What a newer rollout begins from, where this one never became good.
    fn carry(&self, now: Timestamp) -> Option<Self> {
        if !self.phase.is_touched() {
            let is_marked = self.carried.is_some() || self.before.is_doubted();
            return is_marked.then(|| Self {
                phase: Phase::Waiting,
                since: now,
                // What it was started for, and suspended in, was the one before: this one has its own gates.
                started_at: None,
                unchanged: false,
                ..self.clone()
            });
        }
        let carried = match self.phase {
            Phase::Soaking | Phase::Done => Carried {
                content: self.content,
                counted: self.counted,
            },
            _ => Carried {
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

    /// It is given the new commits.
    fn start(&mut self, now: Timestamp) {
        self.enter(Phase::Started, now);
        self.started_at = Some(now);
    }

    /// What it ran before: what was good, unless a rollout that never became good was there in between.
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
    /// `<environment>-<number>`.
    pub id: String,
    pub environment: EnvironmentName,
    /// What it brings.
    pub target: Commits,
    /// The last good commits, and the rollout that brought them.
    pub from: Commits,
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
    /// In which epoch; 0: an older hub did not note it.
    #[serde(default)]
    pub epoch: u64,
    /// When its first cluster could be started.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why it stands as it does.
    pub note: String,
    /// It is halted for nothing that its commits do: it goes on when that is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blameless: bool,
    /// How it goes about it, as the fleet file said when it was created; none: an older hub began it,
    /// and it takes what the fleet file says next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Box<Strategy>>,
    /// What it changes of what the fleet file declares: which application, which field, before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// By cluster; kept row by row.
    #[serde(skip)]
    pub clusters: BTreeMap<ClusterName, Progress>,
    /// When it was looked at last, by this process.
    #[serde(skip)]
    pub stepped_at: Option<Timestamp>,
}

impl Rollout {
    /// How many clusters are in a phase.
    #[must_use]
    pub fn count(&self, phase: Phase) -> usize {
        let all = self.clusters.values();
        all.filter(|progress| progress.phase == phase).count()
    }

    /// How many clusters take part: all that nobody keeps out.
    #[must_use]
    pub fn taking_part(&self) -> usize {
        let all = self.clusters.values();
        all.filter(|progress| progress.phase.takes_part()).count()
    }

    /// Whether a cluster was given the new commits.
    #[must_use]
    pub fn touches(&self, cluster: &ClusterName) -> bool {
        self.clusters
            .get(cluster)
            .is_some_and(|progress| progress.phase.is_touched())
    }

    /// What its clusters had come to, for a rollout that takes over, or for the next one where this one was
    /// rolled back: then of what they had come to nothing counts but what was wrong before.
    pub(super) fn carry(&self, now: Timestamp) -> BTreeMap<ClusterName, Progress> {
        let carry = |progress: &Progress| match self.state {
            State::RolledBack => progress.doubt(now),
            _ => progress.carry(now),
        };
        let all = self.clusters.iter();
        all.filter_map(|(name, progress)| Some((name.clone(), carry(progress)?)))
            .collect()
    }

    /// The commits that it changes.
    #[must_use]
    pub fn changed(&self) -> Commits {
        changed(&self.from, &self.target)
    }

    /// Why it stands as it does, with what a person can do where that takes one.
    #[must_use]
    pub fn why(&self) -> String {
        if self.state != State::Halted {
            return self.note.clone();
        }
        let (note, name) = (&self.note, &self.environment);
        if self.blameless {
            return format!(
                "{note}; it goes on when that is over, or flotilla retry {name}, or flotilla abort {name} \
                 --reason TEXT"
            );
        }
        format!(
            "{note}; push a repair, which takes over, or flotilla retry {name}, or flotilla abort {name} \
             --reason TEXT"
        )
    }

    /// The revision of the fleet file that it brings, if that is another one than before.
    #[must_use]
    pub fn specification(&self) -> Option<&Commit> {
        let source = RepositoryName::fleet_file();
        let target = self.target.get(source);
        target.filter(|target| self.from.get(source) != Some(*target))
    }

    /// Its place in the order in which its environment's rollouts were decided: clocks go back, this does not.
    #[must_use]
    pub fn number(&self) -> u64 {
        let number = self.id.rsplit_once('-').map(|(_, number)| number.parse());
        number.and_then(Result::ok).unwrap_or_default()
    }

    /// Its commits; the fleet file's revision is among them where it changes that.
    #[must_use]
    pub fn shown(&self) -> Commits {
        let mut shown = self.target.clone();
        if self.specification().is_none() {
            shown.remove(RepositoryName::fleet_file());
        }
        shown
    }

    /// The commits that were good before, likewise.
    #[must_use]
    pub fn shown_from(&self) -> Commits {
        let mut shown = self.from.clone();
        if self.specification().is_none() {
            shown.remove(RepositoryName::fleet_file());
        }
        shown
    }

    /// Its commits, shortened, for a line of text.
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

/// The commits of a target that are other ones than before.
#[must_use]
pub fn changed(from: &Commits, target: &Commits) -> Commits {
    let all = target.iter();
    all.filter(|(repository, commit)| from.get(*repository) != Some(*commit))
        .map(|(repository, commit)| (repository.clone(), commit.clone()))
        .collect()
}

/// Commits, shortened, for a line of text.
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
