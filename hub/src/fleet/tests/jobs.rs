//! Jobs as gates: when and where they are requested, and which results count.

mod told;

use flotilla_shared::gate_job::{GateJob, GateJobReport, GateJobState};

use super::super::gate::{Gate, GateKind, Open};
use super::super::rollout::State;
use super::roll::{approve, override_of};
use super::*;

const JOBS: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments:
- {name: dev, branch: dev}
- name: prod
  branch: prod
  strategy: {waves: [{name: canary, clusters: [p2]}]}
  gates: {GATES}
applications: [{name: web, repository: fleet, path: apps/web, namespace: web}]
";
const SMOKE: &str = "jobs: [{name: smoke, application: web, path: gates/smoke, timeout: 1m}]";

struct Bench {
    fleet: Fleet,
    second: i64,
    sessions: u64,
    /// The last request to each cluster.
    asked: BTreeMap<String, Vec<GateJob>>,
    /// The number of requests.
    times: usize,
    /// Reports of agents on Jobs.
    reports: BTreeMap<String, Vec<GateJobReport>>,
    audit: Vec<AuditEntry>,
}

impl Bench {
    /// All clusters run the first commit.
    fn new(gates: &str) -> Self {
        let mut bench = Self {
            fleet: Fleet::new(Epoch(1)),
            second: 0,
            sessions: 0,
            asked: BTreeMap::new(),
            times: 0,
            reports: BTreeMap::new(),
            audit: Vec::new(),
        };
        bench.declare("");
        for cluster in ["p1", "p2"] {
            bench.step(put(cluster, "prod", None));
            bench.connect(cluster);
        }
        bench.push(1);
        bench.pass(5);
        assert_eq!(bench.running().len(), 2);
        bench.declare(gates);
        bench
    }

    fn declare(&mut self, gates: &str) {
        let text = JOBS.replace("GATES", gates);
        let spec = spec::parse("f", &text).unwrap();
        self.step(Event::SpecChanged(Arc::new(spec)));
    }

    fn step(&mut self, event: Event) {
        let effects = self.fleet.step(event, at(self.second));
        self.take(effects);
        while self.fleet.has_due() {
            let effects = self.fleet.advance(at(self.second));
            self.take(effects);
        }
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::AskJobs(cluster, _, jobs) => {
                    self.times += 1;
                    self.asked.insert(cluster.to_string(), jobs.to_vec());
                }
                Effect::Audit(entry) => self.audit.push(entry),
                _ => {}
            }
        }
    }

    fn act(&mut self, action: &Action) {
        let taken = self.fleet.act(action, "bob", "why", at(self.second));
        self.take(taken.unwrap().effects);
        let effects = self.fleet.advance(at(self.second));
        self.take(effects);
    }

    fn connect(&mut self, cluster: &str) {
        self.sessions += 1;
        let accepted = self.fleet.clusters()[&name(cluster)].accepted;
        self.step(connect(cluster, self.sessions, accepted));
    }

    fn disconnect(&mut self, cluster: &str) {
        let session = self.fleet.clusters()[&name(cluster)].session.unwrap().0;
        self.step(Event::Disconnected(name(cluster), session));
    }

    fn push(&mut self, n: u64) {
        self.step(heads(Some(0), Some(n)));
    }

    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.second += 1;
            for cluster in ["p1", "p2"] {
                let known = &self.fleet.clusters()[&name(cluster)];
                let (Some((session, _)), Some(assigned)) = (known.session, known.assigned.clone())
                else {
                    continue;
                };
                let mut report = current(&assigned);
                report.gate_jobs = self.reports.get(cluster).cloned().unwrap_or_default();
                for event in taken(cluster, session, assigned.reference, report) {
                    self.step(event);
                }
            }
            self.step(Event::Tick);
        }
    }

    /// Returns the present request to a cluster.
    fn asked(&self, cluster: &str) -> Vec<GateJob> {
        self.asked.get(cluster).cloned().unwrap_or_default()
    }

    fn says(&mut self, cluster: &str, job: &GateJob, state: GateJobState) {
        let report = GateJobReport {
            id: job.id(),
            gate: job.gate.clone(),
            state,
            reason: None,
            message: "BackoffLimitExceeded".to_owned(),
            ran_seconds: 12,
        };
        self.reports.insert(cluster.to_owned(), vec![report]);
        self.pass(1);
    }

    fn rollout(&self) -> &rollout::Rollout {
        &self.fleet.rollouts()[&"prod".parse::<EnvironmentName>().unwrap()]
    }

    /// Returns the clusters with their commits.
    fn running(&self) -> Vec<(String, Commit)> {
        let all = self.fleet.clusters().iter();
        let mut found = Vec::new();
        for (name, cluster) in all {
            let assigned = cluster.assigned.iter();
            for app in assigned.flat_map(|assigned| assigned.assignment.applications.values()) {
                found.push((name.to_string(), app.revision.commit.clone()));
            }
        }
        found
    }

    fn is_held(&self, n: u64) -> bool {
        self.running()
            .iter()
            .all(|(_, running)| *running != commit(n))
    }

    fn gate(&self, n: u64) -> Gate {
        let prod = self.fleet.spec().environment(&"prod".parse().unwrap());
        let target = [("fleet".parse().unwrap(), commit(n))].into();
        let gates = self.fleet.gates(prod.unwrap(), &target, at(self.second));
        let job = gates.into_iter().find(|gate| gate.gate == GateKind::Job);
        job.unwrap()
    }
}

#[test]
fn a_job_runs_in_one_cluster_and_its_success_lets_the_commit_in() {
    let mut bench = Bench::new(SMOKE);
    bench.push(2);
    bench.pass(5);
    assert!(bench.asked("p1").is_empty(), "p2 is of the first wave");
    let asked = bench.asked("p2");
    assert_eq!(asked.len(), 1);
    let application = &asked[0].application;
    assert_eq!(application.revision.commit, commit(2));
    assert_eq!(
        (application.path.as_str(), application.url.as_str()),
        ("gates/smoke", "https://git.example.com/fleet.git")
    );
    assert_eq!((asked[0].timeout_seconds, asked[0].attempt), (60, 0));
    assert_eq!(bench.times, 1, "once is enough while the stream stands");
    assert!(bench.is_held(2) && bench.gate(2).open == Open::NotYet);
    bench.says("p2", &asked[0], GateJobState::Running);
    assert!(bench.is_held(2) && bench.gate(2).text.contains("runs in cluster p2"));
    bench.says("p2", &asked[0], GateJobState::Succeeded);
    bench.pass(5);
    assert_eq!(bench.rollout().state, State::Succeeded);
    assert!(!bench.is_held(2));
    assert!(bench.asked("p2").is_empty(), "nothing is asked any more");
    let told = bench
        .audit
        .iter()
        .find(|entry| entry.action == AuditAction::GateJobSucceeded);
    let told = told.unwrap();
    assert_eq!(told.clusters, ["p2"]);
    assert!(
        told.detail
            .contains("smoke: succeeded in cluster p2 after 12 seconds")
    );
}

#[test]
fn a_failure_holds_until_a_retry_or_a_new_commit_succeeds() {
    for (state, text) in [
        (
            GateJobState::Failed,
            "failed in cluster p2 after 12 seconds: BackoffLimitExceeded",
        ),
        (
            GateJobState::TimedOut,
            "timed out in cluster p2 after 12 seconds: BackoffLimitExceeded",
        ),
    ] {
        let mut bench = Bench::new(SMOKE);
        bench.push(2);
        bench.pass(1);
        let first = bench.asked("p2").remove(0);
        bench.says("p2", &first, state);
        bench.pass(60);
        let gate = bench.gate(2);
        assert!(bench.is_held(2) && gate.open == Open::No && gate.lasting);
        assert_eq!(gate.reason, Some(Reason::GateJobFailed));
        assert_eq!(gate.text, text);
        let note = &bench.rollout().note;
        assert!(note.contains("flotilla retry prod"), "{note}");
        assert!(
            bench.asked("p2").is_empty(),
            "it does not run again by itself"
        );
        bench.act(&Action::Retry("prod".parse().unwrap()));
        let second = bench.asked("p2").remove(0);
        assert_eq!(second.attempt, 1);
        assert_ne!(second.id(), first.id());
        // A late report on the first attempt changes nothing.
        bench.pass(3);
        assert!(bench.is_held(2) && bench.gate(2).open == Open::NotYet);
        bench.says("p2", &second, state);
        bench.push(3);
        bench.pass(1);
        let third = bench.asked("p2").remove(0);
        assert_eq!(
            (third.application.revision.commit.clone(), third.attempt),
            (commit(3), 0)
        );
        bench.says("p2", &third, GateJobState::Succeeded);
        bench.pass(5);
        assert!(!bench.is_held(3));
    }
}

#[test]
fn nothing_but_that_very_jobs_success_opens_the_gate() {
    let mut bench = Bench::new(SMOKE);
    bench.push(2);
    bench.pass(1);
    let job = bench.asked("p2").remove(0);
    // Neither silence counts, nor a report of another cluster, on another commit, path or application, or without a
    // result.
    bench.pass(100);
    bench.says("p1", &job, GateJobState::Succeeded);
    bench.reports.clear();
    let changes: [fn(&mut GateJob); 3] = [
        |job| job.application.revision.commit = commit(1),
        |job| job.application.path = "gates/other".parse().unwrap(),
        |job| job.attempt += 1,
    ];
    for change in changes {
        let mut other = job.clone();
        change(&mut other);
        bench.says("p2", &other, GateJobState::Succeeded);
    }
    for state in [
        GateJobState::Waiting,
        GateJobState::Running,
        GateJobState::Refused,
    ] {
        bench.says("p2", &job, state);
    }
    assert!(bench.is_held(2));
    assert!(
        bench.gate(2).lasting,
        "what an agent refuses does not open by waiting"
    );
    // A result of a Job that the fleet file no longer declares does not count.
    bench.says("p2", &job, GateJobState::Failed);
    bench.declare(&SMOKE.replace("gates/smoke", "gates/better"));
    bench.pass(1);
    assert_eq!(bench.gate(2).open, Open::NotYet);
    let better = bench.asked("p2").remove(0);
    assert_eq!(better.application.path.as_str(), "gates/better");
}

#[test]
fn nothing_of_a_commit_runs_before_everything_else_lets_it_in() {
    let mut bench = Bench::new(&format!("approvals: 1, {SMOKE}"));
    bench.push(2);
    bench.pass(3);
    assert_eq!(bench.times, 0);
    assert!(bench.gate(2).text.contains("once the other gates are open"));
    bench.act(&Action::Pause("prod".parse().unwrap()));
    bench.act(&approve("fleet", &commit(2), Scope::Commit));
    bench.pass(3);
    assert_eq!(bench.times, 0, "a person stopped it");
    bench.act(&Action::Resume("prod".parse().unwrap()));
    assert_eq!(bench.asked("p2").len(), 1);
    bench.act(&Action::Pause("prod".parse().unwrap()));
    bench.pass(1);
    assert!(bench.asked("p2").is_empty(), "it is taken back");
    assert!(bench.is_held(2));
}

#[test]
fn a_cluster_that_is_away_says_so_and_is_asked_when_it_is_back() {
    let mut bench = Bench::new(SMOKE);
    bench.disconnect("p2");
    bench.push(2);
    bench.pass(3);
    let gate = bench.gate(2);
    assert_eq!(
        (gate.open, gate.reason),
        (Open::NotYet, Some(Reason::Offline))
    );
    assert!(gate.text.contains("p2"), "{}", gate.text);
    assert_eq!(bench.times, 0);
    bench.connect("p2");
    let job = bench.asked("p2").remove(0);
    bench.connect("p2");
    assert_eq!(bench.times, 2, "each stream is told");
    // A Job that is withdrawn while its cluster is offline continues there; the cluster is told after its next report.
    bench.says("p2", &job, GateJobState::Running);
    bench.disconnect("p2");
    bench.declare("");
    bench.pass(1);
    bench.connect("p2");
    bench.pass(1);
    assert!(bench.asked("p2").is_empty());
}

#[test]
fn an_override_opens_it_like_any_gate() {
    let mut bench = Bench::new(SMOKE);
    bench.push(2);
    bench.pass(1);
    bench.act(&override_of("fleet", &commit(2)));
    bench.pass(5);
    assert!(!bench.is_held(2));
    assert!(bench.asked("p2").is_empty());
}

#[test]
fn a_promotion_is_not_held_up_by_what_only_the_branch_lets_run() {
    let mut bench = Bench::new(SMOKE);
    bench.pass(1);
    let gate = bench.gate(7);
    assert_eq!(gate.open, Open::Skipped);
    assert!(gate.text.contains("branch prod"), "{}", gate.text);
}

#[test]
fn a_hub_that_begins_anew_forgets_no_result_and_asks_for_what_is_open() {
    for heard in [true, false] {
        let mut bench = Bench::new(SMOKE);
        bench.push(2);
        bench.pass(1);
        let job = bench.asked("p2").remove(0);
        if heard {
            bench.says("p2", &job, GateJobState::Failed);
        }
        let old = std::mem::replace(&mut bench.fleet, Fleet::new(Epoch(1)));
        let text =
            serde_json::to_string(&old.environments()[&"prod".parse::<EnvironmentName>().unwrap()]);
        let state: EnvironmentState = serde_json::from_str(&text.unwrap()).unwrap();
        bench.asked.clear();
        bench.reports.clear();
        bench.step(Event::Restored {
            heads: old.heads().clone().into_iter().collect(),
            clusters: stored_clusters(&old),
            environments: vec![("prod".parse().unwrap(), state)],
            rollouts: old.rollouts().values().cloned().collect(),
            retired: Vec::new(),
            specifications: Vec::new(),
        });
        bench.step(Event::SpecChanged(Arc::clone(old.spec())));
        for cluster in ["p1", "p2"] {
            bench.connect(cluster);
        }
        bench.pass(2);
        if heard {
            assert_eq!(bench.gate(2).open, Open::No);
            assert!(bench.asked("p2").is_empty(), "it ran once");
        } else {
            assert_eq!(
                bench.asked("p2"),
                std::slice::from_ref(&job),
                "the same Job"
            );
            bench.says("p2", &job, GateJobState::Succeeded);
            bench.pass(5);
            assert!(!bench.is_held(2));
        }
    }
}
