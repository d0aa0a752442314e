//! Rollouts of several repositories in one environment: gates belong to a repository and its commit.

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
    /// Directories in which nothing becomes healthy.
    pub(super) bad_paths: Vec<String>,
    /// Clusters that hold the deletes of what is removed.
    pub(super) holding: Vec<String>,
    /// Clusters whose agents do and say nothing.
    pub(super) silent: Vec<String>,
    pub(super) audit: Vec<AuditEntry>,
    /// Assignments that clusters ran, all of it healthy.
    pub(super) ran: std::collections::BTreeSet<(String, AssignmentRef)>,
    /// To which clusters rollouts of prod came, and with what; a step later another one may have taken over.
    pub(super) touched: std::collections::BTreeSet<(ClusterName, RepositoryName, Commit)>,
    sessions: u64,
    /// What is in the store of environments' specifications.
    pub(super) kept: BTreeMap<Commit, crate::spec::Specification>,
}

/// Commits of `second` are told from those of `fleet` by their numbers.
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
            audit: Vec::new(),
            ran: std::collections::BTreeSet::new(),
            touched: std::collections::BTreeSet::new(),
            sessions: 10,
            kept: BTreeMap::new(),
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
        for (name, progress) in touched.filter(|(_, one)| one.phase.is_touched()) {
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
                Effect::StoreSpecification(revision, one) => {
                    self.kept.insert(revision, (*one).clone());
                }
                Effect::DeleteSpecification(revision) => {
                    self.kept.remove(&revision);
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
            let effects = self.fleet.settle(now);
            self.note(effects);
        }
    }

    pub(super) fn act(&mut self, action: &Action) -> Result<(), ActionError> {
        self.act_as("bob", action)
    }

    pub(super) fn act_as(&mut self, person: &str, action: &Action) -> Result<(), ActionError> {
        let now = at(self.second);
        let effects = self.fleet.act(action, person, "why", now)?;
        self.note(effects);
        let effects = self.fleet.settle(now);
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

    /// Some seconds, in each of which every agent does what it was told and says so.
    pub(super) fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.second += 1;
            for cluster in ["d1", "p1", "p2", "p3"] {
                self.report(cluster);
            }
            self.step(Event::Tick);
        }
    }

    /// The agent's stream ends, or it connects anew.
    pub(super) fn connect(&mut self, cluster: &str, on: bool) {
        let one = &self.fleet.clusters()[&name(cluster)];
        let (session, accepted) = (one.session, one.accepted);
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
        let one = &self.fleet.clusters()[&name(cluster)];
        let (Some((session, _)), Some(assigned)) = (one.session, one.assigned.clone()) else {
            return;
        };
        if self.silent.iter().any(|silent| silent == cluster) {
            return;
        }
        let mut report = current(&assigned);
        let holds = self.holding.iter().any(|holding| holding == cluster);
        for app in report.applications.values_mut() {
            if holds && app.reason == Some(Reason::Removed) {
                app.reason = Some(Reason::DeleteBudget);
                app.message = "confirm it".to_owned();
            }
        }
        let run = report.applications.iter_mut();
        for (name, app) in run.filter(|(_, app)| app.revision.is_some()) {
            let commit = app.revision.as_ref().unwrap().commit.clone();
            let path = assigned.assignment.applications[name].path.to_string();
            app.source_digest = Digest::of(commit.as_str().as_bytes());
            if self.bad.contains(&commit) || self.bad_paths.contains(&path) {
                app.health = Health::Failed;
            }
        }
        if report
            .applications
            .values()
            .all(|app| app.health == Health::Current)
        {
            self.ran.insert((cluster.to_owned(), assigned.reference));
        }
        self.step(Event::Acked {
            cluster: name(cluster),
            session,
            assignment: assigned.reference,
            refusal: None,
            accepted: assigned.reference,
        });
        let digest = Digest::of(format!("{report:?}").as_bytes());
        self.step(Event::Reported(name(cluster), session, report, digest));
    }

    pub(super) fn rollout(&self) -> &rollout::Rollout {
        &self.fleet.rollouts()[&"prod".parse::<EnvironmentName>().unwrap()]
    }

    pub(super) fn state(&self) -> &EnvironmentState {
        &self.fleet.environments()[&"prod".parse::<EnvironmentName>().unwrap()]
    }

    /// Who was given a commit.
    pub(super) fn having(&self, commit: &Commit) -> Vec<&str> {
        let all = self.fleet.clusters().iter();
        let having = all.filter(|(_, cluster)| {
            let assigned = cluster.assigned.iter();
            let mut apps = assigned.flat_map(|one| one.assignment.applications.values());
            apps.any(|app| app.revision.commit == *commit)
        });
        having
            .map(|(name, _)| name.as_str())
            .filter(|name| *name != "d1")
            .collect()
    }

    /// Both repositories are good at their first commits.
    pub(super) fn settled(text: &str) -> Self {
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
        assert_eq!(
            world.rollout().state,
            State::Succeeded,
            "{}",
            world.rollout().note
        );
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
        admin,
    }
}

#[test]
fn roll_04_06_an_approval_lets_in_nothing_of_another_repository() {
    let mut world = World::settled(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    world.push("fleet", "prod", 2);
    world
        .act(&approve("fleet", &commit(2), Scope::Commit))
        .unwrap();
    world.push("second", "prod", 2);
    world.pass(20);
    assert!(world.having(&of_second(2)).is_empty(), "nobody approved it");
    assert!(
        world.rollout().note.contains("approval second"),
        "{}",
        world.rollout().note
    );
    world
        .act(&approve("second", &of_second(2), Scope::Commit))
        .unwrap();
    world.pass(20);
    assert_eq!(world.having(&of_second(2)).len(), 3);
}

#[test]
fn roll_07_an_override_is_for_the_commit_that_it_names() {
    let mut world = World::settled(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.act(&override_of("fleet", &commit(2))).unwrap();
    world.pass(20);
    assert!(world.having(&of_second(2)).is_empty() && world.having(&commit(2)).is_empty());
}

#[test]
fn roll_07_a_rollback_passes_the_gates_only_if_the_hub_sees_that_it_is_one() {
    use flotilla_shared::source::Directories;
    for (content, in_time) in [(1, true), (9, false)] {
        let mut world = World::settled(&file("maxConcurrent: 3", "approvals: 1", "prod"));
        let action = Action::Rollback {
            environment: "prod".parse().unwrap(),
            repository: Some("fleet".parse().unwrap()),
            commit: commit(7),
            to: Some(commit(1)),
            admin: false,
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
        let said = if in_time {
            "rollback proven"
        } else {
            "rollback refused"
        };
        assert!(world.audit.iter().any(|entry| entry.action == said));
    }
    // What was never good is nothing to go back to.
    let mut world = World::settled(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    let action = Action::Rollback {
        environment: "prod".parse().unwrap(),
        repository: Some("fleet".parse().unwrap()),
        commit: commit(7),
        to: Some(commit(6)),
        admin: false,
    };
    assert!(matches!(
        world.act(&action),
        Err(ActionError::NeedsAdmin(_))
    ));
}

#[test]
fn roll_03_a_commit_that_failed_is_not_tried_again_for_another_repository() {
    let mut world = World::settled(&file("maxConcurrent: 3, onFailure: rollback", "", "prod"));
    world.bad = vec![commit(2)];
    world.push("fleet", "prod", 2);
    world.pass(10);
    assert_eq!(world.rollout().state, State::RolledBack);
    assert_eq!(world.state().quarantined.len(), 1);
    for n in 2..5 {
        world.push("second", "prod", n);
        world.pass(15);
        assert_eq!(world.rollout().state, State::Succeeded);
        assert_eq!(
            world.having(&of_second(n)).len(),
            3,
            "the good one comes in"
        );
        assert!(
            world.having(&commit(2)).is_empty(),
            "and the bad one does not"
        );
    }
}

#[test]
fn roll_03_a_repository_that_nobody_uses_here_starts_nothing_here() {
    let mut world = World::settled(&file("maxConcurrent: 3", "", "dev"));
    let last = world.rollout().id.clone();
    world.push("second", "prod", 2);
    world.pass(5);
    assert_eq!(world.rollout().id, last);
}

#[test]
fn promise_5_of_two_commits_that_failed_together_the_good_one_comes_in() {
    let mut world = World::settled(&file("maxConcurrent: 3, onFailure: rollback", "", "prod"));
    world.bad = vec![commit(2)];
    world.act(&Action::Pause("prod".parse().unwrap())).unwrap();
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.act(&Action::Resume("prod".parse().unwrap())).unwrap();
    world.pass(60);
    assert_eq!(
        world.having(&of_second(2)).len(),
        3,
        "{}",
        world.rollout().note
    );
    assert!(world.having(&commit(2)).is_empty());
    let failed = &world.state().quarantined;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].commits.len(), 1);
    assert!(world.state().suspects.is_empty());
}

#[test]
fn promise_5_what_was_halted_holds_up_no_other_repository() {
    let mut world = World::settled(&file("maxConcurrent: 3", "", "prod"));
    world.bad = vec![commit(2)];
    world.push("fleet", "prod", 2);
    world.pass(10);
    assert_eq!(world.rollout().state, State::Halted);
    world.push("second", "prod", 2);
    world.pass(20);
    assert_eq!(
        world.rollout().state,
        State::Succeeded,
        "{}",
        world.rollout().note
    );
    assert_eq!(world.having(&of_second(2)).len(), 3);
    assert!(world.having(&commit(2)).is_empty(), "its canary went back");
}

#[test]
fn roll_02_09_a_halted_rollout_yields_to_what_waits_in_every_mode() {
    for mode in ["supersede", "queue", "finish"] {
        let strategy = format!("maxConcurrent: 3, onNewCommit: {mode}");
        let mut world = World::settled(&file(&strategy, "", "prod"));
        world.bad = vec![commit(2)];
        world.push("fleet", "prod", 2);
        // The repair comes before the failure is known.
        world.push("fleet", "prod", 3);
        world.push("fleet", "prod", 4);
        world.pass(60);
        assert_eq!(
            world.rollout().state,
            State::Succeeded,
            "{mode}: {}",
            world.rollout().note
        );
        assert_eq!(world.having(&commit(4)).len(), 3, "{mode}");
    }
}

#[test]
fn roll_12_a_pin_of_what_did_not_pass_the_gates_takes_an_admin_and_goes_in_waves() {
    let mut world = World::settled(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    world.push("fleet", "prod", 2);
    assert!(matches!(
        world.act(&pin(Some(&commit(2)), false)),
        Err(ActionError::NeedsAdmin(_))
    ));
    assert!(world.state().pin.is_none());
    // What was good may be kept by who promotes, at once.
    world.act(&pin(Some(&commit(1)), false)).unwrap();
    world.push("second", "prod", 2);
    world.act(&pin(Some(&commit(2)), true)).unwrap();
    assert_eq!(world.having(&commit(2)), ["p1"], "the first wave");
    let entry = world
        .audit
        .iter()
        .rev()
        .find(|entry| entry.action == "pin")
        .unwrap();
    assert!(
        entry.detail.contains("not been through the gates"),
        "{}",
        entry.detail
    );
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
    assert!(
        world.having(&of_second(2)).is_empty(),
        "it lets in nothing else"
    );
}

#[test]
fn a_pin_in_the_middle_of_a_rollout_takes_nobody_back() {
    let mut world = World::settled(&file("maxConcurrent: 3", "", "prod"));
    world.push("fleet", "prod", 2);
    world.pass(1);
    assert_eq!(world.having(&commit(2)), ["p1"]);
    world.act(&pin(None, false)).unwrap();
    world.pass(20);
    assert_eq!(world.having(&commit(2)), ["p1"], "kept where they are");
    world
        .act(&Action::Unpin(Subject::Environment(
            "prod".parse().unwrap(),
        )))
        .unwrap();
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
}

#[test]
fn roll_10_22_a_rollout_keeps_the_waves_that_it_began_with() {
    let strategy = "waves: [{name: canary, clusters: [p1]}, {name: two, clusters: [p2], approvals: 1}], soak: 3s, progressDeadline: 20s, maxConcurrent: 3";
    let text = file("maxConcurrent: 3", "", "prod");
    let with = text.replace(
        "waves: [{name: canary, clusters: [p1]}], soak: 3s, progressDeadline: 20s, maxConcurrent: 3",
        strategy,
    );
    let without = text.replace(
        "waves: [{name: canary, clusters: [p1]}], soak: 3s, progressDeadline: 20s, maxConcurrent: 3",
        "soak: 1s",
    );
    let bare: String = text
        .lines()
        .filter(|line| !line.contains("strategy:"))
        .map(|line| format!("{line}\n"))
        .collect();
    for edited in [without, bare] {
        let mut world = World::new(&with);
        for repository in ["fleet", "second"] {
            world.push(repository, "dev", 1);
            world.push(repository, "prod", 1);
        }
        world.pass(10);
        for (repository, commit) in [("fleet", commit(1)), ("second", of_second(1))] {
            world
                .act(&approve(repository, &commit, Scope::Wave("two".to_owned())))
                .unwrap();
        }
        world.pass(20);
        assert_eq!(
            world.rollout().state,
            State::Succeeded,
            "{}",
            world.rollout().note
        );
        world.push("fleet", "prod", 2);
        world.pass(10);
        assert!(
            world.rollout().note.contains("waits for approval"),
            "{}",
            world.rollout().note
        );
        world.declare(&edited);
        world.pass(20);
        assert_eq!(world.having(&commit(2)), ["p1"], "{}", world.rollout().note);
        world
            .act(&approve("fleet", &commit(2), Scope::Wave("two".to_owned())))
            .unwrap();
        world.pass(20);
        assert_eq!(world.having(&commit(2)).len(), 3);
    }
}

#[test]
fn roll_23_a_repository_that_the_environment_before_does_not_use_is_proven_by_nobody() {
    let mut world = World::settled(&file("maxConcurrent: 3", "proof: {soak: 2s}", "prod"));
    world.push("second", "prod", 2);
    world.pass(30);
    assert!(world.having(&of_second(2)).is_empty());
    assert!(
        world.rollout().note.contains("can never"),
        "{}",
        world.rollout().note
    );
    // It holds up no repair of the other repository, and an admin has a way in.
    world.act(&override_of("second", &of_second(2))).unwrap();
    world.pass(20);
    assert_eq!(world.having(&of_second(2)).len(), 3);
}

#[test]
fn roll_31_a_hotfix_comes_in_by_an_admins_word() {
    let mut world = World::settled(&file("maxConcurrent: 3", "proof: {soak: 2s}", "dev, prod"));
    world.push("fleet", "prod", 5);
    world.pass(10);
    assert!(world.having(&commit(5)).is_empty());
    world.act(&override_of("fleet", &commit(5))).unwrap();
    world.pass(20);
    assert_eq!(world.having(&commit(5)).len(), 3);
    assert!(world.audit.iter().any(|entry| entry.action == "override"));
}

#[test]
fn roll_32_an_environment_that_is_gone_ends_its_rollout_and_a_new_one_proves_nothing_alone() {
    let text = file("maxConcurrent: 3", "", "prod");
    let mut world = World::settled(&text);
    world.push("fleet", "prod", 2);
    world.pass(1);
    let renamed = text
        .replace("- name: prod", "- name: live")
        .replace("[dev, prod]", "[dev, live]")
        .replace("[prod]", "[live]");
    world.declare(&renamed);
    world.pass(20);
    assert_eq!(world.rollout().state, State::Superseded);
    assert!(world.rollout().note.contains("not in the fleet file"));
    let live = &world.fleet.rollouts()[&"live".parse::<EnvironmentName>().unwrap()];
    assert_eq!(live.state, State::Pending, "{}", live.note);
    assert_eq!(world.having(&commit(2)), ["p1"], "all stay where they are");
    world.declare(&text);
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
}

/// Of an environment that was renamed nothing is deleted, and nothing comes over to the new name by itself.
#[test]
fn roll_32_pins_and_approvals_stay_with_the_name_that_they_were_given_to() {
    let text = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::settled(&text);
    world.push("fleet", "prod", 2);
    world
        .act(&approve("fleet", &commit(2), Scope::Commit))
        .unwrap();
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
    world.act(&pin(None, false)).unwrap();
    let before = world.state().clone();
    let renamed = text
        .replace("- name: prod", "- name: live")
        .replace("[dev, prod]", "[dev, live]")
        .replace("[prod]", "[live]");
    // One cluster is not listed anywhere.
    let placed = "clusters:\n- {name: p1, environment: live}\n- {name: p2, environment: live}\n";
    world.declare(&(renamed + placed));
    world.pass(20);
    assert_eq!(*world.state(), before, "what was decided is all there");
    let live: EnvironmentName = "live".parse().unwrap();
    let state = &world.fleet.environments()[&live];
    assert!(state.pin.is_none() && state.approvals.is_empty());
    let good: Vec<&str> = state.approved.keys().map(RepositoryName::as_str).collect();
    assert_eq!(good, ["fleet-file"], "no commit is good there yet");
    let rollout = &world.fleet.rollouts()[&live];
    assert_eq!(rollout.state, State::Pending);
    assert!(rollout.note.contains("0 of 1 approval"), "{}", rollout.note);
    assert_eq!(world.having(&commit(2)).len(), 3, "all stay where they are");
    no_application_less(&world);
    let told = crate::status::explain(&world.fleet, "p3", at(world.second)).unwrap();
    let told: Vec<&str> = told.iter().map(|step| step.text.as_str()).collect();
    assert!(
        told.iter()
            .any(|one| one.contains("in environment prod, which the fleet file does not")),
        "{told:?}"
    );
    // And back: what was decided holds again.
    world.declare(&text);
    world.pass(20);
    assert!(world.state().pin.is_some());
    assert_eq!(world.having(&commit(2)).len(), 3);
    no_application_less(&world);
}

fn no_application_less(world: &World) {
    for cluster in ["p1", "p2", "p3"] {
        let assigned = world.fleet.clusters()[&name(cluster)].assigned.clone();
        let applications = assigned.unwrap().assignment.applications.clone();
        assert_eq!(applications.len(), 2, "{cluster}");
    }
}

#[test]
fn an_approval_of_somebody_who_may_not_any_more_counts_no_longer() {
    let mut world = World::settled(&file("maxConcurrent: 3", "approvals: 2", "prod"));
    world.push("fleet", "prod", 2);
    world
        .act(&approve("fleet", &commit(2), Scope::Commit))
        .unwrap();
    assert!(
        world.rollout().note.contains("1 of 2"),
        "{}",
        world.rollout().note
    );
    world.step(Event::Demoted(
        "bob".to_owned(),
        vec!["prod".parse().unwrap()],
    ));
    assert!(
        world.rollout().note.contains("0 of 2"),
        "{}",
        world.rollout().note
    );
    assert!(
        world
            .audit
            .iter()
            .any(|entry| entry.action == "approvals withdrawn")
    );
}

#[test]
fn a_hub_that_has_read_half_of_its_branches_begins_nothing() {
    let mut world = World::new(&file("maxConcurrent: 3", "", "prod"));
    world.push("fleet", "prod", 1);
    assert!(world.fleet.rollouts().is_empty());
    world.push("second", "prod", 1);
    assert_eq!(world.rollout().target.len(), 3, "with the fleet file");
}

/// Enrolling again brings a record of its own; what people decided about the cluster stays.
#[test]
fn what_people_decided_about_a_cluster_outlives_its_enrolment() {
    let mut world = World::settled(&file("maxConcurrent: 3", "approvals: 0", "prod"));
    world.act(&Action::Suspend(name("p1"))).unwrap();
    let cluster = world.fleet.clusters.get_mut(&name("p1")).unwrap();
    cluster.record.let_go = Some(Epoch(1));
    world.step(put("p1", "prod", None));
    let record = &world.fleet.clusters()[&name("p1")].record;
    assert_eq!(record.let_go, Some(Epoch(1)));
    assert!(record.suspended.is_some());
}
