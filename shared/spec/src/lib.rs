//! The fleet file: declarations of a fleet, checked as a whole before any of it is used.

mod edit;
mod file;
#[cfg(test)]
mod fixture;
mod helm;
mod never;
mod preview;
mod removal;
mod selector;
mod specification;
mod strategy;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_shared::assignment::{Renderer, SyncPolicy};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::{BranchName, RepositoryUrl};
use serde::{Deserialize, Serialize};

pub use edit::{EditError, remove_application};
pub use file::parse;
pub use helm::Helm;
pub use never::can_never_work;
pub use preview::{Preview, Role};
pub use removal::{Objects, Removal, Removals, ScopedRemoval};
pub use selector::{Selector, SelectorError};
pub use specification::{ClusterImpact, DeclaredApplication, Difference, Specification};
pub use strategy::*;
pub use template::{PathTemplate, TemplateError};

/// Largest fleet file that a hub accepts, bytes.
pub const MAX_FILE_BYTES: usize = 8 << 20;

/// The content of a fleet file, valid as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// The Git repositories, by name.
    pub repositories: BTreeMap<RepositoryName, Repository>,
    /// Environments, in the file's order (which is the order they are shown in).
    pub environments: Vec<Environment>,
    /// Clusters that the file places; it overrides tokens and operators.
    pub clusters: BTreeMap<ClusterName, ClusterSpec>,
    /// The applications, by name; each has its own placement.
    pub applications: BTreeMap<ApplicationName, Application>,
    /// Applications that are removed on purpose, in the file's order. An application in neither list keeps its objects,
    /// which are then unmanaged.
    pub removed: Vec<Removal>,
    /// Pull requests for which the hub comments what they would change, in the file's order.
    pub previews: Vec<Preview>,
}

impl Spec {
    /// Returns an environment by name.
    #[must_use]
    pub fn environment(&self, name: &EnvironmentName) -> Option<&Environment> {
        self.environments
            .iter()
            .find(|environment| environment.name == *name)
    }

    /// Returns the names of all environments, in the file's order.
    pub fn environment_names(&self) -> impl Iterator<Item = &str> {
        self.environments
            .iter()
            .map(|environment| environment.name.as_str())
    }

    /// Returns the branches that are needed of each repository.
    #[must_use]
    pub fn branches(&self) -> BTreeMap<RepositoryName, BTreeSet<BranchName>> {
        let branches: BTreeSet<BranchName> = self
            .environments
            .iter()
            .map(|environment| environment.branch.clone())
            .collect();
        self.repositories
            .keys()
            .map(|name| (name.clone(), branches.clone()))
            .collect()
    }
}

/// A Git repository that agents pull and the hub polls.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// URL for agents and hub, without credentials.
    pub url: RepositoryUrl,
    /// Time between two polls; a jitter of a tenth is added.
    pub poll_interval: Duration,
}

/// An environment: a branch and what it promotes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Its name, such as `dev` or `prod`.
    pub name: EnvironmentName,
    /// The branch that it follows in every repository.
    pub branch: BranchName,
    /// The environment that it promotes from; none: it is the first one.
    pub promotes_from: Option<EnvironmentName>,
    /// Its rollout strategy; none: a commit reaches every cluster at once.
    pub strategy: Option<Strategy>,
    /// Gates that must be open before a commit is rolled out.
    pub gates: Gates,
    /// Whether the hub moves the branch once the environment before has proven a commit.
    pub auto_promote: bool,
    /// How the hub merges the pull request of a promotion; none: a person does.
    pub merge: Option<Merge>,
}

/// How the hub merges a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Merge {
    /// By moving the branch to exactly the commit that was proven.
    FastForward,
}

/// A cluster that the file places.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSpec {
    /// Its environment.
    pub environment: EnvironmentName,
    /// Its labels, for selectors and templates.
    pub labels: BTreeMap<String, String>,
}

/// An application and its placement. All of it is part of its environments' specification, whose changes are rolled
/// out: a new field needs `#[serde(default, skip_serializing_if = ...)]`, so that stored specifications can be read and
/// keep their digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Name of its repository in the fleet file.
    pub repository: RepositoryName,
    /// Its directory in the repository, per cluster.
    pub path: PathTemplate,
    /// The renderer.
    pub renderer: Renderer,
    /// Settings of its Helm chart, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<Helm>,
    /// Which clusters run it.
    pub placement: Placement,
    /// Applications that must be healthy first.
    pub depends_on: Vec<ApplicationName>,
    /// Namespace for namespaced objects without one.
    pub namespace: String,
    /// Whether variables of the cluster are substituted.
    pub substitute: bool,
    /// Policy for pruning, drift and conflicts.
    pub sync_policy: SyncPolicy,
}

/// Placement of an application; empty parts match all clusters, and all parts must match.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Placement {
    /// Environments, any of which matches.
    pub environments: BTreeSet<EnvironmentName>,
    /// Clusters, any of which matches.
    pub clusters: BTreeSet<ClusterName>,
    /// Selector for a cluster's labels.
    pub selector: Selector,
}

impl Placement {
    /// Returns whether a cluster matches.
    #[must_use]
    pub fn matches(
        &self,
        cluster: &ClusterName,
        environment: &EnvironmentName,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        (self.environments.is_empty() || self.environments.contains(environment))
            && (self.clusters.is_empty() || self.clusters.contains(cluster))
            && self.selector.matches(labels)
    }
}
