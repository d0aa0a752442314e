//! What one cluster should run.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::approval::SignedApproval;
use crate::chart::ChartOptions;
use crate::digest::Digest;
use crate::id::{ApplicationName, ClusterName, EnvironmentName, Epoch, Generation};
use crate::object::ObjectRef;
use crate::revision::{RepositoryUrl, Revision, TreePath};

/// Names one assignment exactly. Ordered by (epoch, generation); the digest tells whether two of the
/// same place are the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AssignmentRef {
    /// See [`Epoch`].
    pub epoch: Epoch,
    /// See [`Generation`].
    pub generation: Generation,
    /// SHA-256 of the encoded content.
    pub digest: Digest,
}

impl AssignmentRef {
    /// Its place in time.
    #[must_use]
    pub fn place(&self) -> (Epoch, Generation) {
        (self.epoch, self.generation)
    }
}

/// What one cluster should run. It holds no manifest, no command and no secret.
///
/// An application that is absent is *not* to be deleted: it is simply no longer spoken of, and its
/// objects stay. Only a [`Tombstone`] says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// See [`Epoch`].
    pub epoch: Epoch,
    /// See [`Generation`].
    pub generation: Generation,
    /// Whom it is for.
    pub cluster: ClusterName,
    /// The cluster's environment.
    pub environment: EnvironmentName,
    /// When the hub made this generation.
    pub issued_at: Timestamp,
    /// By name, each at most once; boxed, since a map makes room for eleven values and most clusters
    /// have few.
    pub applications: BTreeMap<ApplicationName, Box<ApplicationAssignment>>,
    /// Removed on purpose.
    pub tombstones: BTreeMap<ApplicationName, Tombstone>,
    /// Abilities without which it must be refused.
    pub required_features: Vec<String>,
    /// The cluster's labels.
    pub labels: BTreeMap<String, String>,
    /// A person at the hub asks the cluster to write nothing.
    pub suspended: bool,
    /// Approvals to go back in history, which the hub relays and cannot make.
    pub approvals: Vec<SignedApproval>,
}

/// One application's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationAssignment {
    /// Repository, branch and commit.
    pub revision: Revision,
    /// Where the agent pulls from.
    pub url: RepositoryUrl,
    /// The directory to render.
    pub path: TreePath,
    /// As the fleet file says; with `Auto`, the agent decides by the directory's files.
    pub renderer: Renderer,
    /// Pruning, drift, conflicts.
    pub sync_policy: SyncPolicy,
    /// Applications of this cluster that must be healthy first.
    pub depends_on: Vec<ApplicationName>,
    /// Whether `${...}` cluster facts are substituted.
    pub substitute: bool,
    /// The rollout that approved this commit here; empty: none.
    pub rollout: String,
    /// For namespaced objects that name none; empty: `default`.
    pub namespace: String,
    /// What is said of its chart, where it is one; none: all by default.
    pub helm: Option<Box<ChartOptions>>,
}

impl ApplicationAssignment {
    /// Whether both are the same but for the rollout that approved them.
    fn is_same_work(&self, other: &Self) -> bool {
        let Self {
            revision,
            url,
            path,
            renderer,
            sync_policy,
            depends_on,
            substitute,
            rollout: _,
            namespace,
            helm,
        } = self;
        *revision == other.revision
            && *url == other.url
            && *path == other.path
            && *renderer == other.renderer
            && *sync_policy == other.sync_policy
            && *depends_on == other.depends_on
            && *substitute == other.substitute
            && *namespace == other.namespace
            && *helm == other.helm
    }
}

impl Assignment {
    /// Whether an application means the same work under both: all of it but the rollout that approved it, and the
    /// labels where its texts take these.
    #[must_use]
    pub fn is_same_work(&self, other: &Self, name: &ApplicationName) -> bool {
        let both = self
            .applications
            .get(name)
            .zip(other.applications.get(name));
        both.is_some_and(|(one, other_one)| {
            one.is_same_work(other_one) && (!one.substitute || self.labels == other.labels)
        })
    }
}

/// How a directory becomes manifests.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Renderer {
    /// Kustomize where a kustomization file is present, Helm where a `Chart.yaml` is, plain YAML otherwise.
    #[default]
    Auto,
    /// Every YAML and JSON file below the directory.
    Plain,
    /// Kustomize, natively.
    Kustomize,
    /// A Helm chart, natively.
    Helm,
}

/// How an application is kept in sync. In a hub's store as part of what is declared: a new field is to be
/// left out of it where it has its default, so that what was declared before keeps its digest.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncPolicy {
    /// Whether objects that leave the rendered set are deleted.
    pub prune: Prune,
    /// What is done about drift.
    pub drift: Drift,
    /// Take fields over from other managers instead of reporting a conflict.
    pub force_conflicts: bool,
    /// How long health may take, in seconds; 0: the agent's default.
    pub health_timeout_seconds: u32,
    /// Fields that are not ours to correct.
    pub ignore: Vec<IgnoreRule>,
}

/// Whether objects that leave the rendered set are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prune {
    /// Yes, within the agent's own budget and rules.
    #[default]
    Enabled,
    /// No; they are kept and shown.
    Disabled,
}

/// What is done when live state differs from the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// It is set right at once.
    #[default]
    Correct,
    /// It is shown.
    Report,
}

/// Fields of matching objects that are not ours to correct. An empty matcher matches any.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct IgnoreRule {
    /// API group.
    pub group: String,
    /// `Deployment`; no version.
    pub kind: String,
    /// Empty: any, and objects that have none.
    pub namespace: String,
    /// `metadata.name` as a whole: there are no patterns.
    pub name: String,
    /// RFC 6901 pointers to the fields.
    pub json_pointers: Vec<String>,
    /// Managers whose fields are left to them.
    pub field_managers: Vec<String>,
}

impl IgnoreRule {
    /// Whether the rule speaks of `object`.
    #[must_use]
    pub fn matches(&self, object: &ObjectRef) -> bool {
        let any = |pattern: &str, value: &str| pattern.is_empty() || pattern == value;
        any(&self.group, &object.group)
            && any(&self.kind, &object.kind)
            && any(&self.namespace, &object.namespace)
            && any(&self.name, &object.name)
    }
}

/// An application that was removed on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// Objects may be deleted, under the agent's own budget and protected kinds; otherwise they stay.
    pub delete_objects: bool,
}
