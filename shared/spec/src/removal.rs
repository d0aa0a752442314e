//! Removals in the fleet file. An application that merely disappears from the file keeps its objects; only an entry
//! here removes it.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use serde::{Deserialize, Serialize};

use super::{Application, Spec};

/// Highest number of entries: those that are complete everywhere can be deleted.
pub(super) const MAX_REMOVALS: usize = 200;

/// The removal of an application from some places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Name of the application, which need not be declared.
    pub application: ApplicationName,
    /// Environments; empty: all.
    pub environments: BTreeSet<EnvironmentName>,
    /// Clusters of those environments; empty: all.
    pub clusters: BTreeSet<ClusterName>,
    /// What happens to its objects.
    pub objects: Objects,
}

/// What happens to the objects of a removed application.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Objects {
    /// Agents delete them, as far as their policy allows.
    #[default]
    Delete,
    /// They stay and are no longer managed.
    Keep,
}

/// Converts `keepObjects` of the fleet file, the wire and the command line.
impl From<bool> for Objects {
    fn from(keep_objects: bool) -> Self {
        match keep_objects {
            true => Self::Keep,
            false => Self::Delete,
        }
    }
}

/// A removal in the specification of an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopedRemoval {
    /// Clusters; empty: all of the environment.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clusters: BTreeSet<ClusterName>,
    /// What happens to its objects.
    #[serde(default)]
    pub objects: Objects,
}

/// Removals by application. No two of one application include the same cluster.
pub type Removals = BTreeMap<ApplicationName, Vec<ScopedRemoval>>;

impl Removal {
    /// Returns whether a cluster matches.
    #[must_use]
    pub fn matches(&self, cluster: &ClusterName, environment: &EnvironmentName) -> bool {
        (self.environments.is_empty() || self.environments.contains(environment))
            && (self.clusters.is_empty() || self.clusters.contains(cluster))
    }

    /// Returns whether both may include the same cluster.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.application == other.application
            && overlap(&self.environments, &other.environments)
            && overlap(&self.clusters, &other.clusters)
    }

    /// Returns whether the file contradicts itself: a cluster is to run the application and to lose it. What depends on
    /// labels, or on an environment that the file does not contain, is decided where it is known; there the declaration
    /// wins.
    pub(super) fn contradicts(&self, application: &Application, spec: &Spec) -> bool {
        let placement = &application.placement;
        if !overlap(&self.environments, &placement.environments) {
            return false;
        }
        let at = |cluster: &ClusterName| spec.clusters.get(cluster).map(|entry| &entry.environment);
        let within = |all: &BTreeSet<EnvironmentName>, cluster: &ClusterName| {
            all.is_empty() || at(cluster).is_some_and(|environment| all.contains(environment))
        };
        let is_both = |cluster: &&ClusterName| {
            within(&self.environments, cluster) && within(&placement.environments, cluster)
        };
        match (self.clusters.is_empty(), placement.clusters.is_empty()) {
            (true, true) => true,
            (true, false) => placement.clusters.iter().any(|cluster| is_both(&cluster)),
            (false, true) => {
                placement.selector.is_empty()
                    && self.clusters.iter().any(|cluster| is_both(&cluster))
            }
            (false, false) => self
                .clusters
                .intersection(&placement.clusters)
                .any(|cluster| is_both(&cluster)),
        }
    }
}

/// Returns whether two sets overlap, where an empty one stands for everything.
fn overlap<T: Ord>(these: &BTreeSet<T>, other: &BTreeSet<T>) -> bool {
    these.is_empty() || other.is_empty() || !these.is_disjoint(other)
}

impl Spec {
    /// Returns what happens to the objects of an application that a cluster is to lose; none: it is not to lose it.
    #[must_use]
    pub fn removal(
        &self,
        application: &ApplicationName,
        cluster: &ClusterName,
        environment: &EnvironmentName,
    ) -> Option<Objects> {
        let mut all = self.removed.iter();
        let found = all.find(|removal| {
            removal.application == *application && removal.matches(cluster, environment)
        });
        found.map(|removal| removal.objects)
    }

    /// Returns the removals of one environment; `mine` tells which clusters may be in it.
    pub(super) fn removals(
        &self,
        environment: &EnvironmentName,
        mine: impl Fn(&ClusterName) -> bool,
    ) -> Removals {
        let mut removals = Removals::new();
        for removal in &self.removed {
            let here =
                removal.environments.is_empty() || removal.environments.contains(environment);
            let mut clusters = removal.clusters.clone();
            clusters.retain(|cluster| mine(cluster));
            // If all listed clusters are elsewhere, the list is empty here; it must not be read as "all clusters".
            if !here || (clusters.is_empty() && !removal.clusters.is_empty()) {
                continue;
            }
            let removed = ScopedRemoval {
                clusters,
                objects: removal.objects,
            };
            removals
                .entry(removal.application.clone())
                .or_default()
                .push(removed);
        }
        // Their order in the file does not count.
        removals.values_mut().for_each(|all| all.sort());
        removals
    }
}

/// Returns what happens to the objects of an application that a cluster of the environment is to lose.
pub(super) fn removed_from(
    removals: &Removals,
    application: &ApplicationName,
    cluster: &ClusterName,
) -> Option<Objects> {
    let mut all = removals.get(application)?.iter();
    let found =
        all.find(|removal| removal.clusters.is_empty() || removal.clusters.contains(cluster));
    found.map(|removal| removal.objects)
}
