//! What an environment's applications are declared as: a revision of its own, which has a digest like a
//! commit, is kept like one, and comes to clusters by rollouts like one. Pure.

mod difference;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::chart::ChartOptions;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl, TreePath};
use serde::{Deserialize, Serialize};

use super::removal::{Objects, Removals, removed_from};
use super::{Application, Spec, TemplateError};

pub use difference::{Difference, Touch};

/// Labels of a cluster.
type Labels = BTreeMap<String, String>;

/// Everything in the fleet file that decides what the clusters of one environment are assigned, apart from
/// commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Specification {
    /// The branch of every repository.
    pub branch: BranchName,
    /// Applications that may be placed in the environment.
    pub applications: BTreeMap<ApplicationName, Declared>,
    /// Labels that the file gives to clusters of the environment.
    pub labels: BTreeMap<ClusterName, Labels>,
    /// What is taken away on purpose.
    #[serde(default, skip_serializing_if = "Removals::is_empty")]
    pub removed: Removals,
}

/// An application with what belongs to it elsewhere in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// Where its repository is.
    pub url: RepositoryUrl,
    /// The application as the fleet file declares it.
    pub application: Application,
}

impl Specification {
    /// What a file says of an environment. An application that names clusters belongs to it as long as one of
    /// them may be there.
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
            // Where else it is placed is no matter of this environment, and the order of these means nothing.
            application.placement.environments.clear();
            application
                .placement
                .clusters
                .retain(|cluster| mine(cluster));
            application.depends_on.sort();
            application.depends_on.dedup();
            application.sync_policy.ignore.sort();
            let url = repository.url.clone();
            applications.insert(name.clone(), Declared { url, application });
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

    /// Its name among revisions: a digest over all of it, whatever the order and form of the file.
    #[must_use]
    pub fn revision(&self) -> Option<Commit> {
        let text = serde_json::to_vec(self).ok()?;
        Digest::of(&text).to_string().parse().ok()
    }

    /// The repositories that it takes anything from.
    #[must_use]
    pub fn repositories(&self) -> BTreeSet<&RepositoryName> {
        let all = self.applications.values();
        all.map(|declared| &declared.application.repository)
            .collect()
    }

    /// The directory of an application on a cluster, and what its chart is rendered with; none: it is not
    /// placed there.
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

    /// What becomes of the objects of an application that a cluster is to lose; none: it is not to lose it,
    /// or runs it by what is declared.
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
