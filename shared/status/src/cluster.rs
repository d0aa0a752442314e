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

/// Whether a cluster's agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Connectivity {
    /// Enrolled, and waits to be accepted.
    Pending,
    /// A stream is open.
    Online,
    /// It was there before.
    Offline,
    /// Accepted, never connected.
    NeverSeen,
    /// A newer hub's word.
    Unknown,
}

impl Connectivity {
    /// As it is shown.
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

/// A cluster as the hub knows it, with what its agent said last.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name in the fleet.
    pub name: String,
    /// The environment; empty: none.
    pub environment: String,
    /// As set in fleet file, token and acceptance.
    pub labels: BTreeMap<String, String>,
    /// Whether its agent is there.
    pub connection: Connectivity,
    /// Why it gets no new assignments until a person unlocks it; empty: it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub locked: String,
    /// The agent's last word.
    pub last_seen: Option<Timestamp>,
    /// Begin of the open stream.
    pub connected_since: Option<Timestamp>,
    /// Of its agent, as that said when it connected last; empty: not known.
    pub agent_version: String,
    /// The API server's.
    pub kubernetes_version: String,
    /// UID of the namespace kube-system.
    pub cluster_uid: String,
    /// Generation of what the hub wants.
    pub assigned_generation: Option<u64>,
    /// Generation of what the agent runs on.
    pub accepted_generation: Option<u64>,
    /// Whether the agent refused the assignment.
    pub refused: bool,
    /// Why it refused, as a CamelCase code; empty: it did not.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// For a person.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// Worst over the applications.
    #[schemars(with = "SyncWord")]
    pub sync: SyncState,
    /// Worst over the applications.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// What is to run here, and what still does.
    pub applications: Vec<Placement>,
    /// When the agent reported last.
    pub reported_at: Option<Timestamp>,
    /// Why the agent writes nothing; empty: it does.
    #[serde(skip_serializing_if = "is_empty")]
    pub suspended: String,
    /// When it enrolled.
    pub created_at: Option<Timestamp>,
    /// End of the agent's certificate.
    pub certificate_expires_at: Option<Timestamp>,
    /// SHA-256 of the key that waits to be accepted.
    #[serde(skip_serializing_if = "is_empty")]
    pub pending_fingerprint: String,
    /// What keeps it on commits, whatever its environment does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Who asked at the hub that it writes nothing; `suspended` has it in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspension: Option<Mark>,
    /// By how much its agent's clock is ahead of the hub's (negative: behind), where that is more than clocks
    /// may differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ahead_seconds: Option<i64>,
    /// The hub's epoch in which its assignment was made; 0: it has none.
    #[serde(skip)]
    pub assigned_epoch: u64,
    /// Of what the agent runs on.
    #[serde(skip)]
    pub accepted_epoch: u64,
    /// When it came to run, healthy, all that is assigned; none: it does not.
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
    /// The cluster that is to run it, or still does.
    pub cluster: String,
    /// Where the cluster belongs; empty: nowhere.
    pub environment: String,
    /// Directory in the repository.
    pub path: String,
    /// What the hub wants.
    pub assigned: Option<Revision>,
    /// What was applied last.
    pub revision: Option<Revision>,
    /// Whether live equals the commit.
    #[schemars(with = "SyncWord")]
    pub sync: SyncState,
    /// Worst over the objects.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// A CamelCase code.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// For a person.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// How many objects.
    #[schemars(with = "CountsForm")]
    pub counts: ObjectCounts,
    /// Those worth showing, worst first; `counts` has the whole.
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
    /// What was last done to an object.
    pub closed ObjectAction {
        /// It was not there and was made.
        Created = "Created",
        /// A field of ours differed and was set.
        Updated = "Updated",
        /// There was nothing to do.
        Unchanged = "Unchanged",
        /// It left the rendered set and was deleted.
        Pruned = "Pruned",
        /// It was not touched, on purpose.
        Skipped = "Skipped",
        /// A delete waits for a person.
        Held = "Held",
        /// The write was refused or failed.
        Failed = "Failed",
        /// What a newer agent says.
        Unknown = "Unknown",
    }
}

/// One Kubernetes object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// The API group; empty: core.
    pub group: String,
    /// `Deployment`; no version.
    pub kind: String,
    /// Empty: not namespaced.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// What was last done to it.
    pub action: ObjectAction,
    /// Health in kstatus' words.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// A CamelCase code.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// For a person.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
}

/// One application over all clusters.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// As in the fleet file, such as `web`.
    pub name: String,
    /// Where its files are.
    pub repository: String,
    /// The template as written.
    pub path: String,
    /// `Plain`, `Kustomize` or what a newer hub knows.
    pub renderer: String,
    /// Clusters it is to run in.
    pub clusters: u32,
    /// Of those, with exactly the assigned commit, healthy.
    pub current: u32,
    /// Of those, failed or refused.
    pub failed: u32,
    /// Worst over them.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// One by one.
    pub placements: Vec<Placement>,
}

impl Cluster {
    /// Leaves only these applications, and sums up anew. An empty list leaves all.
    #[must_use]
    pub fn only(mut self, applications: &[String]) -> Self {
        if applications.is_empty() {
            return self;
        }
        self.applications
            .retain(|placement| applications.contains(&placement.application));
        // What the hub says of all of it says nothing of some.
        self.current = None;
        let worst = self.applications.iter();
        // The agent's refusal of the whole assignment is every application's.
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

    /// Whether it is online and runs exactly what is assigned, synced and healthy: the hub's word, which knows what is
    /// about to be assigned, too. Where it says nothing, by what is shown here.
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
