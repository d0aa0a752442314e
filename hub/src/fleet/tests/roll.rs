//! Rollouts of several repositories in one environment: gates belong to a repository and its commit.

mod admitted;
mod apart;
mod aside;
mod failing;
mod kept;
mod lasting;
mod told;
mod turns;
mod unproven;

use super::super::rollout::State;
use super::*;

const TWO: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://git.example.com/fleet.git'}
- {name: second, url: 'https://git.example.com/second.git'}
environments:
- {name: dev, branch: dev}
- name: prod
  branch: prod
  promotesFrom: dev
  strategy: {waves: [{name: canary, clusters: [p1]}], soak: 3s, progressDeadline: 20s, STRATEGY}
  gates: {GATES}
applications:
- {name: a, repository: fleet, path: a, placement: {environments: [dev, prod]}}
- {name: b, repository: second, path: b, placement: {environments: [PLACED]}}
";

pub(super) fn file(strategy: &str, gates: &str, placed: &str) -> String {
    TWO.replace("STRATEGY", strategy)
        .replace("GATES", gates)
        .replace("PLACED", placed)
}

pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) second: i64,
    branches: BTreeMap<(String, String), u64>,
    pub(super) bad: Vec<Commit>,
    /// Directories whose applications never become healthy.
    pub(super) bad_paths: Vec<String>,
    /// Clusters that hold the deletes of removed applications.
    pub(super) holding: Vec<String>,
    /// Clusters whose agents do and report nothing.
    pub(super) silent: Vec<String>,
    /// Whether agents report applications that they no longer manage.
    pub(super) orphaned: bool,
    pub(super) audit: Vec<AuditEntry>,
    /// Commits for which a Job was requested.
    pub(super) jobs: Vec<Commit>,
    /// Assignments that clusters ran with all applications healthy.
    pub(super) ran: std::collections::BTreeSet<(String, AssignmentRef)>,
    /// Unhealthy applications in their other assignments.
    pub(super) ill: BTreeMap<(String, AssignmentRef), Vec<flotilla_shared::id::ApplicationName>>,
    /// Commits that make all other applications of their clusters unhealthy.
    pub(super) harmful: Vec<Commit>,
    /// Clusters that rollouts of prod reached, with the commits; a step later another rollout may have taken over.
    pub(super) touched: std::collections::BTreeSet<(ClusterName, RepositoryName, Commit)>,
    sessions: u64,
    /// Specifications in the store.
    pub(super) kept: BTreeMap<Commit, crate::spec::Specification>,
    /// The last report of each agent.
    reported: BTreeMap<String, (ReportInput, Digest)>,
}

/// The input of an agent's report.
#[derive(PartialEq)]
struct ReportInput {
    session: SessionId,
    assigned: AssignmentRef,
    bad: Vec<Commit>,
    harmful: Vec<Commit>,
    bad_paths: Vec<String>,
    holding: Vec<String>,
}

/// Commits of `second` differ from those of `fleet` by their numbers.
pub(super) fn of_second(n: u64) -> Commit {
    commit(n + 1000)
}

impl World {
    pub(super) fn new(text: &str) -> Self {
        let mut world = Self {
            fleet: Fleet::new(Epoch(1)),
            second: 0,
            branches: BTreeMap::new(),
            bad: Vec::new(),
            bad_paths: Vec::new(),
            holding: Vec::new(),
            silent: Vec::new(),
            orphaned: false,
            audit: Vec::new(),
            jobs: Vec::new(),
            ran: std::collections::BTreeSet::new(),
            ill: BTreeMap::new(),
            harmful: Vec::new(),
            touched: std::collections::BTreeSet::new(),
            sessions: 10,
            kept: BTreeMap::new(),
            reported: BTreeMap::new(),
        };
        world.declare(text);
        for (index, cluster) in ["d1", "p1", "p2", "p3"].into_iter().enumerate() {
            let environment = if index == 0 { "dev" } else { "prod" };
            world.step(put(cluster, environment, None));
            world.step(connect(cluster, index as u64 + 1, AssignmentRef::default()));
        }
        world
    }

    pub(super) fn declare(&mut self, text: &str) {
        let spec = spec::parse("f", text).unwrap();
        self.step(Event::SpecChanged(Arc::new(spec)));
    }

    fn watch(&mut self) {
        let prod: EnvironmentName = "prod".parse().unwrap();
        let Some(rollout) = self.fleet.rollouts().get(&prod) else {
            return;
        };
        let changed = rollout.changed();
        let touched = rollout.clusters.iter();
        for (name, progress) in touched.filter(|(_, progress)| progress.phase.is_touched()) {
            let in_turn = progress.unchanged || progress.wave <= rollout.wave;
            assert!(in_turn, "{name} before its wave");
            for (repository, commit) in &changed {
                let key = (name.clone(), repository.clone(), commit.clone());
                self.touched.insert(key);
            }
        }
    }

    fn note(&mut self, effects: Vec<Effect>) {
        self.watch();
        for effect in effects {
            match effect {
                Effect::Audit(entry) => self.audit.push(entry),
                Effect::AskJobs(_, _, jobs) => {
                    let commits = jobs.iter().map(|job| &job.application.revision.commit);
                    self.jobs.extend(commits.cloned());
                }
                Effect::StoreSpecification(revision, specification) => {
                    self.kept.insert(revision, (*specification).clone());
                }
                Effect::DeleteSpecification(revision) => {
                    self.kept.remove(&revision);
                }
                Effect::RequestReport(name, _) => {
                    self.reported.remove(name.as_str());
                }
                _ => {}
            }
        }
    }

    pub(super) fn step(&mut self, event: Event) {
        let now = at(self.second);
        let effects = self.fleet.step(event, now);
        self.note(effects);
        while self.fleet.has_due() {
            let effects = self.fleet.advance(now);
            self.note(effects);
        }
    }

    pub(super) fn act(&mut self, action: &Action) -> Result<(), ActionError> {
        self.act_as("bob", action)
    }

    pub(super) fn act_as(&mut self, person: &str, action: &Action) -> Result<(), ActionError> {
        let now = at(self.second);
        let taken = self.fleet.act(action, person, "why", now)?;
        self.note(taken.effects);
        let effects = self.fleet.advance(now);
        self.note(effects);
        Ok(())
    }

    /// Moves branches; `second`'s commits count from a thousand.
    pub(super) fn push(&mut self, repository: &str, branch: &str, n: u64) {
        let key = (repository.to_owned(), branch.to_owned());
        self.branches.insert(key, n);
        let number = |n: u64| {
            if repository == "second" {
                of_second(n)
            } else {
                commit(n)
            }
        };
        let found = self.branches.iter();
        let found = found
            .filter(|((of, _), _)| of == repository)
            .map(|((_, branch), n)| (branch.parse().unwrap(), number(*n)));
        let found = found.collect();
        self.step(Event::HeadsRead {
            repository: repository.parse().unwrap(),
            asked: vec!["dev".parse().unwrap(), "prod".parse().unwrap()],
            found,
        });
    }

    /// Passes seconds, in each of which every agent acts and reports.
    pub(super) fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.stride(1);
        }
    }

    /// Passes seconds, at the end of which every agent acts and reports.
    pub(super) fn stride(&mut self, seconds: i64) {
        self.second += seconds;
        for cluster in ["d1", "p1", "p2", "p3"] {
            self.report(cluster);
        }
        self.step(Event::Tick);
    }

    /// Ends the agent's stream, or opens a new one.
    pub(super) fn connect(&mut self, cluster: &str, on: bool) {
        let known = &self.fleet.clusters()[&name(cluster)];
        let (session, accepted) = (known.session, known.accepted);
        match (session, on) {
            (Some((session, _)), false) => self.step(Event::Disconnected(name(cluster), session)),
            (None, true) => {
                self.sessions += 1;
                self.step(connect(cluster, self.sessions, accepted));
            }
            _ => {}
        }
    }

    fn report(&mut self, cluster: &str) {
        let known = &self.fleet.clusters()[&name(cluster)];
        let (Some((session, _)), Some(assigned)) = (known.session, known.assigned.clone()) else {
            return;
        };
        let left = left_over(&self.fleet, &name(cluster));
        if self.silent.iter().any(|silent| silent == cluster) {
            return;
        }
        let is = ReportInput {
            session,
            assigned: assigned.reference,
            bad: self.bad.clone(),
            harmful: self.harmful.clone(),
            bad_paths: self.bad_paths.clone(),
            holding: self.holding.clone(),
        };
        // Agents send heartbeats, and a report only when it changed.
        if let Some((last, digest)) = self.reported.get(cluster)
            && *last == is
        {
            self.step(Event::Heartbeat {
                cluster: name(cluster),
                session,
                accepted: assigned.reference,
                report: *digest,
                clock: None,
            });
            return;
        }
        let mut report = current(&assigned);
        report.applications.extend(left);
        let holds = self.holding.iter().any(|holding| holding == cluster);
        for app in report.applications.values_mut() {
            if holds && app.reason == Some(Reason::Removed) {
                app.reason = Some(Reason::DeleteBudget);
                app.message = "confirm it".to_owned();
            }
        }
        let all = assigned.assignment.applications.values();
        let here: Vec<&Commit> = all.map(|app| &app.revision.commit).collect();
        let harms = |commit: &Commit| {
            let mut harmful = self.harmful.iter();
            harmful.any(|other| other != commit && here.contains(&other))
        };
        let run = report.applications.iter_mut();
        for (name, app) in run.filter(|(_, app)| app.revision.is_some()) {
            let commit = app.revision.as_ref().unwrap().commit.clone();
            let path = assigned.assignment.applications[name].path.to_string();
            app.source_digest = Digest::of(commit.as_str().as_bytes());
            if harms(&commit) || self.bad.contains(&commit) || self.bad_paths.contains(&path) {
                app.health = Health::Failed;
            }
        }
        let is_ill = |app: &ApplicationReport| app.health != Health::Current;
        let all = report.applications.iter();
        let ill: Vec<_> = all.filter(|(_, app)| is_ill(app)).collect();
        let key = (cluster.to_owned(), assigned.reference);
        if ill.is_empty() {
            self.ran.insert(key);
        } else {
            let ill = ill.into_iter().map(|(name, _)| name.clone());
            self.ill.insert(key, ill.collect());
        }
        let digest = digest_of(&report);
        let [acked, reported] = taken(cluster, session, assigned.reference, report);
        self.step(acked);
        self.reported.insert(cluster.to_owned(), (is, digest));
        self.step(reported);
    }

    /// Asserts the rollout's state.
    #[track_caller]
    pub(super) fn stands(&self, state: State) {
        assert_eq!(self.rollout().state, state, "{}", self.rollout().why());
    }

    pub(super) fn rollout(&self) -> &rollout::Rollout {
        &self.fleet.rollouts()[&"prod".parse::<EnvironmentName>().unwrap()]
    }

    pub(super) fn state(&self) -> &EnvironmentState {
        &self.fleet.environments()[&"prod".parse::<EnvironmentName>().unwrap()]
    }

    /// Returns the clusters that were assigned a commit.
    pub(super) fn having(&self, commit: &Commit) -> Vec<&str> {
        let all = self.fleet.clusters().iter();
        let having = all.filter(|(_, cluster)| {
            let assigned = cluster.assigned.iter();
            let mut apps = assigned.flat_map(|assigned| assigned.assignment.applications.values());
            apps.any(|app| app.revision.commit == *commit)
        });
        having
            .map(|(name, _)| name.as_str())
            .filter(|name| *name != "d1")
            .collect()
    }

    /// Both repositories are good at their first commits.
    pub(super) fn rolled_out(text: &str) -> Self {
        let mut world = Self::new(text);
        for repository in ["fleet", "second"] {
            world.push(repository, "dev", 1);
        }
        for repository in ["fleet", "second"] {
            world.push(repository, "prod", 1);
        }
        world.pass(5);
        let first: Vec<(String, Commit)> = [("fleet", commit(1)), ("second", of_second(1))]
            .map(|(a, b)| (a.to_owned(), b))
            .into();
        for (repository, commit) in first {
            let _ = world.act(&override_of(&repository, &commit));
        }
        world.pass(40);
        world.stands(State::Succeeded);
        world
    }
}

pub(super) fn approve(repository: &str, commit: &Commit, scope: Scope) -> Action {
    Action::Approve {
        environment: "prod".parse().unwrap(),
        repository: Some(repository.parse().unwrap()),
        commit: commit.clone(),
        scope,
    }
}

pub(super) fn override_of(repository: &str, commit: &Commit) -> Action {
    approve(repository, commit, Scope::Override)
}

pub(super) fn pin(commit: Option<&Commit>, admin: bool) -> Action {
    Action::Pin {
        subject: Subject::Environment("prod".parse().unwrap()),
        commit: commit.cloned(),
        repository: commit.map(|_| "fleet".parse().unwrap()),
        expires_at: None,
        approval: None,
        overriding: admin.into(),
    }
}

#[test]
fn roll_04_06_an_approval_lets_in_nothing_of_another_repository() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    world.push("fleet", "prod", 2);
    world
        .act(&approve("fleet", &commit(2), Scope::Commit))
        .unwrap();
    world.push("second", "prod", 2);
    world.pass(20);
    assert!(world.having(&of_second(2)).is_empty(), "nobody approved it");
    assert_eq!(world.having(&commit(2)).len(), 3, "it waits for no other");
    let note = &world.rollout().note;
    assert!(
        note.contains("0 of 1") && note.contains(of_second(2).short()),
        "{note}"
    );
    world
        .act(&approve("second", &of_second(2), Scope::Commit))
        .unwrap();
    world.pass(20);
    assert_eq!(world.having(&of_second(2)).len(), 3);
}

#[test]
fn roll_07_an_override_is_for_the_commit_that_it_names() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.act(&override_of("fleet", &commit(2))).unwrap();
    world.pass(20);
    assert!(world.having(&of_second(2)).is_empty());
    assert_eq!(world.having(&commit(2)).len(), 3);
    world.stands(State::Pending);
}

#[test]
fn roll_07_a_rollback_passes_the_gates_only_if_the_hub_sees_that_it_is_one() {
    use flotilla_shared::source::Directories;
    for (content, in_time) in [(1, true), (9, false)] {
        let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 1", "prod"));
        let action = Action::Rollback {
            environment: "prod".parse().unwrap(),
            repository: Some("fleet".parse().unwrap()),
            commit: commit(7),
            to: Some(commit(1)),
            overriding: GateOverride::Denied,
        };
        world.act(&action).unwrap();
        world.push("fleet", "prod", 7);
        world.pass(10);
        assert!(world.having(&commit(7)).is_empty(), "a word is no proof");
        let missing = world.fleet.missing_trees(&"fleet".parse().unwrap());
        assert!(missing.contains(&commit(7)) && missing.contains(&commit(1)));
        for (which, root) in [(1, 1), (7, content)] {
            world.step(Event::TreesRead {
                repository: "fleet".parse().unwrap(),
                commit: commit(which),
                directories: Arc::new(Directories::new([(".".to_owned(), [root; 20])])),
            });
        }
        world.pass(20);
        assert_eq!(!world.having(&commit(7)).is_empty(), in_time);
        let action = if in_time {
            AuditAction::RollbackProven
        } else {
            AuditAction::RollbackRefused
        };
        assert!(world.audit.iter().any(|entry| entry.action == action));
    }
    // A commit that was never good cannot be rolled back to.
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    let action = Action::Rollback {
        environment: "prod".parse().unwrap(),
        repository: Some("fleet".parse().unwrap()),
        commit: commit(7),
        to: Some(commit(6)),
        overriding: GateOverride::Denied,
    };
    assert!(matches!(
        world.act(&action),
        Err(ActionError::NeedsAdmin(_))
    ));
}

/// A revision of the fleet file is a digest of its content: nothing has to be read to compare it, and nothing waits for
/// that.
#[test]
fn a_revision_of_the_fleet_file_that_is_said_to_go_back_is_judged_at_once() {
    let gated = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::rolled_out(&gated);
    world.declare(&gated.replace("path: a,", "path: ax,"));
    world.pass(2);
    let source = RepositoryName::fleet_file();
    let asked = world.rollout().target[source].clone();
    let action = Action::Rollback {
        environment: "prod".parse().unwrap(),
        repository: Some(source.clone()),
        commit: asked,
        to: None,
        overriding: GateOverride::Denied,
    };
    world.act(&action).unwrap();
    world.pass(2);
    assert!(world.state().going_back.is_empty());
    assert_eq!(world.rollout().state, State::Pending);
    let why = world.rollout().why();
    assert!(why.contains("approval fleet-file"), "{why}");
}

/// A fleet file without strategy and gates, which is valid, too.
fn bare(text: &str) -> String {
    let rolls = |line: &&str| line.contains("strategy:") || line.contains("gates:");
    let lines = text.lines().filter(|line| !rolls(line));
    lines.map(|line| format!("{line}\n")).collect()
}
