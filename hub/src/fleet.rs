//! The fleet's state machine: events in, effects out; no IO, no clock, no randomness.
//!
//! Laws, checked by the tests below it:
//! - an assignment is stored before it is sent, and its generation grows exactly when its content
//!   changes;
//! - a failed read removes nothing: heads, and so assignments, stay as they were;
//! - an agent's messages count for its own cluster only, and only from its newest stream.

mod action;
pub mod acts;
mod admissions;
mod advance;
mod assign;
mod blame;
mod compare;
pub(crate) mod credential;
mod declarations;
mod declared;
mod enrol;
mod environment;
mod environments;
mod epoch;
pub(crate) mod event;
mod evidence;
pub mod gate;
mod gates;
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

pub use action::{Action, ActionError, ActionOutcome, GateOverride, Subject};
pub use compare::{Baseline, ClusterChange, EnvironmentChange};
pub use credential::{Credential, DuplicateUse, IssuedCertificate, Lock};
pub use enrol::CertificateRefusal;
pub use environment::{
    Approval, CheckResult, EnvironmentState, GoodCommits, Hold, Mark, Pin, Quarantine, Scope,
};
pub use epoch::{forget_queue, leave_behind};
pub use event::{
    AuditEntry, ClusterRecord, Effect, Event, Hello, SessionId, StoredAssignment, StoredCluster,
    order_effects,
};
pub use head::{Head, Heads};
pub use identity::former_message;
pub use job_note::{JobNote, JobResult};
pub use merging::PendingMerge;
pub use removed::is_over;
use rollout::Rollout;
pub use roster::Clusters;
pub use roster::cluster::{
    AgentFacts, Cluster, Connectivity, OFFLINE_AFTER, PlacedApplication, StoredValue,
};
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

/// The state of the whole fleet.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    epoch: Epoch,
    /// When the epoch was raised; none: it is the first one.
    epoch_since: Option<Timestamp>,
    declarations: Declarations,
    sources: Sources,
    clusters: Roster,
    admissions: Admissions,
    versions: Versions,
    environments: Environments,
    rollouts: Rollouts,
    /// Gate Jobs that clusters were asked to run.
    gate_jobs: jobs::JobRequests,
    /// Time of the last step.
    looked_at: Option<Timestamp>,
    /// Time of the first step of this process.
    began_at: Option<Timestamp>,
}

/// Returns the environment of a cluster: the fleet file overrides its record.
fn place<'a>(
    spec: &'a Spec,
    name: &ClusterName,
    record: Option<&'a ClusterRecord>,
) -> Option<&'a EnvironmentName> {
    let declared = spec.clusters.get(name).map(|cluster| &cluster.environment);
    declared.or_else(|| record?.environment.as_ref())
}

/// Returns the labels of a cluster: those of its record, overridden by the fleet file's.
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
    /// Makes an empty fleet of an epoch.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            ..Self::default()
        }
    }

    /// Returns the epoch of all assignments made here.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the fleet file in force.
    #[must_use]
    pub fn spec(&self) -> &Arc<Spec> {
        self.declarations.spec()
    }

    #[must_use]
    pub fn heads(&self) -> &Heads {
        self.sources.branches.all()
    }

    /// Returns the head of a branch in a repository.
    #[must_use]
    pub fn head(&self, repository: &RepositoryName, branch: &BranchName) -> Option<&Head> {
        self.sources.branches.get(repository, branch)
    }

    /// Returns all clusters by name.
    #[must_use]
    pub fn clusters(&self) -> &Clusters {
        self.clusters.all()
    }

    /// Returns the decisions about each environment.
    #[must_use]
    pub fn environments(&self) -> &BTreeMap<EnvironmentName, EnvironmentState> {
        self.environments.all()
    }

    /// Returns the last rollout of each environment, ended or not.
    #[must_use]
    pub fn rollouts(&self) -> &BTreeMap<EnvironmentName, Rollout> {
        self.rollouts.all()
    }

    /// Returns the environment of a cluster: the fleet file overrides its record.
    #[must_use]
    pub fn environment_of(&self, name: &ClusterName) -> Option<EnvironmentName> {
        place(self.spec(), name, self.record_of(name)).cloned()
    }

    /// Returns whether a cluster belongs to an environment.
    #[must_use]
    pub fn belongs_to(&self, name: &ClusterName, environment: &EnvironmentName) -> bool {
        place(self.spec(), name, self.record_of(name)) == Some(environment)
    }

    /// Returns the labels of a cluster: those of its record, overridden by the fleet file's.
    #[must_use]
    pub fn labels_of(&self, name: &ClusterName) -> BTreeMap<String, String> {
        labels(self.spec(), name, self.record_of(name))
    }

    /// Returns whether the present fleet file places an application on a cluster with these labels.
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

    /// Returns the version, which grows with each visible change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.versions.newest()
    }

    /// Returns the version of the last change of any environment or branch.
    #[must_use]
    pub fn environments_version(&self) -> u64 {
        self.versions.of_environments()
    }

    /// Copies connections from a later state of the fleet, since they are not stored.
    pub fn hear(&mut self, later: &Self) {
        self.clusters.hear(&later.clusters);
    }

    /// Marks the environment of a cluster, so that its rollout is advanced.
    fn mark_dirty(&mut self, name: &ClusterName) {
        self.environments.mark_dirty(self.environment_of(name));
    }

    /// Returns the cluster, if this is its present stream, to note a message of its agent: that is a visible change,
    /// and the rollout of its environment has to be advanced.
    fn heard(&mut self, name: &ClusterName, session: SessionId) -> Option<&mut Cluster> {
        if !self.clusters.is_live(name, session) {
            return None;
        }
        self.mark_dirty(name);
        self.clusters.change(name, &mut self.versions)
    }

    /// Changes a cluster's record, and updates what depends on it.
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

    /// Like the function above, for a cluster that may be new.
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

    /// Changes the decisions about an environment, and marks it so that its rollout is advanced.
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
