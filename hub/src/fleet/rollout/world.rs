//! Input and result of a rollout's step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::problem::Problem;
use jiff::Timestamp;

use super::aside::Exemptions;
use crate::spec::Strategy;

/// Verdict on a cluster for the rollout's commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    NotYet,
    /// It is in progress.
    Progressing(Problem),
    /// It runs exactly these commits, synced and healthy; digest of the files that it rendered from.
    Healthy(Digest),
    /// It failed, and will not recover by itself.
    Failed(Problem),
}

/// Whether a rollout's commits change what a cluster renders, before it is assigned them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Unknown,
    /// Files that it may read differ.
    Something,
    /// Everything that it reads is the same.
    Nothing,
}

/// A cluster as a rollout sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Its wave, by the strategy and its labels as they are now.
    pub wave: usize,
    /// Its sort key within the wave.
    pub sort_key: Arc<str>,
    /// Whether a pin excludes it.
    pub pinned: bool,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether it is online.
    pub online: bool,
    /// Whether a hub that has just started has not heard from it yet, so that it need not be offline.
    pub awaited: bool,
    /// For an offline cluster: whether it runs something that it can be pinned to.
    pub can_be_pinned: bool,
    /// The verdict on its report.
    pub verdict: Verdict,
    /// Applications that do not count; none: all count.
    pub aside: Option<Exemptions>,
    /// Where it is not healthy: whether the cause existed before.
    pub blameless: bool,
    /// Whether the rollout changes, or may change, something that it runs: only such a cluster proves it.
    pub concerned: bool,
    /// When it last confirmed its report; none: not since it connected.
    pub heard_at: Option<Timestamp>,
    /// Digest of what its applications render from, where they run the last good commits; otherwise none.
    pub rendered_from: Digest,
    /// Whether the commits change anything there, likewise.
    pub change: Change,
    /// Whether it has commits of a rollout that this one took over from: it comes first in its wave, since those are in
    /// doubt.
    pub carried: bool,
}

/// Everything that a step needs.
#[derive(Debug, Clone)]
pub struct World<'w> {
    /// The strategy.
    pub strategy: &'w Strategy,
    /// The environment's clusters, by name, each once.
    pub clusters: &'w [(ClusterName, Observation)],
    /// Number of clusters that are waiting to be accepted into the environment.
    pub joining: usize,
    /// Why the gates at the rollout's start are closed; none: they are open.
    pub closed: Option<String>,
    /// Why nothing may be started now; none: it may.
    pub held: Option<String>,
    /// Why an operator stopped it; none: not stopped.
    pub paused: Option<String>,
    /// Which external check fails; none: none does.
    pub failing: Option<String>,
    /// Which external check has no result yet; none: all have one.
    pub unanswered: Option<String>,
    /// Approvals given, by wave.
    pub approvals: &'w BTreeMap<String, u32>,
}

/// Result of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Clusters whose progress changed.
    pub clusters: BTreeSet<ClusterName>,
    /// Clusters that it starts on, which were not started before or were left as they are by another rollout.
    pub started: BTreeSet<ClusterName>,
    /// Clusters whose soak is over once they confirm it.
    pub asked: BTreeSet<ClusterName>,
    /// Clusters that left.
    pub left: BTreeSet<ClusterName>,
    /// Whether anything else of the rollout changed.
    pub rollout: bool,
}
