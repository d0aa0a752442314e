//! The declarations for an environment: a revision of its own, which has a digest like a commit, is stored like one,
//! and reaches clusters by rollouts like one. Pure.

mod difference;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::chart::ChartOptions;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl, TreePath};
use serde::{Deserialize, Serialize};

use super::removal::{Objects, Removals, removed_from};
use super::{Application, Spec, TemplateError};

pub use difference::{ClusterImpact, Difference};

/// Labels of a cluster, by key.
type Labels = BTreeMap<String, String>;

/// Everything in the fleet file that determines the assignments of an environment's clusters, apart from commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Specification {
    /// The branch of every repository.
    pub branch: BranchName,
    /// Applications that may be placed in the environment.
    pub applications: BTreeMap<ApplicationName, DeclaredApplication>,
    /// Labels that the file gives to clusters of the environment.
    pub labels: BTreeMap<ClusterName, Labels>,
    /// Removals, by application.
    #[serde(default, skip_serializing_if = "Removals::is_empty")]
    pub removed: Removals,
}

/// An application with the settings that belong to it elsewhere in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredApplication {
    /// URL of its repository.
    pub url: RepositoryUrl,
    /// The application as the fleet file declares it.
    pub application: Application,
}

impl Specification {
    /// Returns the specification of an environment. An application that lists clusters belongs to it as long as one of
    /// them may be in the environment.
    #[must_use]
    pub fn of(
        spec: &Spec,
        environment: &EnvironmentName,
        place: impl Fn(&ClusterName) -> Option<EnvironmentName>,
    ) -> Option<Self> {
        let declared = spec.environment(environment)?;
        let mine = |cluster: &ClusterName| place(cluster).is_none_or(|at| at == *environment);
        let mut applications = BTreeMap::new();
        for (name, application) in &spec.applications {
            let placement = &application.placement;
            let here = (placement.environments.is_empty()
                || placement.environments.contains(environment))
                && (placement.clusters.is_empty() || placement.clusters.iter().any(&mine));
            let (true, Some(repository)) = (here, spec.repositories.get(&application.repository))
            else {
                continue;
            };
            let mut application = application.clone();
            // Placement in other environments is not part of this specification, and the order of lists does not count.
            application.placement.environments.clear();
            application
                .placement
                .clusters
                .retain(|cluster| mine(cluster));
            application.depends_on.sort();
            application.depends_on.dedup();
            application.sync_policy.ignore.sort();
            let url = repository.url.clone();
            applications.insert(name.clone(), DeclaredApplication { url, application });
        }
        let labels = spec.clusters.iter();
        let labels = labels.filter(|(_, cluster)| cluster.environment == *environment);
        Some(Self {
            branch: declared.branch.clone(),
            applications,
            labels: labels
                .map(|(name, cluster)| (name.clone(), cluster.labels.clone()))
                .collect(),
            removed: spec.removals(environment, mine),
        })
    }

    /// Returns its revision: a digest over all of it, independent of order and layout of the file.
    #[must_use]
    pub fn revision(&self) -> Option<Commit> {
        let text = serde_json::to_vec(self).ok()?;
        Digest::of(&text).to_string().parse().ok()
    }

    /// Returns the repositories of its applications.
    #[must_use]
    pub fn repositories(&self) -> BTreeSet<&RepositoryName> {
        let all = self.applications.values();
        all.map(|declared| &declared.application.repository)
            .collect()
    }

    /// Returns the directory of an application on a cluster, and the options of its chart; none: it is not placed
    /// there.
    #[must_use]
    pub fn place(
        &self,
        application: &ApplicationName,
        (cluster, environment): (&ClusterName, &EnvironmentName),
        labels: &Labels,
    ) -> Option<Result<(TreePath, Option<ChartOptions>), TemplateError>> {
        let application = &self.applications.get(application)?.application;
        let placement = &application.placement;
        placement.matches(cluster, environment, labels).then(|| {
            let path = application.path.fill(cluster, environment, labels)?;
            let helm = application.helm.as_ref();
            let helm = helm.map(|helm| helm.fill(&path, cluster, environment, labels));
            Ok((path, helm.transpose()?))
        })
    }

    /// Returns what happens to the objects of an application that a cluster is to lose; none: it is not to lose it, or
    /// the declarations place it there.
    #[must_use]
    pub fn removes(
        &self,
        application: &ApplicationName,
        (cluster, environment): (&ClusterName, &EnvironmentName),
        labels: &Labels,
    ) -> Option<Objects> {
        let placement = self.applications.get(application);
        let placement = placement.map(|declared| &declared.application.placement);
        if placement.is_some_and(|placement| placement.matches(cluster, environment, labels)) {
            return None;
        }
        removed_from(&self.removed, application, cluster)
    }
}

#[cfg(test)]
mod tests;
