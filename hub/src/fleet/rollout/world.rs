//! What a step of a rollout is shown, and what it did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::problem::Problem;
use jiff::Timestamp;

use super::aside::Aside;
use crate::spec::Strategy;

/// What a cluster says of the rollout's commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    NotYet,
    /// It works on them.
    Progressing(Problem),
    /// Exactly these, synced and healthy; rendered from files of this digest.
    Healthy(Digest),
    /// It will not get there by itself.
    Failed(Problem),
}

/// What a rollout's commits change of what a cluster renders, before it was given them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Unknown,
    /// Files that it may read are others.
    Something,
    /// Whatever it reads is the same.
    Nothing,
}

/// A cluster as a rollout is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Its wave, by the strategy and its labels as they are now.
    pub wave: usize,
    /// Its place within the wave.
    pub sort_key: Arc<str>,
    /// A pin keeps it out.
    pub pinned: bool,
    /// A person asked it to write nothing.
    pub suspended: bool,
    /// Whether it is heard from.
    pub online: bool,
    /// It is not heard from by a hub that has just begun, and need not be away.
    pub awaited: bool,
    /// Asked of who is not: whether it has something that a pin could keep it on.
    pub can_be_pinned: bool,
    /// What it says.
    pub verdict: Verdict,
    /// What of it does not count; none: all of it does.
    pub aside: Option<Aside>,
    /// Where it does not get there: what keeps it was so before.
    pub blameless: bool,
    /// It runs something that the rollout brings another commit of, or may: only such a cluster proves it.
    pub concerned: bool,
    /// When it last vouched for what it says; none: not since it connected.
    pub heard_at: Option<Timestamp>,
    /// What its applications render from, where they run what was last good; otherwise nothing.
    pub rendered_from: Digest,
    /// What would change there, likewise.
    pub change: Change,
    /// It stands on commits of a rollout that this one took over from: first in its wave, since what
    /// it has is in doubt.
    pub carried: bool,
}

/// Everything a step needs to know.
#[derive(Debug, Clone)]
pub struct World<'w> {
    /// How to go about it.
    pub strategy: &'w Strategy,
    /// The environment's clusters, by name, each once.
    pub clusters: &'w [(ClusterName, Observation)],
    /// How many more wait to be accepted into the environment.
    pub joining: usize,
    /// Why the gates at the rollout's start are closed; none: they are open.
    pub closed: Option<String>,
    /// Why nothing may be started just now; none: it may.
    pub held: Option<String>,
    /// Why a person stopped it; none: nobody did.
    pub paused: Option<String>,
    /// What the outside says against it; none: nothing does.
    pub failing: Option<String>,
    /// What the outside was asked and has not answered; none: nothing.
    pub unanswered: Option<String>,
    /// Approvals given, by wave.
    pub approvals: &'w BTreeMap<String, u32>,
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Clusters whose progress changed.
    pub clusters: BTreeSet<ClusterName>,
    /// Clusters that it comes to now, with whom nobody was before or whom another one left as they are.
    pub started: BTreeSet<ClusterName>,
    /// Clusters whose soak is over, if they say so once more.
    pub asked: BTreeSet<ClusterName>,
    /// Clusters that left.
    pub left: BTreeSet<ClusterName>,
    /// Whether anything else of the rollout changed.
    pub rollout: bool,
}
