//! What a gate says of its Job, and which notes of Jobs are kept apart.

use super::super::roll::pin;
use super::*;

const LOAD: &str = "{name: load, application: web, path: gates/load, timeout: 1m}";

fn both() -> String {
    SMOKE.replace("}]", &format!("}}, {LOAD}]"))
}

fn report(job: &GateJob, state: GateJobState, reason: Option<Reason>) -> GateJobReport {
    GateJobReport {
        id: job.id(),
        gate: job.gate.clone(),
        state,
        reason,
        message: "why".to_owned(),
        ran_seconds: 12,
    }
}

impl Bench {
    fn reports(&mut self, all: Vec<GateJobReport>) {
        self.reports.insert("p2".to_owned(), all);
        self.pass(1);
    }

    /// The states of the gates of smoke and load for a commit.
    fn opens(&self, n: u64) -> Vec<(String, Open)> {
        let prod = self.fleet.spec().environment(&"prod".parse().unwrap());
        let target = [("fleet".parse().unwrap(), commit(n))].into();
        let gates = self.fleet.gates(prod.unwrap(), &target, at(self.second));
        let jobs = gates.into_iter().filter(|gate| gate.gate == GateKind::Job);
        jobs.map(|gate| (gate.subject, gate.open)).collect()
    }
}

fn states(smoke: Open, load: Open) -> Vec<(String, Open)> {
    vec![("smoke".to_owned(), smoke), ("load".to_owned(), load)]
}

#[test]
fn a_gate_says_what_its_cluster_said_of_the_job_and_when() {
    let mut bench = Bench::new(SMOKE);
    bench.push(2);
    bench.pass(1);
    assert_eq!(bench.gate(2).at, None, "nothing was heard of it yet");
    let job = bench.asked("p2").remove(0);
    assert_eq!(job.application.namespace, "web");
    for (state, reason, expected, text) in [
        (
            GateJobState::Waiting,
            Some(Reason::Throttled),
            Reason::Throttled,
            "waits in cluster p2: why",
        ),
        (
            GateJobState::Waiting,
            None,
            Reason::GateJobPending,
            "waits in cluster p2: why",
        ),
        (
            GateJobState::Running,
            None,
            Reason::GateJobPending,
            "runs in cluster p2: why",
        ),
        (
            GateJobState::Refused,
            Some(Reason::GateJobNotAllowed),
            Reason::GateJobNotAllowed,
            "cluster p2 refused to run it: why",
        ),
    ] {
        bench.reports(vec![report(&job, state, reason)]);
        let gate = bench.gate(2);
        assert_eq!((gate.reason, gate.text.as_str()), (Some(expected), text));
        assert!(gate.at.is_some(), "{text}");
    }
    bench.reports(vec![report(&job, GateJobState::Succeeded, None)]);
    let gate = bench.gate(2);
    assert!(gate.open == Open::Yes && gate.at.is_some(), "{gate:?}");
}

#[test]
fn a_job_that_has_begun_is_not_said_to_wait_for_other_gates() {
    let mut bench = Bench::new(SMOKE);
    bench.push(2);
    bench.pass(1);
    let job = bench.asked("p2").remove(0);
    bench.reports(vec![report(&job, GateJobState::Running, None)]);
    bench.declare(&format!("approvals: 1, {SMOKE}"));
    assert!(bench.gate(2).text.starts_with("runs in cluster p2"));
}

#[test]
fn results_are_kept_for_each_gate_and_commit() {
    let mut bench = Bench::new(&both());
    let retry = Action::Retry("prod".parse().unwrap());
    bench.push(2);
    bench.pass(1);
    let refused = bench.fleet.act(&retry, "bob", "why", at(bench.second));
    assert!(refused.is_err(), "nothing has failed");
    let jobs = bench.asked("p2");
    assert_eq!(jobs.len(), 2);
    let ended = |jobs: &[GateJob], load| {
        vec![
            report(&jobs[0], GateJobState::Succeeded, None),
            report(&jobs[1], load, None),
        ]
    };
    bench.reports(ended(&jobs, GateJobState::Failed));
    assert_eq!(bench.opens(2), states(Open::Yes, Open::No));
    bench.push(3);
    bench.pass(1);
    assert_eq!(bench.opens(3), states(Open::NotYet, Open::NotYet));
    let jobs = bench.asked("p2");
    bench.reports(ended(&jobs, GateJobState::Failed));
    assert_eq!(bench.opens(3), states(Open::Yes, Open::No));
    assert_eq!(bench.opens(2), states(Open::Yes, Open::No), "still known");
    bench.act(&retry);
    bench.pass(1);
    assert_eq!(bench.opens(3), states(Open::Yes, Open::NotYet));
    assert_eq!(bench.opens(2), states(Open::Yes, Open::No));
    let again = bench.asked("p2");
    let again: Vec<_> = again
        .iter()
        .map(|job| (job.gate.as_str(), job.attempt))
        .collect();
    assert_eq!(again, [("load", 1)]);
}

#[test]
fn a_job_is_to_run_for_what_a_rollout_brings_although_the_branch_has_moved_on() {
    let mut bench = Bench::new("");
    bench.push(2);
    bench.declare(SMOKE);
    bench.push(3);
    assert!(!bench.rollout().state.is_over());
    assert_eq!(bench.rollout().target["fleet"], commit(2));
    assert_eq!(bench.gate(2).open, Open::NotYet);
    assert_eq!(bench.gate(7).open, Open::Skipped);
    bench.pass(60);
    assert_eq!(bench.rollout().target["fleet"], commit(3));
    assert!(bench.opens(2).is_empty(), "what runs has no gates");
}

#[test]
fn no_job_runs_while_the_whole_environment_is_pinned() {
    let mut bench = Bench::new(SMOKE);
    bench.push(2);
    bench.pass(1);
    assert_eq!(bench.asked("p2").len(), 1);
    bench.act(&pin(None, false));
    bench.pass(1);
    assert!(bench.asked("p2").is_empty(), "it is withdrawn");
    let prod = Subject::Environment("prod".parse().unwrap());
    bench.act(&Action::Unpin(prod));
    bench.pass(1);
    assert_eq!(bench.asked("p2").len(), 1);
}
