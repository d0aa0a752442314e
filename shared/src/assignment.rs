//! Assignments: the desired state of one cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use jiff::Timestamp;

use crate::approval::SignedApproval;
use crate::chart::ChartOptions;
use crate::digest::Digest;
use crate::id::{ApplicationName, ClusterName, EnvironmentName, Epoch, Generation};
use crate::object::ObjectRef;
use crate::revision::{RepositoryUrl, Revision, TreePath};

/// Reference to one assignment. Ordered by (epoch, generation); the digest tells whether two with the same
/// place have the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AssignmentRef {
    /// Epoch of the hub's store that issued it.
    pub epoch: Epoch,
    /// Generation within the epoch.
    pub generation: Generation,
    /// SHA-256 of the encoded content.
    pub digest: Digest,
}

impl AssignmentRef {
    /// Epoch and generation, which order assignments.
    #[must_use]
    pub fn place(&self) -> (Epoch, Generation) {
        (self.epoch, self.generation)
    }
}

/// What one cluster should run. It holds no manifest, no command and no secret.
///
/// An application that is absent is *not* deleted: it is no longer managed, and its objects stay. Only a [`Tombstone`]
/// deletes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Epoch of the hub's store that issued it.
    pub epoch: Epoch,
    /// Generation within the epoch.
    pub generation: Generation,
    /// The cluster that it is for.
    pub cluster: ClusterName,
    /// The cluster's environment.
    pub environment: EnvironmentName,
    /// When the hub made this generation.
    pub issued_at: Timestamp,
    /// Applications by name; boxed, since a map makes room for eleven values and most clusters have few.
    pub applications: BTreeMap<ApplicationName, Box<ApplicationAssignment>>,
    /// Applications that were removed on purpose.
    pub tombstones: BTreeMap<ApplicationName, Tombstone>,
    /// The rollout that brought the tombstones here; empty: none did.
    pub removed_by: String,
    /// Applications that are declared for the cluster but cannot be assigned as declared yet; some are assigned as
    /// before. Their objects are not known, so that nothing that seems to leave may be deleted.
    pub unresolved: BTreeSet<ApplicationName>,
    /// Features that an agent must have to accept it.
    pub required_features: Vec<String>,
    /// The cluster's labels.
    pub labels: BTreeMap<String, String>,
    /// Whether an operator suspended the cluster: its agent writes nothing.
    pub suspended: bool,
    /// Approvals of rollbacks, which the hub relays and cannot forge.
    pub approvals: Vec<SignedApproval>,
}

/// One application of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationAssignment {
    /// Repository, branch and commit.
    pub revision: Revision,
    /// URL that the agent pulls from.
    pub url: RepositoryUrl,
    /// The directory to render.
    pub path: TreePath,
    /// As in the fleet file; with `Auto`, the agent decides by the directory's files.
    pub renderer: Renderer,
    /// How pruning, drift and conflicts are handled.
    pub sync_policy: SyncPolicy,
    /// Applications of this cluster that must be healthy first.
    pub depends_on: Vec<ApplicationName>,
    /// Whether `${...}` cluster facts are substituted.
    pub substitute: bool,
    /// The rollout that approved this commit here; empty: none.
    pub rollout: String,
    /// Namespace of namespaced objects without one; empty: `default`.
    pub namespace: String,
    /// Options of its Helm chart; none: all defaults.
    pub helm: Option<Box<ChartOptions>>,
}

impl ApplicationAssignment {
    /// Returns the directory `path` at `revision`, with all other fields at their defaults.
    #[must_use]
    pub fn new(revision: Revision, url: RepositoryUrl, path: TreePath) -> Self {
        Self {
            revision,
            url,
            path,
            renderer: Renderer::default(),
            sync_policy: SyncPolicy::default(),
            depends_on: Vec::new(),
            substitute: false,
            rollout: String::new(),
            namespace: String::new(),
            helm: None,
        }
    }

    /// Returns whether both are equal, apart from the rollout that approved them.
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
    /// Returns generation 1 of epoch 1 without applications, with all other fields at their defaults.
    #[must_use]
    pub fn empty(cluster: ClusterName, environment: EnvironmentName, issued_at: Timestamp) -> Self {
        Self {
            epoch: Epoch(1),
            generation: Generation(1),
            cluster,
            environment,
            issued_at,
            applications: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            removed_by: String::new(),
            unresolved: BTreeSet::new(),
            required_features: Vec::new(),
            labels: BTreeMap::new(),
            suspended: false,
            approvals: Vec::new(),
        }
    }

    /// Returns the rollouts that brought the applications and the tombstones; some are empty.
    pub fn brought_by(&self) -> impl Iterator<Item = &String> {
        let runs = self.applications.values();
        let runs = runs.map(|application| &application.rollout);
        runs.chain([&self.removed_by])
    }

    /// Returns whether an application is the same in both, without the rollout that approved it, and with the labels if
    /// it substitutes them.
    #[must_use]
    pub fn is_same_work(&self, other: &Self, name: &ApplicationName) -> bool {
        let both = self
            .applications
            .get(name)
            .zip(other.applications.get(name));
        both.is_some_and(|(ours, theirs)| {
            ours.is_same_work(theirs) && (!ours.substitute || self.labels == other.labels)
        })
    }
}

/// How a directory becomes manifests. Its properties, apart from rendering, are in its `Properties`: other code calls
/// methods and does not match on variants.
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
    /// Kustomize, by this project's own code.
    Kustomize,
    /// A Helm chart, natively: a directory or a `.tgz`.
    Helm,
}

/// Properties of a renderer.
struct Properties {
    /// Name in the fleet file and on command lines, as serde reads it.
    name: &'static str,
    /// Value of `Renderer` in the protocol.
    number: i32,
    /// Feature that an agent needs; none: every agent has it.
    feature: Option<&'static str>,
    /// Files that mark a directory for this renderer, the usual one first; empty: it renders what no other
    /// renderer claims.
    told_by: &'static [&'static str],
    /// Whether it reads only files below its path, links aside.
    stays_below: bool,
}

impl Renderer {
    /// All renderers. With `auto`, a directory is for the first one whose marker file it has.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Plain, Self::Kustomize, Self::Helm];

    const fn properties(self) -> Properties {
        match self {
            Self::Auto => Properties {
                name: "auto",
                number: 1,
                feature: None,
                told_by: &[],
                stays_below: false,
            },
            Self::Plain => Properties {
                name: "plain",
                number: 2,
                feature: None,
                told_by: &[],
                stays_below: true,
            },
            Self::Kustomize => Properties {
                name: "kustomize",
                number: 3,
                feature: Some("kustomize"),
                told_by: &["kustomization.yaml", "kustomization.yml", "Kustomization"],
                stays_below: false,
            },
            Self::Helm => Properties {
                name: "helm",
                number: 4,
                feature: Some("helm"),
                told_by: &["Chart.yaml"],
                stays_below: false,
            },
        }
    }

    /// Returns the name in the fleet file and on command lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.properties().name
    }

    /// Returns all names for a person, with `last` before the last one: `auto, plain, kustomize or helm`.
    #[must_use]
    pub fn listed(last: &str) -> String {
        let [before @ .., end] = Self::ALL.map(Self::as_str);
        format!("{} {last} {end}", before.join(", "))
    }

    /// Returns the value in the protocol.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.properties().number
    }

    /// Returns the renderer of a value of the protocol. 0 is `auto`; none: the value is of a newer version.
    #[must_use]
    pub fn of_number(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Auto),
            number => Self::ALL
                .into_iter()
                .find(|renderer| renderer.number() == number),
        }
    }

    /// Feature that an agent needs for it; none: every agent has it.
    #[must_use]
    pub const fn feature(self) -> Option<&'static str> {
        self.properties().feature
    }

    /// Files that mark a directory for this renderer, the usual one first; empty for `auto` and `plain`.
    #[must_use]
    pub const fn told_by(self) -> &'static [&'static str] {
        self.properties().told_by
    }

    /// Whether it reads only files below its path, links aside.
    #[must_use]
    pub const fn stays_below(self) -> bool {
        self.properties().stays_below
    }

    /// Whether this can resolve to `other`: it is the same, or it is `auto`.
    #[must_use]
    pub fn may_be(self, other: Self) -> bool {
        self == Self::Auto || self == other
    }
}

impl FromStr for Renderer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|renderer| renderer.as_str() == text);
        found.ok_or_else(|| format!("known are {}", Self::listed("and")))
    }
}

/// How an application is kept in sync. A hub stores it as part of declarations: a new field has to be skipped at its
/// default, so that older declarations keep their digest.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncPolicy {
    /// Whether objects that leave the rendered set are deleted.
    pub prune: Prune,
    /// How drift is handled.
    pub drift: Drift,
    /// Whether to take fields over from other managers instead of reporting a conflict.
    pub force_conflicts: bool,
    /// Seconds until unhealthy objects count as timed out; 0: the agent's default.
    pub health_timeout_seconds: u32,
    /// Fields that the agent leaves to other managers.
    pub ignore: Vec<IgnoreRule>,
}

/// Whether objects that leave the rendered set are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prune {
    /// They are deleted, within the agent's own delete budget and rules.
    #[default]
    Enabled,
    /// They are kept and reported.
    Disabled,
}

/// How drift is handled: live state that differs from the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// Drift is corrected at once.
    #[default]
    Correct,
    /// Drift is only reported.
    Report,
}

/// Fields of matching objects that the agent does not correct. An empty matcher matches any.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct IgnoreRule {
    /// The API group; empty: core.
    pub group: String,
    /// Kind, such as `Deployment`, without a version.
    pub kind: String,
    /// Namespace; empty: any, and objects without one.
    pub namespace: String,
    /// The full `metadata.name`; patterns are not supported.
    pub name: String,
    /// RFC 6901 pointers to the fields.
    pub json_pointers: Vec<String>,
    /// Field managers whose fields are left to them.
    pub field_managers: Vec<String>,
}

impl IgnoreRule {
    /// Whether the rule matches `object`.
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
    /// Whether its objects are deleted, within the agent's delete budget and protected kinds; otherwise they
    /// are kept.
    pub delete_objects: bool,
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    #[test]
    fn a_renderer_has_one_name_in_files_and_on_command_lines() {
        for renderer in Renderer::ALL {
            assert_eq!(renderer.as_str().parse::<Renderer>(), Ok(renderer));
            let name: StrDeserializer<'_, Error> = renderer.as_str().into_deserializer();
            assert_eq!(Renderer::deserialize(name), Ok(renderer));
        }
        assert_eq!(Renderer::listed("or"), "auto, plain, kustomize or helm");
        assert_eq!(
            "cue".parse::<Renderer>(),
            Err("known are auto, plain, kustomize and helm".to_owned())
        );
    }

    #[test]
    fn no_two_renderers_are_told_by_the_same() {
        let files = Renderer::ALL.into_iter().flat_map(Renderer::told_by);
        let files: Vec<&&str> = files.collect();
        let unlike: std::collections::BTreeSet<&&str> = files.iter().copied().collect();
        assert_eq!(unlike.len(), files.len(), "{files:?}");
        assert!(Renderer::Auto.may_be(Renderer::Helm) && Renderer::Helm.may_be(Renderer::Helm));
        assert!(!Renderer::Plain.may_be(Renderer::Helm));
    }
}
