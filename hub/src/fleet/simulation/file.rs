//! A fleet file that people edit in every way, and what it means for each cluster, worked out apart from the
//! hub.

use super::*;

pub(super) const ENVIRONMENTS: [&str; 3] = ["dev", "stage", "prod"];
/// Repositories that can be read; the file names another one that nobody can read.
pub(super) const REPOSITORIES: [&str; 2] = ["fleet", "other"];

/// One application as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct App {
    pub(super) repository: &'static str,
    pub(super) path: String,
    pub(super) namespace: String,
    pub(super) timeout: u32,
    /// None: in all of them.
    pub(super) environments: Vec<&'static str>,
    /// None: on every cluster.
    pub(super) clusters: Vec<String>,
    /// Empty: whatever the label says.
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

/// How an environment takes what is new.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strategy {
    pub(super) mode: &'static str,
    pub(super) failure: &'static str,
    /// Prod's second wave asks people.
    pub(super) asks: bool,
    /// Prod has two waves more than its rest.
    pub(super) has_waves: bool,
}

/// What the file says of a cluster: its environment, and the label `tier`.
pub(super) type Entry = (&'static str, Option<&'static str>);

/// What an application's entry among those removed says: where, and whether its objects stay.
pub(super) type Removal = (Option<&'static str>, bool);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    pub(super) apps: BTreeMap<&'static str, App>,
    pub(super) removed: BTreeMap<&'static str, Removal>,
    pub(super) clusters: BTreeMap<ClusterName, Entry>,
    /// None: commits come to everybody at once.
    pub(super) stage: Option<Strategy>,
    /// None: there is no such environment.
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
    /// As everybody begins.
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
        // What has no entry is left out.
        text.replace("clusters:\napplications", "applications")
            .replace("applications:\nremoved", "removed")
            .trim_end_matches("removed:\n")
            .to_owned()
    }

    pub(super) fn has(&self, environment: &str) -> bool {
        environment != "prod" || self.prod.is_some()
    }

    /// What is to become of an application's objects in an environment: none: nothing; whether they stay.
    pub(super) fn removal(&self, app: &str, environment: &str) -> Option<bool> {
        let (place, keeps) = self.removed.get(app)?;
        place
            .is_none_or(|place| place == environment)
            .then_some(*keeps)
    }
}

/// A file as it was declared, with who was known to be somewhere else than in the environment in question.
#[derive(Debug, Clone)]
pub(super) struct Meaning {
    pub(super) file: File,
    pub(super) elsewhere: BTreeSet<ClusterName>,
}

/// A cluster as its own record has it, and as the present file does.
pub(super) struct Place<'p> {
    pub(super) name: &'p ClusterName,
    pub(super) environment: &'p str,
    pub(super) record: &'p ClusterRecord,
    pub(super) present: &'p File,
}

impl Meaning {
    /// The label `tier` of a cluster: what the file says, over what its record says. Of a cluster that it does
    /// not name there is only the record; unless it is the present file that brought it here.
    fn tier(&self, place: &Place<'_>) -> Option<String> {
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

    /// Whether it places an application on a cluster.
    pub(super) fn places(&self, app: &str, place: &Place<'_>) -> bool {
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

    /// How it defines an application for a cluster on which it places it; none: it cannot be said.
    pub(super) fn defines(&self, name: &str, place: &Place<'_>) -> Option<Definition> {
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
