//! A fleet file that is edited: directories, namespaces, options and placements of applications, one application that
//! is added and removed, and the waves.

use super::*;

/// An application in the file.
#[derive(Clone)]
struct App {
    name: &'static str,
    repository: &'static str,
    path: String,
    namespace: String,
    timeout: u64,
    /// Its clusters; empty: all of both environments.
    clusters: Vec<&'static str>,
}

pub(super) struct FleetFile {
    mode: &'static str,
    failure: &'static str,
    is_slow: bool,
    apps: Vec<App>,
    /// Whether `c` is removed with its objects; that is different from not being declared.
    removed: bool,
    edits: u64,
}

impl FleetFile {
    pub(super) fn new(rng: &mut rand::rngs::StdRng) -> Self {
        let app = |name, repository| App {
            name,
            repository,
            path: name.to_owned(),
            namespace: String::new(),
            timeout: 300,
            clusters: Vec::new(),
        };
        Self {
            mode: *["supersede", "queue", "finish"].choose(rng).unwrap(),
            failure: *["halt", "rollback"].choose(rng).unwrap(),
            is_slow: false,
            apps: vec![app("a", "fleet"), app("b", "second")],
            removed: false,
            edits: 0,
        }
    }

    pub(super) fn text(&self) -> String {
        let waves = match self.is_slow {
            true => "[{name: canary, clusters: [p1]}, {name: two, clusters: [p2], approvals: 1}]",
            false => "[{name: canary, clusters: [p1]}]",
        };
        let mut text = format!(
            "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {{name: fleet, url: 'https://git.example.com/fleet.git'}}
- {{name: second, url: 'https://git.example.com/second.git'}}
environments:
- {{name: dev, branch: dev}}
- name: prod
  branch: prod
  promotesFrom: dev
  strategy: {{waves: {waves}, soak: 3s, progressDeadline: 20s, maxConcurrent: 2, onNewCommit: {}, onFailure: {}}}
  gates: {{approvals: {APPROVALS}}}
applications:
",
            self.mode, self.failure
        );
        for app in &self.apps {
            let clusters = match app.clusters.as_slice() {
                [] => String::new(),
                some => format!(", clusters: [{}]", some.join(", ")),
            };
            text.push_str(&format!(
                "- {{name: {}, repository: {}, path: {}, namespace: '{}', syncPolicy: {{healthTimeout: {}s}}, \
                 placement: {{environments: [dev, prod]{clusters}}}}}\n",
                app.name, app.repository, app.path, app.namespace, app.timeout
            ));
        }
        if self.removed {
            text.push_str("removed: [{application: c, environments: [prod]}]\n");
        }
        text
    }

    /// Makes one edit.
    pub(super) fn edit(&mut self, rng: &mut rand::rngs::StdRng) {
        self.edits += 1;
        let edits = self.edits;
        let index = rng.random_range(0..self.apps.len());
        let bad = rng.random_bool(0.2);
        let has_c = self.has_c();
        let app = &mut self.apps[index];
        match rng.random_range(0..8) {
            0 if bad => app.path = "bad".to_owned(),
            0 => app.path = format!("{}{edits}", app.name),
            1 => app.namespace = format!("n{edits}"),
            2 => app.timeout = 300 + edits,
            3 => {
                let all: [&[&'static str]; 3] = [&[], &["p1", "p2"], &["p1", "p3"]];
                app.clusters = all.choose(rng).unwrap().to_vec();
            }
            4 => self.is_slow = !self.is_slow,
            5 => self.mode = *["supersede", "queue", "finish"].choose(rng).unwrap(),
            6 if has_c => {
                self.apps.pop();
                self.removed = rng.random_bool(0.6);
            }
            6 => self.add_c(),
            _ => app.namespace.clear(),
        }
    }

    fn has_c(&self) -> bool {
        self.apps.iter().any(|app| app.name == "c")
    }

    fn add_c(&mut self) {
        self.removed = false;
        self.apps.push(App {
            name: "c",
            repository: "fleet",
            path: "c".to_owned(),
            namespace: format!("c{}", self.edits),
            timeout: 300,
            clusters: Vec::new(),
        });
    }

    /// Declares everything in a valid way that was never declared before.
    pub(super) fn mend(&mut self) {
        self.edits += 1;
        self.removed = false;
        self.is_slow = false;
        self.apps.retain(|app| app.name != "c");
        for app in &mut self.apps {
            app.path = app.name.to_owned();
            app.namespace = format!("m{}", self.edits);
            app.clusters.clear();
        }
    }

    pub(super) fn removes_c(&self) -> bool {
        self.removed
    }

    /// Returns whether the file now gives a cluster an application.
    pub(super) fn places(&self, app: &str, cluster: &str) -> bool {
        let mut all = self.apps.iter();
        all.any(|application| {
            application.name == app
                && (application.clusters.is_empty() || application.clusters.contains(&cluster))
        })
    }

    pub(super) fn definitions(&self) -> impl Iterator<Item = Definition> {
        self.apps.iter().map(|app| {
            let name = app.name.parse().unwrap();
            (name, app.path.clone(), app.namespace.clone(), app.timeout)
        })
    }
}
