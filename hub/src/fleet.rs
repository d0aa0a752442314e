//! The fleet's state machine: events in, effects out; no IO, no clock, no randomness.
//!
//! Laws, checked by the tests below it:
//! - an assignment is stored before it is sent, and its generation grows exactly when its content
//!   changes;
//! - a read that failed takes nothing away: heads, and so assignments, stay as they were;
//! - what an agent says is believed about its own cluster only, and only from its newest stream.

mod action;
pub mod acts;
mod assign;
mod cluster;
mod compare;
mod declared;
mod enrol;
mod environment;
mod epoch;
pub(crate) mod event;
pub mod gates;
mod headings;
mod heads;
mod heard;
mod holding;
pub(crate) mod identity;
mod members;
mod merging;
mod observe;
mod plan;
mod proof;
mod removed;
mod rendered;
mod restored;
pub mod rollout;
mod sessions;
mod settle;
mod shared;
mod specify;
mod step;
mod suspend;
mod taking;
mod time;
mod trees;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::id::{ClusterName, EnvironmentName, Epoch, RepositoryName};
use flotilla_shared::revision::{BranchName, Commit};
use jiff::Timestamp;

pub use action::{Action, ActionError, Subject, Taken};
pub use cluster::{Cluster, Connection, Facts, OFFLINE_AFTER, Placed, Problem};
pub use compare::{ClusterChange, EnvironmentChange, InForce};
pub use enrol::NoCertificate;
pub use environment::{
    Approval, CheckResult, EnvironmentState, Good, Hold, Mark, Pin, Quarantine, Scope,
};
pub use epoch::{forget_queue, leave_behind};
pub use event::{
    AuditEntry, ClusterRecord, Effect, Event, Hello, SessionId, StoredAssignment, StoredCluster,
    settle_order,
};
pub use heads::{Head, Heads};
pub use identity::{Credential, IssuedCertificate, Lock};
pub use merging::Merging;
pub use removed::is_over;
use rollout::Rollout;
pub use shared::Shared;

use crate::enrolment::Uses;
use crate::spec::{Spec, Specification};

/// Clusters by name, each shared with earlier states of the fleet until it changes.
pub type Clusters = BTreeMap<ClusterName, Shared<Cluster>>;

/// The clusters of an environment, with wave and place within it.
type Members = BTreeMap<ClusterName, (usize, Arc<str>)>;

/// Assignments worked out in one step: as many as take a few milliseconds, so that no agent and no
/// person waits for ten thousand others.
const BATCH: usize = 500;

/// Everything the hub knows.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    epoch: Epoch,
    /// When the epoch was raised; none: it is the first.
    epoch_since: Option<Timestamp>,
    spec: Arc<Spec>,
    /// What the fleet file says of each environment, by its digest.
    declared: BTreeMap<EnvironmentName, (Commit, Arc<Specification>)>,
    /// Specifications that are in force, on their way, or were before what is on its way.
    specifications: BTreeMap<Commit, Arc<Specification>>,
    heads: Heads,
    clusters: Clusters,
    environments: BTreeMap<EnvironmentName, EnvironmentState>,
    /// The last rollout of each environment, over or not.
    rollouts: BTreeMap<EnvironmentName, Rollout>,
    /// The last answers of external checks.
    checks: BTreeMap<(EnvironmentName, String), CheckResult>,
    /// Environments in which something happened since they were settled.
    dirty: BTreeSet<EnvironmentName>,
    /// Worked out again after membership changed.
    members: BTreeMap<EnvironmentName, Arc<Members>>,
    /// Pushes that were announced and not yet seen.
    hints: BTreeMap<RepositoryName, Timestamp>,
    /// What commits hold, where it was read.
    trees: trees::Trees,
    /// What they say of themselves, likewise.
    headings: headings::Headings,
    /// What pull requests of promotions wait for, likewise.
    mergings: merging::Mergings,
    /// Clusters whose assignment is to be worked out anew, a turn at a time.
    due: BTreeSet<ClusterName>,
    /// How many of them are a turn.
    batch: usize,
    /// What the clusters of each environment were given last while no rollout ran.
    followed: BTreeMap<EnvironmentName, settle::Followed>,
    /// When anything was looked at last.
    looked_at: Option<Timestamp>,
    /// Clusters whose pin ends by itself.
    expiring_pins: usize,
    /// Grows with each visible change; each cluster remembers its last one.
    version: u64,
    environments_version: u64,
    /// SHA-256 of the certificate that signs agents' certificates.
    issuer: String,
    /// The last certificate's number under each name that was given up.
    retired: BTreeMap<ClusterName, u64>,
    /// What became of join tokens a moment ago.
    token_uses: Uses,
    /// Newcomers that were refused a name, by name and key.
    refused: BTreeSet<(ClusterName, String)>,
}

/// Where a cluster belongs: the fleet file wins over its record.
fn place<'a>(
    spec: &'a Spec,
    name: &ClusterName,
    record: Option<&'a ClusterRecord>,
) -> Option<&'a EnvironmentName> {
    let declared = spec.clusters.get(name).map(|one| &one.environment);
    declared.or_else(|| record?.environment.as_ref())
}

impl Fleet {
    /// An empty fleet of an epoch.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            batch: BATCH,
            ..Self::default()
        }
    }

    /// The epoch of all assignments made here.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What was declared.
    #[must_use]
    pub fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// Branch heads.
    #[must_use]
    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    /// The head of an environment's branch in a repository.
    #[must_use]
    pub fn head(&self, repository: &RepositoryName, branch: &BranchName) -> Option<&Head> {
        self.heads.get(&(repository.clone(), branch.clone()))
    }

    /// All clusters by name.
    #[must_use]
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// What was decided about each environment.
    #[must_use]
    pub fn environments(&self) -> &BTreeMap<EnvironmentName, EnvironmentState> {
        &self.environments
    }

    /// The last rollout of each environment, over or not.
    #[must_use]
    pub fn rollouts(&self) -> &BTreeMap<EnvironmentName, Rollout> {
        &self.rollouts
    }

    /// Where a cluster belongs: the fleet file wins over its record.
    #[must_use]
    pub fn environment_of(&self, name: &ClusterName) -> Option<EnvironmentName> {
        let record = self.clusters.get(name).map(|cluster| &cluster.record);
        place(&self.spec, name, record).cloned()
    }

    /// A cluster's labels: its record's, with the fleet file's over them.
    #[must_use]
    pub fn labels_of(&self, name: &ClusterName) -> BTreeMap<String, String> {
        let mut labels = self
            .clusters
            .get(name)
            .map(|cluster| cluster.record.labels.clone())
            .unwrap_or_default();
        if let Some(declared) = self.spec.clusters.get(name) {
            labels.extend(declared.labels.clone());
        }
        labels
    }

    /// Grows with each visible change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version of the last change of any environment or branch.
    #[must_use]
    pub fn environments_version(&self) -> u64 {
        self.environments_version
    }

    /// Takes over from a later state of the fleet who is there, which no store keeps.
    pub fn hear(&mut self, later: &Self) {
        for (name, cluster) in &mut self.clusters {
            if let Some(other) = later.clusters.get(name)
                && !cluster.hears(other)
            {
                cluster.hear(other);
            }
        }
    }

    fn touch(&mut self, name: &ClusterName) {
        self.version += 1;
        let version = self.version;
        if let Some(cluster) = self.clusters.get_mut(name) {
            cluster.version = version;
        }
    }

    /// Something happened to a cluster: its environment's rollout has to look.
    fn mark_dirty(&mut self, name: &ClusterName) {
        self.dirty.extend(self.environment_of(name));
    }

    fn count_pins(&mut self) {
        let pins = self
            .clusters
            .values()
            .filter_map(|one| one.record.pin.as_ref());
        self.expiring_pins = pins.filter(|pin| pin.expires_at.is_some()).count();
    }

    fn touch_environments(&mut self) {
        self.version += 1;
        self.environments_version = self.version;
    }
}
