//! Reads the fleet file and checks everything that involves more than one key.

mod entries;
mod previews;
mod removed;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_shared::assignment::SyncPolicy;
use flotilla_shared::duration;
use flotilla_shared::id::ApplicationName;
use flotilla_yaml::config::{ConfigError, Located, mapping};

use self::entries::{ApplicationEntry, ClusterEntry, EnvironmentEntry, FleetFile, RepositoryEntry};
use super::strategy::{Strategy, misfits};
use super::{Application, ClusterSpec, Environment, PathTemplate, Placement, Repository, Spec};

/// Reads and checks a fleet file.
///
/// # Errors
/// Every problem that was found, each with file, line and key; a file with one is not used at all.
pub fn parse(name: &str, text: &str) -> Result<Spec, Vec<ConfigError>> {
    let file: Located<FleetFile> = mapping(
        name,
        text,
        &[
            "repositories",
            "environments",
            "clusters",
            "applications",
            "removed",
            "previews",
        ],
    )
    .map_err(|error| vec![error])?;
    let mut checker = Checker {
        file: &file,
        errors: Vec::new(),
        spec: Spec::default(),
    };
    checker.all();
    if checker.errors.is_empty() {
        Ok(checker.spec)
    } else {
        Err(checker.errors)
    }
}

struct Checker<'f> {
    file: &'f Located<FleetFile>,
    errors: Vec<ConfigError>,
    spec: Spec,
}

impl<'f> Checker<'f> {
    fn error(&mut self, path: &str, message: impl Into<String>) {
        self.errors.push(self.file.error(path, message));
    }

    fn all(&mut self) {
        let file = &self.file.value;
        if file.api_version != "flotilla.dev/v1alpha1" {
            self.error("apiVersion", "it must be flotilla.dev/v1alpha1");
        }
        if file.kind != "Fleet" {
            self.error("kind", "it must be Fleet");
        }
        for (index, entry) in file.repositories.iter().enumerate() {
            self.repository(&format!("repositories[{index}]"), entry);
        }
        for (index, entry) in file.environments.iter().enumerate() {
            self.environment(&format!("environments[{index}]"), entry);
        }
        for (index, entry) in file.clusters.iter().enumerate() {
            self.cluster(&format!("clusters[{index}]"), entry);
        }
        for (index, entry) in file.applications.iter().enumerate() {
            self.application(&format!("applications[{index}]"), entry);
        }
        self.references();
        self.removals();
        self.previews();
    }

    fn duration(&mut self, path: &str, text: Option<&String>, default: Duration) -> Duration {
        let Some(text) = text else {
            return default;
        };
        match duration::read(text) {
            Ok(duration) => duration,
            Err(error) => {
                self.error(path, error.to_string());
                default
            }
        }
    }

    fn repository(&mut self, path: &str, entry: &'f RepositoryEntry) {
        let poll_interval = self.duration(
            &format!("{path}.pollInterval"),
            entry.poll_interval.as_ref(),
            Duration::from_secs(30),
        );
        if poll_interval < Duration::from_secs(1) {
            self.error(&format!("{path}.pollInterval"), "it must be at least 1s");
        }
        if entry.name.is_fleet_file() {
            let message = "fleet-file is reserved for this file itself: choose another name";
            self.error(&format!("{path}.name"), message);
        }
        let repository = Repository {
            url: entry.url.clone(),
            poll_interval,
        };
        if self
            .spec
            .repositories
            .insert(entry.name.clone(), repository)
            .is_some()
        {
            self.error(
                &format!("{path}.name"),
                format!("repository {} is listed twice", entry.name),
            );
        }
    }

    fn environment(&mut self, path: &str, entry: &'f EnvironmentEntry) {
        if self.spec.environment(&entry.name).is_some() {
            let message = format!("environment {} is listed twice", entry.name);
            self.error(&format!("{path}.name"), message);
        }
        let taken = self
            .spec
            .environments
            .iter()
            .find(|other| other.branch == entry.branch);
        if let Some(other) = taken.map(|other| other.name.clone()) {
            let message = format!("branch {} is already used by {other}", entry.branch);
            self.error(&format!("{path}.branch"), message);
        }
        let mut problems = Vec::new();
        let gates = entry.gates.as_ref().map(|gates| gates.read(&mut problems));
        self.problems(&format!("{path}.gates"), &mut problems);
        // Gates need a rollout that they can hold back: without a strategy, one wave with all clusters.
        let strategy = match &entry.strategy {
            Some(strategy) => Some(strategy.read(&mut problems)),
            None => gates.is_some().then(Strategy::default),
        };
        self.problems(&format!("{path}.strategy"), &mut problems);
        if entry.auto_promote && entry.promotes_from.is_none() {
            self.error(&format!("{path}.autoPromote"), "it needs promotesFrom");
        }
        if entry.merge.is_some() && entry.promotes_from.is_none() {
            self.error(&format!("{path}.merge"), "it needs promotesFrom");
        }
        if entry.merge.is_some() && entry.auto_promote {
            let message =
                "autoPromote moves the branch without a pull request: leave one of them out";
            self.error(&format!("{path}.merge"), message);
        }
        self.spec.environments.push(Environment {
            name: entry.name.clone(),
            branch: entry.branch.clone(),
            promotes_from: entry.promotes_from.clone(),
            strategy,
            gates: gates.unwrap_or_default(),
            auto_promote: entry.auto_promote,
            merge: entry.merge,
        });
    }

    fn problems(&mut self, path: &str, problems: &mut Vec<(String, String)>) {
        for (key, message) in problems.drain(..) {
            self.error(&format!("{path}.{key}"), message);
        }
    }

    fn cluster(&mut self, path: &str, entry: &'f ClusterEntry) {
        if self.spec.environment(&entry.environment).is_none() {
            let message = format!("there is no environment {}", entry.environment);
            self.error(&format!("{path}.environment"), message);
        }
        let cluster = ClusterSpec {
            environment: entry.environment.clone(),
            labels: entry.labels.clone(),
        };
        if self
            .spec
            .clusters
            .insert(entry.name.clone(), cluster)
            .is_some()
        {
            self.error(
                &format!("{path}.name"),
                format!("cluster {} is listed twice", entry.name),
            );
        }
    }

    fn application(&mut self, path: &str, entry: &'f ApplicationEntry) {
        if !self.spec.repositories.contains_key(&entry.repository) {
            let message = format!("there is no repository {}", entry.repository);
            self.error(&format!("{path}.repository"), message);
        }
        for environment in &entry.placement.environments {
            if self.spec.environment(environment).is_none() {
                let message = format!("there is no environment {environment}");
                self.error(&format!("{path}.placement.environments"), message);
            }
        }
        let template = match PathTemplate::parse(&entry.path) {
            Ok(template) => template,
            Err(error) => return self.error(&format!("{path}.path"), error.to_string()),
        };
        let selector = match entry.placement.selector.parse() {
            Ok(selector) => selector,
            Err(error) => {
                return self.error(&format!("{path}.placement.selector"), format!("{error}"));
            }
        };
        let mut problems = Vec::new();
        let helm = entry.helm.as_ref();
        let helm = helm.map(|helm| helm.read(entry.renderer, &mut problems));
        self.problems(path, &mut problems);
        let policy = &entry.sync_policy;
        let health_timeout = self.duration(
            &format!("{path}.syncPolicy.healthTimeout"),
            policy.health_timeout.as_ref(),
            Duration::ZERO,
        );
        let application = Application {
            repository: entry.repository.clone(),
            path: template,
            renderer: entry.renderer,
            helm,
            placement: Placement {
                environments: entry.placement.environments.clone(),
                clusters: entry.placement.clusters.clone(),
                selector,
            },
            depends_on: entry.depends_on.clone(),
            namespace: entry.namespace.clone(),
            substitute: entry.substitute,
            sync_policy: SyncPolicy {
                prune: policy.prune,
                drift: policy.drift,
                force_conflicts: policy.force_conflicts,
                health_timeout_seconds: u32::try_from(health_timeout.as_secs()).unwrap_or(u32::MAX),
                ignore: policy.ignore.clone(),
            },
        };
        if self
            .spec
            .applications
            .insert(entry.name.clone(), application)
            .is_some()
        {
            let message = format!("application {} is listed twice", entry.name);
            self.error(&format!("{path}.name"), message);
        }
    }

    /// Checks that what gates refer to exists.
    fn gates(&mut self) {
        let environments = self.spec.environments.iter();
        let wrong: Vec<_> = environments
            .map(|environment| misfits(environment, &self.spec))
            .collect();
        for (index, mut problems) in wrong.into_iter().enumerate() {
            self.problems(&format!("environments[{index}].gates"), &mut problems);
        }
    }

    fn references(&mut self) {
        self.gates();
        for (index, entry) in self.file.value.environments.iter().enumerate() {
            let path = format!("environments[{index}].promotesFrom");
            let mut seen = BTreeSet::from([&entry.name]);
            let mut next = entry.promotes_from.as_ref();
            while let Some(name) = next {
                let Some(found) = self.spec.environment(name) else {
                    self.error(&path, format!("there is no environment {name}"));
                    break;
                };
                if !seen.insert(name) {
                    self.error(&path, "environments promote in a cycle");
                    break;
                }
                let from = found.promotes_from.clone();
                next = self
                    .file
                    .value
                    .environments
                    .iter()
                    .find(|other| other.name == *name)
                    .and_then(|other| other.promotes_from.as_ref())
                    .filter(|_| from.is_some());
            }
        }
        let edges: BTreeMap<&ApplicationName, &Vec<ApplicationName>> = self
            .file
            .value
            .applications
            .iter()
            .map(|entry| (&entry.name, &entry.depends_on))
            .collect();
        for (index, entry) in self.file.value.applications.iter().enumerate() {
            let path = format!("applications[{index}].dependsOn");
            for name in &entry.depends_on {
                if !edges.contains_key(name) {
                    self.error(&path, format!("there is no application {name}"));
                }
            }
            let mut seen = BTreeSet::new();
            let mut open: Vec<&ApplicationName> = entry.depends_on.iter().collect();
            while let Some(name) = open.pop() {
                if *name == entry.name {
                    self.error(&path, format!("{name} depends on itself"));
                    break;
                }
                if seen.insert(name) {
                    open.extend(edges.get(name).into_iter().copied().flatten());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
