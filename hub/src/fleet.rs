//! The fleet's state machine: events in, effects out; no IO, no clock, no randomness.
//!
//! Laws, checked by the tests below it:
//! - an assignment is stored before it is sent, and its generation grows exactly when its content
//!   changes;
//! - a read that failed takes nothing away: heads, and so assignments, stay as they were;
//! - what an agent says is believed about its own cluster only, and only from its newest stream.

mod action;
pub mod acts;
mod admissions;
mod advance;
mod assign;
mod blame;
mod compare;
mod credential;
mod declarations;
mod declared;
mod enrol;
mod environment;
mod environments;
mod epoch;
pub(crate) mod event;
mod evidence;
pub mod gates;
mod head;
mod headings;
mod heads;
mod heard;
mod held_back;
mod holding;
pub(crate) mod identity;
mod job_note;
mod jobs;
mod members;
mod merging;
mod observe;
mod plan;
mod proof;
mod redeclared;
mod removed;
mod rendered;
mod restored;
pub mod rollout;
mod rollouts;
mod roster;
mod seen;
mod sessions;
mod shared;
mod sources;
mod specify;
mod step;
pub mod stops;
mod suspend;
mod taking;
mod time;
mod trees;
mod versions;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, Epoch, RepositoryName};
use flotilla_shared::revision::BranchName;
use jiff::Timestamp;

pub use action::{Action, ActionError, Overriding, Subject, Taken};
pub use compare::{ClusterChange, EnvironmentChange, InForce};
pub use credential::{Credential, IssuedCertificate, Lock, UsedTwice};
pub use enrol::NoCertificate;
pub use environment::{
    Approval, CheckResult, EnvironmentState, Good, Hold, Mark, Pin, Quarantine, Scope,
};
pub use epoch::{forget_queue, leave_behind};
pub use event::{
    AuditEntry, ClusterRecord, Effect, Event, Hello, SessionId, StoredAssignment, StoredCluster,
    order_effects,
};
pub use head::{Head, Heads};
pub use identity::former_message;
pub use job_note::{JobNote, JobResult};
pub use merging::Merging;
pub use removed::is_over;
use rollout::Rollout;
pub use roster::Clusters;
pub use roster::cluster::{AgentFacts, Cluster, Connectivity, Kept, OFFLINE_AFTER, Placed};
pub use shared::Shared;

use crate::spec::Spec;
use crate::suggestion::missing;
use admissions::Admissions;
use declarations::Declarations;
use environments::Environments;
use rollouts::Rollouts;
use roster::{Roster, cluster};
use sources::Sources;
use versions::Versions;

/// Everything the hub knows.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    epoch: Epoch,
    /// When the epoch was raised; none: it is the first.
    epoch_since: Option<Timestamp>,
    declarations: Declarations,
    sources: Sources,
    clusters: Roster,
    admissions: Admissions,
    versions: Versions,
    environments: Environments,
    rollouts: Rollouts,
    /// What clusters were asked to run for gates.
    gate_jobs: jobs::Asked,
    /// When anything was looked at last.
    looked_at: Option<Timestamp>,
    /// When this hub looked first: before that it has heard from nobody.
    began_at: Option<Timestamp>,
}

/// Where a cluster belongs: the fleet file wins over its record.
fn place<'a>(
    spec: &'a Spec,
    name: &ClusterName,
    record: Option<&'a ClusterRecord>,
) -> Option<&'a EnvironmentName> {
    let declared = spec.clusters.get(name).map(|cluster| &cluster.environment);
    declared.or_else(|| record?.environment.as_ref())
}

/// A cluster's labels: its record's, with the fleet file's over them.
fn labels(
    spec: &Spec,
    name: &ClusterName,
    record: Option<&ClusterRecord>,
) -> BTreeMap<String, String> {
    let mut labels = record
        .map(|record| record.labels.clone())
        .unwrap_or_default();
    if let Some(declared) = spec.clusters.get(name) {
        labels.extend(declared.labels.clone());
    }
    labels
}

impl Fleet {
    /// An empty fleet of an epoch.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
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
        self.declarations.spec()
    }

    #[must_use]
    pub fn heads(&self) -> &Heads {
        self.sources.branches.all()
    }

    /// The head of an environment's branch in a repository.
    #[must_use]
    pub fn head(&self, repository: &RepositoryName, branch: &BranchName) -> Option<&Head> {
        self.sources.branches.get(repository, branch)
    }

    /// All clusters by name.
    #[must_use]
    pub fn clusters(&self) -> &Clusters {
        self.clusters.all()
    }

    /// What was decided about each environment.
    #[must_use]
    pub fn environments(&self) -> &BTreeMap<EnvironmentName, EnvironmentState> {
        self.environments.all()
    }

    /// The last rollout of each environment, over or not.
    #[must_use]
    pub fn rollouts(&self) -> &BTreeMap<EnvironmentName, Rollout> {
        self.rollouts.all()
    }

    /// Where a cluster belongs: the fleet file wins over its record.
    #[must_use]
    pub fn environment_of(&self, name: &ClusterName) -> Option<EnvironmentName> {
        place(self.spec(), name, self.record_of(name)).cloned()
    }

    /// Whether a cluster is one of an environment's.
    #[must_use]
    pub fn belongs_to(&self, name: &ClusterName, environment: &EnvironmentName) -> bool {
        place(self.spec(), name, self.record_of(name)) == Some(environment)
    }

    /// A cluster's labels: its record's, with the fleet file's over them.
    #[must_use]
    pub fn labels_of(&self, name: &ClusterName) -> BTreeMap<String, String> {
        labels(self.spec(), name, self.record_of(name))
    }

    /// Whether the fleet file, as it is now, places an application on a cluster with such labels.
    pub(crate) fn places(
        &self,
        application: &ApplicationName,
        (cluster, environment): (&ClusterName, &EnvironmentName),
        labels: &BTreeMap<String, String>,
    ) -> bool {
        let declared = self.spec().applications.get(application);
        declared
            .is_some_and(|application| application.placement.matches(cluster, environment, labels))
    }

    fn record_of(&self, name: &ClusterName) -> Option<&ClusterRecord> {
        self.clusters.get(name).map(|cluster| &*cluster.record)
    }

    /// Refuses a name that no environment has.
    fn known(&self, name: &EnvironmentName) -> Result<(), ActionError> {
        match self.spec().environment(name) {
            Some(_) => Ok(()),
            None => Err(ActionError::NoEnvironment(missing(
                "environment",
                name.as_str(),
                self.spec().environment_names(),
            ))),
        }
    }

    /// For a name that no cluster has.
    fn no_cluster(&self, name: &ClusterName) -> ActionError {
        let names = self.clusters.keys().map(ClusterName::as_str);
        ActionError::NoCluster(missing("cluster", name.as_str(), names))
    }

    /// Grows with each visible change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.versions.newest()
    }

    /// The version of the last change of any environment or branch.
    #[must_use]
    pub fn environments_version(&self) -> u64 {
        self.versions.of_environments()
    }

    /// Takes over from a later state of the fleet who is there, which no store keeps.
    pub fn hear(&mut self, later: &Self) {
        self.clusters.hear(&later.clusters);
    }

    /// Something happened to a cluster: its environment's rollout has to look.
    fn mark_dirty(&mut self, name: &ClusterName) {
        self.environments.mark_dirty(self.environment_of(name));
    }

    /// The cluster, if this is its present stream, to note what its agent says: people are shown it, and its
    /// environment's rollout has to look.
    fn heard(&mut self, name: &ClusterName, session: SessionId) -> Option<&mut Cluster> {
        if !self.clusters.is_live(name, session) {
            return None;
        }
        self.mark_dirty(name);
        self.clusters.change(name, &mut self.versions)
    }

    /// Changes a cluster's record, with all that hangs on it.
    fn change_record(
        &mut self,
        name: &ClusterName,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut ClusterRecord),
    ) {
        let before = self.environment_of(name);
        let versions = &mut self.versions;
        let found = self.clusters.change_record(name, versions, effects, change);
        let Some(found) = found else { return };
        if found.moves {
            self.declarations.clusters_changed(&self.clusters);
        }
        if found.matters {
            self.environments.mark_dirty(before);
            self.mark_dirty(name);
            self.versions.raise_environments();
        }
    }

    /// As above, of a cluster that may be new.
    fn put_record(
        &mut self,
        name: &ClusterName,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut ClusterRecord),
    ) {
        self.mark_dirty(name);
        let versions = &mut self.versions;
        self.clusters.put_record(name, versions, effects, change);
        self.declarations.clusters_changed(&self.clusters);
        self.mark_dirty(name);
        self.versions.raise_environments();
    }

    /// Somebody decides something about an environment. What is said of it: its rollout.
    fn decide(
        &mut self,
        name: &EnvironmentName,
        effects: &mut Vec<Effect>,
        decide: impl FnOnce(&mut EnvironmentState),
    ) -> String {
        let versions = &mut self.versions;
        self.environments.decide(name, versions, effects, decide);
        let rollout = self.rollouts.get(name);
        rollout
            .map(|rollout| rollout.id.clone())
            .unwrap_or_default()
    }

    fn touch_environments(&mut self) {
        self.versions.raise_environments();
    }
}
