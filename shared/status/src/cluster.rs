//! Clusters and what runs in them.

use std::collections::BTreeMap;

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::report::{self, ObjectCounts};
use flotilla_shared::{object, reason::Reason};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::schema::{CountsForm, HealthWord, SyncWord};
use super::{Mark, Pin, Revision, is_empty};
use crate::words::words;

/// Connection state of a cluster's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Connectivity {
    /// Enrolled, and waiting to be accepted.
    Pending,
    /// A stream is open.
    Online,
    /// Connected before, and not now.
    Offline,
    /// Accepted, never connected.
    NeverSeen,
    /// A value of a newer hub.
    Unknown,
}

impl Connectivity {
    /// Returns the word that is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Online => "Online",
            Self::Offline => "Offline",
            Self::NeverSeen => "NeverSeen",
            Self::Unknown => "Unknown",
        }
    }
}

/// A cluster as the hub knows it, with its agent's last report.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name in the fleet.
    pub name: String,
    /// Name of its environment; empty: none.
    pub environment: String,
    /// Its labels, from fleet file, token and acceptance.
    pub labels: BTreeMap<String, String>,
    /// Connection state of its agent.
    pub connection: Connectivity,
    /// Why it is locked and gets no new assignments until an operator unlocks it; empty: not locked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub locked: String,
    /// When the agent last sent anything.
    pub last_seen: Option<Timestamp>,
    /// When the open stream began.
    pub connected_since: Option<Timestamp>,
    /// The agent's version, as of its last connection; empty: not known.
    pub agent_version: String,
    /// Version of the API server; empty: not known.
    pub kubernetes_version: String,
    /// UID of the namespace kube-system.
    pub cluster_uid: String,
    /// Generation that the hub assigned.
    pub assigned_generation: Option<u64>,
    /// Generation that the agent accepted last.
    pub accepted_generation: Option<u64>,
    /// Whether the agent refused the assignment.
    pub refused: bool,
    /// Why the agent refused, as a CamelCase code; empty: it did not.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Message for operators.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// The worst of its applications.
    #[schemars(with = "SyncWord")]
    pub sync: SyncState,
    /// The worst of its applications.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// Applications that are to run here, or still do.
    pub applications: Vec<Placement>,
    /// When the agent reported last.
    pub reported_at: Option<Timestamp>,
    /// Why the agent writes nothing; empty: it is not suspended.
    #[serde(skip_serializing_if = "is_empty")]
    pub suspended: String,
    /// When it enrolled.
    pub created_at: Option<Timestamp>,
    /// End of the agent's certificate.
    pub certificate_expires_at: Option<Timestamp>,
    /// SHA-256 fingerprint of the key that is waiting to be accepted.
    #[serde(skip_serializing_if = "is_empty")]
    pub pending_fingerprint: String,
    /// The pin that keeps it on its commits, whatever its environment does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Who suspended it at the hub, when and why; `suspended` has this in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspension: Option<Mark>,
    /// Seconds by which its agent's clock is ahead of the hub's (negative: behind), where this exceeds the tolerance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ahead_seconds: Option<i64>,
    /// Epoch of the hub in which its assignment was made; 0: it has none.
    #[serde(skip)]
    pub assigned_epoch: u64,
    /// Epoch of what the agent accepted last.
    #[serde(skip)]
    pub accepted_epoch: u64,
    /// Since when it has run everything assigned, synced and healthy; none: it does not.
    #[serde(skip)]
    pub current_since: Option<Timestamp>,
    /// Whether it is online and runs, healthy, exactly what it is to run; none: an older hub does not say, or only
    /// some of its applications are meant. Who wants to know asks [`Cluster::is_current`].
    #[serde(skip)]
    pub current: Option<bool>,
}

/// One application in one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Its name in the fleet file.
    pub application: String,
    /// Name of the cluster that is to run it, or still does.
    pub cluster: String,
    /// Environment of the cluster; empty: none.
    pub environment: String,
    /// Directory of the application in its repository.
    pub path: String,
    /// The revision that the hub assigned.
    pub assigned: Option<Revision>,
    /// The revision that was applied last.
    pub revision: Option<Revision>,
    /// Relation of the live objects to the assigned commit.
    #[schemars(with = "SyncWord")]
    pub sync: SyncState,
    /// The worst of its objects.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// A CamelCase code; empty: none.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Message for operators.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// Number of objects by health.
    #[schemars(with = "CountsForm")]
    pub counts: ObjectCounts,
    /// Objects of interest, worst first; `counts` covers all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
    /// End of the last reconcile pass that applied `revision` in full.
    pub applied_at: Option<Timestamp>,
    /// When sync or health last changed.
    pub changed_at: Option<Timestamp>,
    /// Objects written in the last reconcile pass.
    pub written: u32,
    /// Objects deleted in the last reconcile pass.
    pub pruned: u32,
}

words! {
    /// The last action on an object.
    pub closed ObjectAction {
        /// It was missing and was created.
        Created = "Created",
        /// A managed field differed and was set.
        Updated = "Updated",
        /// No change was needed.
        Unchanged = "Unchanged",
        /// It was no longer rendered and was deleted.
        Pruned = "Pruned",
        /// It was left alone on purpose.
        Skipped = "Skipped",
        /// Its delete is held for an operator.
        Held = "Held",
        /// The write was refused, or it failed.
        Failed = "Failed",
        /// A value of a newer agent.
        Unknown = "Unknown",
    }
}

/// One Kubernetes object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// The API group; empty: core.
    pub group: String,
    /// The kind without a version, such as `Deployment`.
    pub kind: String,
    /// The namespace; empty: not namespaced.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The last action on it.
    pub action: ObjectAction,
    /// Health in the words of kstatus.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// A CamelCase code; empty: none.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Message for operators.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
}

/// One application over all clusters.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Its name in the fleet file, such as `web`.
    pub name: String,
    /// Name of the repository that has its files.
    pub repository: String,
    /// The path template, as written in the fleet file.
    pub path: String,
    /// `Plain`, `Kustomize`, `Helm` or a value of a newer hub.
    pub renderer: String,
    /// Number of clusters that it is to run in.
    pub clusters: u32,
    /// Number of those that run exactly the assigned commit, healthy.
    pub current: u32,
    /// Number of those that failed or refused it.
    pub failed: u32,
    /// The worst health over its clusters.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// The application in each of its clusters.
    pub placements: Vec<Placement>,
}

impl Cluster {
    /// Keeps only these applications and recalculates the totals. An empty list keeps all.
    #[must_use]
    pub fn only(mut self, applications: &[String]) -> Self {
        if applications.is_empty() {
            return self;
        }
        self.applications
            .retain(|placement| applications.contains(&placement.application));
        // The hub's verdict is about all applications and does not apply to a subset.
        self.current = None;
        let worst = self.applications.iter();
        // An agent that refuses the assignment refuses every application.
        if !self.refused {
            self.sync = worst
                .clone()
                .map(|placement| placement.sync)
                .max()
                .unwrap_or_default();
        }
        self.health = worst
            .map(|placement| placement.health)
            .max()
            .unwrap_or_default();
        self
    }

    /// Returns whether it is online and runs exactly what is assigned, synced and healthy. The hub's verdict counts,
    /// since it also knows pending assignments; without one, the fields here decide.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.current.unwrap_or_else(|| self.looks_current())
    }

    fn looks_current(&self) -> bool {
        self.connection == Connectivity::Online
            && !self.refused
            && self.assigned_generation.is_some()
            && self.assigned_generation == self.accepted_generation
            && self.suspended.is_empty()
            && self.applications.iter().all(Placement::is_current)
    }
}

impl Placement {
    /// Whether exactly the assigned commit runs, synced and healthy.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.assigned.is_some()
            && self.assigned == self.revision
            && self.sync == SyncState::Synced
            && self.health == Health::Current
    }
}

impl From<object::Action> for ObjectAction {
    fn from(action: object::Action) -> Self {
        match action {
            object::Action::Created => Self::Created,
            object::Action::Updated => Self::Updated,
            object::Action::Unchanged => Self::Unchanged,
            object::Action::Pruned => Self::Pruned,
            object::Action::Skipped => Self::Skipped,
            object::Action::Held => Self::Held,
            object::Action::Failed => Self::Failed,
        }
    }
}

impl From<&report::ObjectStatus> for Object {
    fn from(status: &report::ObjectStatus) -> Self {
        let object = &status.object;
        Self {
            group: object.group.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            action: status.action.into(),
            health: status.health,
            reason: status.reason.map_or("", Reason::as_str).to_owned(),
            message: status.message.clone(),
        }
    }
}
