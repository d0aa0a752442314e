//! A fleet file that is edited in every way, and its meaning for each cluster, computed independently of the hub.

use super::*;

pub(super) const ENVIRONMENTS: [&str; 3] = ["dev", "stage", "prod"];
/// Repositories that can be read; the file also names one that cannot.
pub(super) const REPOSITORIES: [&str; 2] = ["fleet", "other"];

/// An application in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct App {
    pub(super) repository: &'static str,
    pub(super) path: String,
    pub(super) namespace: String,
    pub(super) timeout: u32,
    /// Its environments; empty: all.
    pub(super) environments: Vec<&'static str>,
    /// Its clusters; empty: all.
    pub(super) clusters: Vec<String>,
    /// Required label; empty: none.
    pub(super) tier: &'static str,
}

impl App {
    pub(super) fn new(repository: &'static str, path: &str) -> Self {
        Self {
            repository,
            path: path.to_owned(),
            namespace: String::new(),
            timeout: 300,
            environments: Vec::new(),
            clusters: Vec::new(),
            tier: "",
        }
    }
}

/// How an environment rolls out commits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strategy {
    pub(super) mode: &'static str,
    pub(super) failure: &'static str,
    /// Whether prod's second wave needs approvals.
    pub(super) asks: bool,
    /// Whether prod has two waves besides its rest.
    pub(super) has_waves: bool,
}

/// A cluster in the file: its environment, and the label `tier`.
pub(super) type Entry = (&'static str, Option<&'static str>);

/// A removed application in the file: where it is removed, and whether its objects stay.
pub(super) type Removal = (Option<&'static str>, bool);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    pub(super) apps: BTreeMap<&'static str, App>,
    pub(super) removed: BTreeMap<&'static str, Removal>,
    pub(super) clusters: BTreeMap<ClusterName, Entry>,
    /// Strategy of the environment; none: commits reach all clusters at once.
    pub(super) stage: Option<Strategy>,
    /// Strategy of the environment; none: the environment does not exist.
    pub(super) prod: Option<Strategy>,
}

/// What a cluster is to run of an application, apart from the commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Definition {
    pub(super) repository: String,
    pub(super) branch: String,
    pub(super) path: String,
    pub(super) namespace: String,
    pub(super) timeout: u32,
}

impl Definition {
    pub(super) fn of(application: &flotilla_shared::assignment::ApplicationAssignment) -> Self {
        Self {
            repository: application.revision.repository.to_string(),
            branch: application.revision.branch.to_string(),
            path: application.path.to_string(),
            namespace: application.namespace.clone(),
            timeout: application.sync_policy.health_timeout_seconds,
        }
    }
}

impl File {
    /// The file at the start.
    pub(super) fn new(mode: &'static str) -> Self {
        let strategy = |failure| Strategy {
            mode,
            failure,
            asks: false,
            has_waves: true,
        };
        Self {
            apps: [
                ("web", App::new("fleet", "apps/web/{environment}")),
                ("db", App::new("fleet", "apps/db")),
            ]
            .into(),
            removed: BTreeMap::new(),
            clusters: BTreeMap::new(),
            stage: Some(strategy("rollback")),
            prod: Some(strategy("halt")),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://git.example.com/fleet.git'}
- {name: other, url: 'https://git.example.com/other.git'}
- {name: lost, url: 'https://git.example.com/lost.git'}
environments:
- {name: dev, branch: dev}
- name: stage
  branch: stage
  promotesFrom: dev
"
        .to_owned();
        if let Some(Strategy { mode, failure, .. }) = &self.stage {
            text.push_str(&format!(
                "  strategy: {{onFailure: {failure}, onNewCommit: {mode}, maxConcurrent: 2, soak: 5s, \
                 progressDeadline: 60s}}\n"
            ));
        }
        if let Some(strategy) = &self.prod {
            let approvals = if strategy.asks { ", approvals: 1" } else { "" };
            let waves = match strategy.has_waves {
                true => format!(
                    "[{{name: canary, selector: tier=canary}}, {{name: half, share: '50%'{approvals}}}]"
                ),
                false => format!("[{{name: half, share: '50%'{approvals}}}]"),
            };
            text.push_str(&format!(
                "- name: prod
  branch: prod
  promotesFrom: stage
  gates: {{proof: {{soak: 3s, offline: 1}}}}
  strategy:
    onFailure: {}
    onNewCommit: {}
    waves: {waves}
    maxConcurrent: 50%
    soak: 10s
    progressDeadline: 60s
    budgets: {{failed: 1, offline: 1, unavailable: 1}}
",
                strategy.failure, strategy.mode
            ));
        }
        text.push_str("clusters:\n");
        for (name, (environment, tier)) in &self.clusters {
            let labels = tier.map_or(String::new(), |tier| format!(", labels: {{tier: {tier}}}"));
            text.push_str(&format!(
                "- {{name: {name}, environment: {environment}{labels}}}\n"
            ));
        }
        text.push_str("applications:\n");
        for (name, app) in &self.apps {
            text.push_str(&format!(
                "- {{name: {name}, repository: {}, path: '{}', namespace: '{}', syncPolicy: {{healthTimeout: {}s}}, \
                 placement: {{environments: [{}], clusters: [{}], selector: '{}'}}}}\n",
                app.repository,
                app.path,
                app.namespace,
                app.timeout,
                app.environments.join(", "),
                app.clusters.join(", "),
                match app.tier {
                    "" => String::new(),
                    tier => format!("tier={tier}"),
                }
            ));
        }
        text.push_str("removed:\n");
        for (name, (environment, keeps)) in &self.removed {
            let place = environment.map_or(String::new(), |environment| {
                format!(", environments: [{environment}]")
            });
            let keeps = if *keeps { ", keepObjects: true" } else { "" };
            text.push_str(&format!("- {{application: {name}{place}{keeps}}}\n"));
        }
        // Empty sections are left out.
        text.replace("clusters:\napplications", "applications")
            .replace("applications:\nremoved", "removed")
            .trim_end_matches("removed:\n")
            .to_owned()
    }

    pub(super) fn has(&self, environment: &str) -> bool {
        environment != "prod" || self.prod.is_some()
    }

    /// Returns whether an application is removed in an environment, and whether its objects stay; none: it is not
    /// removed.
    pub(super) fn removal(&self, app: &str, environment: &str) -> Option<bool> {
        let (place, keeps) = self.removed.get(app)?;
        place
            .is_none_or(|place| place == environment)
            .then_some(*keeps)
    }
}

/// A declared file, with the clusters that were in other environments than the one in question.
#[derive(Debug, Clone)]
pub(super) struct Meaning {
    pub(super) file: File,
    pub(super) elsewhere: BTreeSet<ClusterName>,
}

/// A cluster as its own record and the present file describe it.
pub(super) struct ClusterView<'p> {
    pub(super) name: &'p ClusterName,
    pub(super) environment: &'p str,
    pub(super) record: &'p ClusterRecord,
    pub(super) present: &'p File,
}

impl Meaning {
    /// Returns the label `tier` of a cluster: that of the file, or else that of its record. For a cluster that the file
    /// does not name only the record counts, unless the present file brought it here.
    fn tier(&self, place: &ClusterView<'_>) -> Option<String> {
        let own = place.record.labels.get("tier").cloned();
        let declared = |file: &File| {
            let entry = file.clusters.get(place.name);
            let entry = entry.filter(|(environment, _)| *environment == place.environment);
            entry.map(|(_, tier)| tier.map(str::to_owned))
        };
        let at = place.record.environment.as_ref();
        let is_own = at.is_some_and(|at| at.as_str() == place.environment);
        match declared(&self.file) {
            Some(tier) => tier.or(own),
            None if is_own => own,
            None => declared(place.present).flatten().or(own),
        }
    }

    /// Returns whether it places an application on a cluster.
    pub(super) fn places(&self, app: &str, place: &ClusterView<'_>) -> bool {
        let Some(app) = self.file.apps.get(app) else {
            return false;
        };
        let mine = |name: &&String| !self.elsewhere.contains(name.as_str());
        (app.environments.is_empty() || app.environments.contains(&place.environment))
            && (app.clusters.is_empty()
                || app
                    .clusters
                    .iter()
                    .filter(mine)
                    .any(|name| *name == place.name.as_str()))
            && (app.tier.is_empty() || self.tier(place).as_deref() == Some(app.tier))
    }

    /// Returns its definition of an application for a cluster on which it places it; none: it cannot be computed.
    pub(super) fn defines(&self, name: &str, place: &ClusterView<'_>) -> Option<Definition> {
        let app = self
            .file
            .apps
            .get(name)
            .filter(|_| self.places(name, place))?;
        let tier = self.tier(place);
        if tier.is_none() && app.path.contains("{labels.tier}") {
            return None;
        }
        let path = app
            .path
            .replace("{environment}", place.environment)
            .replace("{labels.tier}", tier.as_deref().unwrap_or_default());
        Some(Definition {
            repository: app.repository.to_owned(),
            branch: place.environment.to_owned(),
            path,
            namespace: app.namespace.clone(),
            timeout: app.timeout,
        })
    }
}
