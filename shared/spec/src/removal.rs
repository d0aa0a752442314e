//! What the fleet file takes away on purpose. An application that merely vanishes from the file keeps its
//! objects; only an entry here removes it.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use serde::{Deserialize, Serialize};

use super::{Application, Spec};

/// Most entries: what was carried out everywhere may leave the file.
pub(super) const MAX_REMOVALS: usize = 200;

/// An application that is to run nowhere in some places any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Which one; it need not be known.
    pub application: ApplicationName,
    /// Where; none: in every environment.
    pub environments: BTreeSet<EnvironmentName>,
    /// Which clusters of them; none: all.
    pub clusters: BTreeSet<ClusterName>,
    /// What becomes of its objects.
    pub objects: Objects,
}

/// What becomes of the objects of an application that is removed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Objects {
    /// Agents delete them, as far as their own policy lets them.
    #[default]
    Delete,
    /// They stay, and nobody manages them any more.
    Keep,
}

/// From `keepObjects`, as the fleet file, the wire and the command line say it.
impl From<bool> for Objects {
    fn from(keep_objects: bool) -> Self {
        match keep_objects {
            true => Self::Keep,
            false => Self::Delete,
        }
    }
}

/// A removal as an environment's specification has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Which clusters; none: all of the environment.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clusters: BTreeSet<ClusterName>,
    /// What becomes of its objects.
    #[serde(default)]
    pub objects: Objects,
}

/// Removals by application. No two of one application mean the same cluster.
pub type Removals = BTreeMap<ApplicationName, Vec<Removed>>;

impl Removal {
    /// Whether a cluster is meant.
    #[must_use]
    pub fn matches(&self, cluster: &ClusterName, environment: &EnvironmentName) -> bool {
        (self.environments.is_empty() || self.environments.contains(environment))
            && (self.clusters.is_empty() || self.clusters.contains(cluster))
    }

    /// Whether both may mean one cluster.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.application == other.application
            && overlap(&self.environments, &other.environments)
            && overlap(&self.clusters, &other.clusters)
    }

    /// Whether, by what the file says, a cluster is to run the application and to lose it: then the file
    /// contradicts itself. What only labels decide, or a place that the file does not name, is decided where
    /// it is known, and there what is declared wins.
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

/// Whether two sets have something in common, where an empty one is everything.
fn overlap<T: Ord>(these: &BTreeSet<T>, other: &BTreeSet<T>) -> bool {
    these.is_empty() || other.is_empty() || !these.is_disjoint(other)
}

impl Spec {
    /// What becomes of the objects of an application that a cluster is to lose; none: it is not to lose it.
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

    /// The removals of one environment; `mine` says which clusters may be there.
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
            // Of clusters that are all elsewhere nothing is left, which does not mean everybody.
            if !here || (clusters.is_empty() && !removal.clusters.is_empty()) {
                continue;
            }
            let removed = Removed {
                clusters,
                objects: removal.objects,
            };
            removals
                .entry(removal.application.clone())
                .or_default()
                .push(removed);
        }
        // Their order in the file means nothing.
        removals.values_mut().for_each(|all| all.sort());
        removals
    }
}

/// What becomes of the objects of an application that a cluster of the environment is to lose.
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
