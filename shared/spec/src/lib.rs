//! The fleet file: what a person declares, checked as a whole before any of it is used.

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
pub use removal::{Objects, Removal, Removals, Removed};
pub use selector::{Selector, SelectorError};
pub use specification::{Declared, Difference, Specification, Touch};
pub use strategy::*;
pub use template::{PathTemplate, TemplateError};

/// Largest fleet file that a hub takes, bytes.
pub const MAX_FILE_BYTES: usize = 8 << 20;

/// Everything the hub was told, valid as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// The Git repositories, by name.
    pub repositories: BTreeMap<RepositoryName, Repository>,
    /// Environments, in the file's order (which is the order they are shown in).
    pub environments: Vec<Environment>,
    /// Clusters that the file places itself; it wins over what a token or a person said.
    pub clusters: BTreeMap<ClusterName, ClusterSpec>,
    /// By name; each says itself which clusters run it.
    pub applications: BTreeMap<ApplicationName, Application>,
    /// Applications that are taken away on purpose, in the file's order. An application that is in neither
    /// list keeps its objects, and nobody manages them.
    pub removed: Vec<Removal>,
    /// Pull requests of which the hub says beforehand what they would change, in the file's order.
    pub previews: Vec<Preview>,
}

impl Spec {
    /// An environment by name.
    #[must_use]
    pub fn environment(&self, name: &EnvironmentName) -> Option<&Environment> {
        self.environments
            .iter()
            .find(|environment| environment.name == *name)
    }

    /// The names of all environments, in the file's order.
    pub fn environment_names(&self) -> impl Iterator<Item = &str> {
        self.environments
            .iter()
            .map(|environment| environment.name.as_str())
    }

    /// The branches that must be known of each repository.
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

/// A Git repository that agents pull and the hub watches.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// What agents and hub dial; no credential is part of it.
    pub url: RepositoryUrl,
    /// Time between two looks; a jitter of a tenth is added.
    pub poll_interval: Duration,
}

/// An environment: a branch and what it promotes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// `dev` or `prod`; what promotions, placements and clusters refer to.
    pub name: EnvironmentName,
    /// The branch of every repository that this environment runs.
    pub branch: BranchName,
    /// The environment whose commits may come here.
    pub promotes_from: Option<EnvironmentName>,
    /// How a commit moves through it; none: to every cluster at once.
    pub strategy: Option<Strategy>,
    /// What must hold before it takes a commit.
    pub gates: Gates,
    /// Whether the hub itself moves the branch once the environment before has proven a commit.
    pub auto_promote: bool,
    /// Whether the hub takes the pull request that a promotion opened; none: a person does.
    pub merge: Option<Merge>,
}

/// How the hub takes a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Merge {
    /// By moving the branch to exactly the commit that was proven.
    FastForward,
}

/// A cluster that the file places.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSpec {
    /// Where it belongs.
    pub environment: EnvironmentName,
    /// For selectors and templates.
    pub labels: BTreeMap<String, String>,
}

/// An application: what to run, and where. All of it is part of its environments' specification, whose
/// changes are rolled out: a new field needs `#[serde(default, skip_serializing_if = ...)]`, so that what
/// a store holds can be read and keeps its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Its name in the fleet file's `repositories`.
    pub repository: RepositoryName,
    /// Which directory of it, per cluster.
    pub path: PathTemplate,
    /// How it is rendered.
    pub renderer: Renderer,
    /// What is said of its Helm chart, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<Helm>,
    /// Which clusters run it.
    pub placement: Placement,
    /// What must be healthy first.
    pub depends_on: Vec<ApplicationName>,
    /// For namespaced objects that name none.
    pub namespace: String,
    /// Whether cluster facts are substituted.
    pub substitute: bool,
    /// Pruning, drift, conflicts.
    pub sync_policy: SyncPolicy,
}

/// Which clusters run an application; empty parts match all, and all parts must match.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Placement {
    /// Any of these environments.
    pub environments: BTreeSet<EnvironmentName>,
    /// Any of these clusters.
    pub clusters: BTreeSet<ClusterName>,
    /// What must hold of a cluster's labels.
    pub selector: Selector,
}

impl Placement {
    /// Whether a cluster is meant.
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
