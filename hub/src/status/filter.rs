//! Filters of clusters.

use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::wire::MAX_TOKEN_BYTES;
use jiff::Timestamp;

use super::summary;
use crate::fleet::Fleet;
use crate::spec::{Selector, SelectorError};
use crate::suggestion::missing;

/// A request's filter; empty parts match everything, and all parts must match.
#[derive(Debug, Clone, Default)]
pub struct FilterRequest {
    /// Environments, any of which matches.
    pub environments: Vec<String>,
    /// Names of clusters, any of which matches.
    pub clusters: Vec<String>,
    /// Applications, any of which has to be placed on it.
    pub applications: Vec<String>,
    /// A selector for its labels, in the syntax of Kubernetes.
    pub selector: String,
    /// Whether only clusters match that are not synced, healthy and online.
    pub not_ready: bool,
}

/// A parsed filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    requested: FilterRequest,
    selector: Selector,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// When the selector is malformed.
    pub fn parse(requested: FilterRequest) -> Result<Self, SelectorError> {
        if requested.selector.len() > 16 * MAX_TOKEN_BYTES {
            return Err(SelectorError {
                part: "a selector over 4 KiB".to_owned(),
            });
        }
        let selector = requested.selector.parse()?;
        Ok(Self {
            requested,
            selector,
        })
    }

    /// Returns the first requested name that does not exist: an answer without clusters would look as if all were fine.
    #[must_use]
    pub fn unknown(&self, fleet: &Fleet) -> Option<String> {
        self.unknown_place(fleet).or_else(|| {
            let clusters = fleet.clusters();
            let mut names = self.requested.clusters.iter();
            let name = names.find(|name| !clusters.contains_key(name.as_str()))?;
            let others = clusters.keys().map(ClusterName::as_str);
            Some(missing("cluster", name, others))
        })
    }

    /// Like [`Filter::unknown`], for environments and applications alone.
    #[must_use]
    pub fn unknown_place(&self, fleet: &Fleet) -> Option<String> {
        let spec = fleet.spec();
        let environment = self
            .requested
            .environments
            .iter()
            .find(|name| !spec.environment_names().any(|known| known == name.as_str()))
            .map(|name| missing("environment", name, spec.environment_names()));
        let application = self
            .requested
            .applications
            .iter()
            .find(|name| !spec.applications.contains_key(name.as_str()))
            .map(|name| {
                let names = spec.applications.keys().map(ApplicationName::as_str);
                missing("application", name, names)
            });
        environment.or(application)
    }

    /// Returns whether a cluster matches.
    #[must_use]
    pub fn matches(&self, fleet: &Fleet, name: &ClusterName, now: Timestamp) -> bool {
        let Some(cluster) = fleet.clusters().get(name) else {
            return false;
        };
        let any = |requested: &[String], have: &str| {
            requested.is_empty() || requested.iter().any(|name| name == have)
        };
        let environment = fleet
            .environment_of(name)
            .map(|e| e.to_string())
            .unwrap_or_default();
        let applications = &self.requested.applications;
        any(&self.requested.environments, &environment)
            && any(&self.requested.clusters, name.as_str())
            && (applications.is_empty()
                || cluster
                    .placed
                    .keys()
                    .any(|app| applications.iter().any(|a| a == app.as_str())))
            && self.selector.matches(&fleet.labels_of(name))
            && (!self.requested.not_ready || !summary(cluster, now).current)
    }
}
