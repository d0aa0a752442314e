//! When no more events happen, each rollout is over or names a command that the hub accepts and that leads to its end;
//! and what is reported as done matches Git.

use super::*;
use crate::fleet::environment::Scope;
use crate::fleet::tests::people::commands;
use crate::status::Detail;

/// Seconds between two steps; a rollout counts at most five seconds for a step.
const STRIDE: i64 = 3;

impl Simulation {
    /// From now on all agents are connected, and every message arrives.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        self.network.clear();
        for agent in self.agents.values_mut() {
            agent.cut = false;
            agent.session = None;
        }
    }

    fn quiet(&mut self, seconds: i64) {
        for round in 0..seconds / STRIDE {
            self.now = self
                .now
                .saturating_add(SignedDuration::from_secs(STRIDE))
                .unwrap();
            self.read_heads();
            if round % 3 == 0 {
                self.read_trees();
            }
            self.agents_act(1.0);
            while !self.network.is_empty() {
                self.deliver();
            }
            self.feed(Event::Tick);
        }
    }

    fn standing(&self) -> Vec<(String, usize, State, Vec<Phase>)> {
        let all = self.hub.rollouts().values();
        all.map(|rollout| {
            let phases = rollout.clusters.values().map(|progress| progress.phase);
            (
                rollout.id.clone(),
                rollout.wave,
                rollout.state,
                phases.collect(),
            )
        })
        .collect()
    }

    /// Performs the commands that rollouts name until all are over. Returns them.
    pub(super) fn rest(&mut self) -> Vec<&'static str> {
        self.calm_down();
        let mut taken = Vec::new();
        for _ in 0..60 {
            let before = self.standing();
            // Longer than any deadline.
            self.quiet(75);
            let open = self.hub.rollouts().values();
            let open = open.filter(|rollout| !rollout.state.is_over());
            let open: Vec<(EnvironmentName, String, String)> = open
                .map(|rollout| {
                    (
                        rollout.environment.clone(),
                        rollout.id.clone(),
                        rollout.why(),
                    )
                })
                .collect();
            if open.is_empty() && self.standing() == before {
                self.check();
                self.check_reported();
                return taken;
            }
            // A rollout that proceeds by itself needs no command.
            if self.standing() != before {
                continue;
            }
            for (environment, id, text) in open {
                let acts = commands(&text);
                assert!(
                    !acts.is_empty(),
                    "{id} waits for nothing: {text:?}; {:#?}",
                    self.hub.rollouts()[&environment]
                );
                for words in acts {
                    // An earlier command may have made this one obsolete.
                    let now = self.hub.rollouts().get(&environment);
                    if now.is_none_or(|now| now.state.is_over() || now.id != id) {
                        break;
                    }
                    taken.push(self.take_act(&environment, &words, &text));
                }
            }
        }
        panic!("not over whatever is done: {:?}", self.open_rollouts());
    }

    pub(super) fn open_rollouts(&self) -> Vec<String> {
        let open = self.hub.rollouts().values();
        let open = open.filter(|rollout| !rollout.state.is_over());
        open.map(|rollout| format!("{} {} {}", rollout.id, rollout.state, rollout.why()))
            .collect()
    }

    /// Performs a command that a text names. The hub has to accept it.
    fn take_act(
        &mut self,
        environment: &EnvironmentName,
        words: &[String],
        text: &str,
    ) -> &'static str {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let rollout = &self.hub.rollouts()[environment];
        let changed = rollout.changed();
        let members: Vec<ClusterName> = rollout.clusters.keys().cloned().collect();
        let state = self
            .hub
            .environments()
            .get(environment)
            .cloned()
            .unwrap_or_default();
        let of = |short: &str| {
            let mut own = changed
                .iter()
                .filter(|entry| entry.1.as_str().starts_with(short));
            let first = own.clone().next();
            let waiting =
                own.find(|(repository, commit)| state.override_of(repository, commit).is_none());
            let (repository, commit) = waiting.or(first).expect("it names a commit of its own");
            (repository.clone(), commit.clone())
        };
        let approve = |(repository, commit), scope| Action::Approve {
            environment: environment.clone(),
            repository: Some(repository),
            commit,
            scope,
        };
        let first = |which: &dyn Fn(&ClusterRecord) -> bool| {
            let found = members
                .iter()
                .find(|name| which(&self.hub.clusters()[*name].record));
            found.expect("there is one that this is about").clone()
        };
        let here = environment.as_str();
        let (word, action) = match words.as_slice() {
            ["approve", at, "--wave", wave] if *at == here => {
                for (repository, commit) in changed.clone() {
                    let scope = Scope::Wave((*wave).to_owned());
                    assert!(
                        self.try_act(&approve((repository, commit), scope)),
                        "{text}"
                    );
                }
                return "approve wave";
            }
            [
                "promote",
                at,
                "--force",
                "--commit",
                short,
                "--reason",
                "TEXT",
            ] if *at == here => ("override", approve(of(short), Scope::Override)),
            ["resume", at] if *at == here => ("resume", Action::Resume(environment.clone())),
            ["retry", at] if *at == here => {
                // A second attempt fails like the first one, so one is enough.
                self.act(&Action::Retry(environment.clone()));
                return "retry";
            }
            ["abort", at, "--reason", "TEXT"] if *at == here => {
                ("abort", Action::Abort(environment.clone()))
            }
            ["unpin", "--env", at] if *at == here => (
                "unpin",
                Action::Unpin(Subject::Environment(environment.clone())),
            ),
            ["resume", "NAME"] => {
                let cluster = first(&|record| record.suspended.is_some());
                ("resume cluster", Action::Unsuspend(cluster))
            }
            ["unpin", "--cluster", "NAME"] => {
                let cluster = first(&|record| record.pin.is_some());
                ("unpin cluster", Action::Unpin(Subject::Cluster(cluster)))
            }
            ["unpin", "--cluster", of] => {
                let of: ClusterName = of.parse().unwrap();
                ("let go", Action::Unpin(Subject::Cluster(of)))
            }
            ["pin", "--cluster", of, "--reason", "TEXT"] => {
                let of: ClusterName = of.parse().unwrap();
                let pin = Action::Pin {
                    subject: Subject::Cluster(of),
                    commit: None,
                    repository: None,
                    expires_at: None,
                    approval: None,
                    overriding: GateOverride::Denied,
                };
                ("pin cluster", pin)
            }
            ["status", ..] | ["token", "create", ..] => return "look",
            other => panic!("no such command: {other:?} in {text:?}"),
        };
        assert!(self.try_act(&action), "{word} is not taken; {text}");
        word
    }

    /// What counts as current is assigned and live in the cluster; what has left is shown, and is still there.
    pub(super) fn check_reported(&self) {
        for (name, agent) in &self.agents {
            let cluster = &self.hub.clusters()[name];
            let assigned = cluster.assigned.as_ref();
            if cluster.current_since.is_some() {
                let all = assigned
                    .iter()
                    .flat_map(|stored| &stored.assignment.applications);
                for (app, assigned) in all {
                    assert_eq!(
                        agent.live.get(app),
                        Some(&agent::desired(assigned)),
                        "{app} of {name} counts as current"
                    );
                }
            }
            let shown = crate::status::cluster(&self.hub, name, self.now, Detail::Summary).unwrap();
            for app in agent.live.keys() {
                let mut all = shown.applications.iter();
                assert!(
                    all.any(|listed| listed.application == app.as_str()),
                    "{name} has {app}, which nobody is shown"
                );
            }
        }
    }

    /// Returns whether a cluster runs everything that the file declares there, at the newest commits, and nothing else.
    pub(super) fn is_as_declared(&self, name: &ClusterName) -> bool {
        let Some(environment) = self.hub.environment_of(name) else {
            return true;
        };
        let (agent, cluster) = (&self.agents[name], &self.hub.clusters()[name]);
        let Some(assigned) = &cluster.assigned else {
            return false;
        };
        let meaning = self.meaning(environment.as_str());
        let place = self.place(name, environment.as_str());
        let apps = self.file.apps.keys();
        let mut placed = apps.filter(|app| meaning.places(app, &place));
        let count = placed.clone().count();
        let applications = &assigned.assignment.applications;
        cluster.current_since.is_some()
            && applications.len() == count
            && placed.all(|app| {
                let Some(definition) = meaning.defines(app, &place) else {
                    return false;
                };
                let head = (
                    definition.repository.parse().unwrap(),
                    definition.branch.parse().unwrap(),
                );
                applications.get(*app).is_some_and(|application| {
                    Some(&application.revision.commit) == self.branches.get(&head)
                        && file::Definition::of(application) == definition
                        && agent.live.get(*app) == Some(&agent::desired(application))
                })
            })
    }
}
