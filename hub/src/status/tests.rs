mod going_on;
mod kept_out;

use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::Epoch;
use flotilla_shared::report::Report;
use flotilla_status::StepState;

use super::*;
use crate::fleet::rollout::State;
use crate::fleet::{
    Action, ActionError, ClusterRecord, Event, GateOverride, Hello, Scope, SessionId, Subject,
};
use crate::spec;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments: [{name: prod, branch: prod}]
applications: [{name: web, repository: fleet, path: web}]
";

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

fn name() -> ClusterName {
    "c".parse().unwrap()
}

/// The fleet of a file with one connected cluster, whose branch is at `a`.
fn connected(file: &str) -> Fleet {
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", file).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), at(0));
    let record = ClusterRecord {
        environment: Some("prod".parse().unwrap()),
        ..ClusterRecord::default()
    };
    fleet.step(Event::ClusterPut(name(), record), at(0));
    let event = Event::HeadsRead {
        repository: "fleet".parse().unwrap(),
        asked: vec!["prod".parse().unwrap()],
        found: [("prod".parse().unwrap(), "a".repeat(40).parse().unwrap())].into(),
    };
    fleet.step(event, at(1));
    let hello = Hello {
        accepted: fleet.clusters()[&name()].assigned_ref(),
        ..Hello::default()
    };
    fleet.step(Event::Connected(name(), SessionId(1), hello), at(2));
    fleet
}

/// A fleet of one cluster that accepted its assignment and reported `commit` as synced and healthy.
fn fleet(reported: &str) -> Fleet {
    let mut fleet = connected(FILE);
    let report = ApplicationReport {
        revision: Some(flotilla_shared::revision::Revision {
            repository: "fleet".parse().unwrap(),
            branch: "prod".parse().unwrap(),
            commit: reported.repeat(40).parse().unwrap(),
        }),
        sync: SyncState::Synced,
        health: Health::Current,
        ..ApplicationReport::default()
    };
    let report = Report {
        applications: [("web".parse().unwrap(), report.into())].into(),
        assignment: fleet.clusters()[&name()].assigned_ref(),
        ..Report::default()
    };
    fleet.step(
        Event::Reported(name(), SessionId(1), report, Digest::of(b"r")),
        at(3),
    );
    fleet
}

/// An application of a failed revision of the fleet file must not be shown as undeclared.
#[test]
fn an_orphan_that_the_file_declares_here_is_not_said_to_be_undeclared() {
    let fleet = fleet("a");
    let message = |app: &str| {
        let mut report = ApplicationReport {
            sync: SyncState::Orphaned,
            ..ApplicationReport::default()
        };
        let cluster = &fleet.clusters()[&name()];
        leaving::say(&fleet, &name(), cluster, &app.parse().unwrap(), &mut report);
        report.message
    };
    assert!(message("web").contains("declared for this cluster by a revision"));
    assert!(message("other").starts_with("it is no longer declared"));
}

#[test]
fn a_cluster_is_current_only_at_exactly_the_assigned_commit() {
    let current = |reported| environments(&fleet(reported), at(4))[0].current;
    assert_eq!(current("a"), 1);
    assert_eq!(
        current("b"),
        0,
        "an older commit's good health proves nothing"
    );
    assert_eq!(environments(&fleet("a"), at(400))[0].online, 0);
    assert_eq!(
        environments(&fleet("a"), at(400))[0].current,
        0,
        "nor does a stale report"
    );
}

#[test]
fn explain_walks_the_whole_chain() {
    let steps = explain(&fleet("a"), "c", at(4)).unwrap();
    let chain: Vec<_> = steps.iter().map(|step| step.step.as_str()).collect();
    let want = [
        "placement",
        "branch-head",
        "assignment",
        "delivery",
        "acceptance",
        "apply",
        "health",
    ];
    assert_eq!(chain, want);
    assert!(
        steps.iter().all(|step| step.state == StepState::Ok),
        "{steps:?}"
    );
    assert!(explain(&fleet("a"), "prod", at(4)).is_some());
    assert!(explain(&fleet("a"), "nothing", at(4)).is_none());
}

#[test]
fn filters_join_by_and() {
    let fleet = fleet("b");
    let name: ClusterName = "c".parse().unwrap();
    let matches = |requested: FilterRequest| {
        Filter::parse(requested)
            .unwrap()
            .matches(&fleet, &name, at(4))
    };
    let environments = vec!["prod".to_owned()];
    assert!(matches(FilterRequest {
        environments,
        not_ready: true,
        ..Default::default()
    }));
    assert!(!matches(FilterRequest {
        environments: vec!["dev".into()],
        ..Default::default()
    }));
    assert!(!matches(FilterRequest {
        selector: "region".into(),
        ..Default::default()
    }));
}

const GATED: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments:
- name: prod
  branch: prod
  strategy: {waves: [{name: canary, clusters: [c], approvals: 1}]}
  gates: {approvals: 1}
applications: [{name: web, repository: fleet, path: web}]
";

/// A fleet whose only cluster has no assignment yet, since an approval is missing.
fn waiting() -> Fleet {
    let mut fleet = connected(GATED);
    fleet.advance(at(2));
    fleet
}

fn approve(fleet: &mut Fleet, scope: Scope, second: i64) -> Result<(), ActionError> {
    let action = Action::Approve {
        repository: None,
        environment: "prod".parse().unwrap(),
        commit: "a".repeat(40).parse().unwrap(),
        scope,
    };
    fleet.act(&action, "bob", "fine", at(second))?;
    fleet.advance(at(second));
    Ok(())
}

#[test]
fn a_cluster_that_waits_for_its_first_commit_was_neither_refused_nor_did_it_fail() {
    let fleet = waiting();
    let environment = environments(&fleet, at(4)).remove(0);
    assert_eq!((environment.failed, environment.current), (0, 0));
    let shown = cluster(&fleet, &"c".parse().unwrap(), at(4), Detail::Full).unwrap();
    assert_eq!(shown.sync, SyncState::Unknown);
    let web = &shown.applications[0];
    assert_eq!(
        (web.sync, web.reason.as_str()),
        (SyncState::Unknown, "WaitsForRollout")
    );
}

/// Returns the states and texts of one step.
fn steps(fleet: &Fleet, subject: &str, step: &str, second: i64) -> Vec<(StepState, String)> {
    explain(fleet, subject, at(second))
        .unwrap()
        .into_iter()
        .filter(|found| found.step.as_str() == step)
        .map(|step| (step.state, step.text))
        .collect()
}

fn rollout_note(fleet: &Fleet) -> String {
    let prod: flotilla_shared::id::EnvironmentName = "prod".parse().unwrap();
    fleet.rollouts()[&prod].why()
}

#[test]
fn explain_tells_gates_before_and_after_they_opened_and_how_to_open_them() {
    use StepState::{Ok, Waiting};
    let mut fleet = waiting();
    let gate = |fleet: &Fleet, second| steps(fleet, "c", "approval", second);
    let how = "0 of 1 approval; to approve: flotilla approve prod --commit aaaaaaa";
    assert_eq!(gate(&fleet, 3), [(Waiting, how.to_owned())]);
    let note = rollout_note(&fleet);
    assert_eq!(note, format!("approval: {how}"), "the note has it, too");
    approve(&mut fleet, Scope::Commit, 4).unwrap();
    let passed = [(Ok, "1 of 1 approval (bob)".to_owned())];
    assert_eq!(gate(&fleet, 5), passed, "what let it in is still told");
    let wave = steps(&fleet, "prod", "wave-approval", 5);
    let how = "0 of 1 approval; to approve: flotilla approve prod --wave canary";
    assert_eq!(wave, [(Waiting, how.to_owned())]);
    approve(&mut fleet, Scope::Wave("canary".to_owned()), 6).unwrap();
    let wave = steps(&fleet, "prod", "wave-approval", 7);
    assert_eq!(wave, [(Ok, "1 of 1 approval: bob".to_owned())]);
    let place = steps(&fleet, "c", "wave", 7);
    assert_eq!(place, [(Waiting, "started in wave canary".to_owned())]);
}

#[test]
fn an_approval_that_nothing_asks_for_is_refused() {
    let mut fleet = waiting();
    let mut say = |scope| approve(&mut fleet, scope, 4).unwrap_err().to_string();
    assert_eq!(
        say(Scope::Wave("cnary".to_owned())),
        "prod: there is no wave cnary; did you mean canary?"
    );
    assert_eq!(
        say(Scope::Wave("rest".to_owned())),
        "wave rest of prod does not require approval; wave canary does: add --wave canary"
    );
    let mut open = fleet_without_strategy();
    let refused = approve(&mut open, Scope::Commit, 4).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "prod does not require approval of commits"
    );
}

fn fleet_without_strategy() -> Fleet {
    fleet("a")
}

#[test]
fn what_cannot_be_steered_is_not_said_to_be() {
    let mut fleet = fleet_without_strategy();
    let mut say = |action: Action| {
        let refused = fleet.act(&action, "ada", "why", at(5));
        refused.unwrap_err().to_string()
    };
    let prod: flotilla_shared::id::EnvironmentName = "prod".parse().unwrap();
    for action in [
        Action::Pause(prod.clone()),
        Action::Retry(prod.clone()),
        Action::Abort(prod),
    ] {
        let text = say(action);
        assert!(text.starts_with("prod has no rollout strategy"), "{text}");
        assert!(text.contains("flotilla pin --env prod"), "{text}");
    }
    let pin = |cluster: &str| Action::Pin {
        overriding: GateOverride::Allowed,
        subject: Subject::Cluster(cluster.parse().unwrap()),
        commit: None,
        repository: None,
        expires_at: None,
        approval: None,
    };
    assert_eq!(say(pin("d")), "there is no cluster d; did you mean c?");
    assert_eq!(
        say(Action::Pause("prd".parse().unwrap())),
        "there is no environment prd; did you mean prod?"
    );
}

#[test]
fn explain_tells_a_local_freeze_and_keeps_health_apart_from_sync() {
    let name: ClusterName = "c".parse().unwrap();
    let mut fleet = fleet("a");
    let mut report = fleet.clusters()[&name].report.clone().unwrap();
    report.suspended = "migration until noon".to_owned();
    let app = "web".parse().unwrap();
    let mut web = report.applications[&app].as_ref().clone();
    web.health = Health::Failed;
    web.reason = Some(flotilla_shared::reason::Reason::Unhealthy);
    web.message = "Deployment web/web: crashes".to_owned();
    report.applications.insert(app, web.into());
    let event = Event::Reported(name, SessionId(1), report, Digest::of(b"s"));
    fleet.step(event, at(4));
    let of = |step: &str| steps(&fleet, "c", step, 5);
    use StepState::{Failed, Ok, Waiting};
    assert_eq!(
        of("freeze"),
        [(
            Waiting,
            "the agent writes nothing in the cluster, whatever is assigned: migration until noon"
                .to_owned()
        )]
    );
    assert_eq!(of("apply"), [(Ok, "Synced at aaaaaaa".to_owned())]);
    assert_eq!(
        of("health"),
        [(Failed, "Failed; Deployment web/web: crashes".to_owned())]
    );
}

#[test]
fn an_answer_about_what_is_not_there_says_so() {
    let fleet = fleet("a");
    let unknown = |requested: FilterRequest| Filter::parse(requested).unwrap().unknown(&fleet);
    let of = |name: &str| vec![name.to_owned()];
    assert_eq!(unknown(FilterRequest::default()), None);
    let filter = FilterRequest {
        environments: of("prd"),
        ..FilterRequest::default()
    };
    let text = "there is no environment prd; did you mean prod?";
    assert_eq!(unknown(filter).as_deref(), Some(text));
    let filter = FilterRequest {
        applications: of("wbe"),
        ..FilterRequest::default()
    };
    let text = "there is no application wbe; did you mean web?";
    assert_eq!(unknown(filter).as_deref(), Some(text));
    let filter = FilterRequest {
        clusters: of("c"),
        ..FilterRequest::default()
    };
    assert_eq!(unknown(filter), None);
}

#[test]
fn an_override_after_a_failure_tries_the_commit_again() {
    let mut fleet = waiting();
    let prod: flotilla_shared::id::EnvironmentName = "prod".parse().unwrap();
    approve(&mut fleet, Scope::Override, 3).unwrap();
    fleet
        .act(&Action::Abort(prod.clone()), "ada", "crashes", at(4))
        .unwrap();
    fleet.advance(at(4));
    let held = environments(&fleet, at(5)).remove(0);
    assert_eq!(held.quarantined[0].reason, "aborted by ada: crashes");
    assert!(held.hold.is_some(), "no automatic promotion, too");
    assert_eq!(fleet.rollouts()[&prod].id, "prod-1");
    approve(&mut fleet, Scope::Override, 6).unwrap();
    assert_eq!(environments(&fleet, at(7)).remove(0).quarantined, []);
    assert_eq!(fleet.rollouts()[&prod].id, "prod-2");
}

#[test]
fn an_agent_that_reported_before_the_hub_restarted_is_offline_not_unknown() {
    let mut cluster = Cluster::default();
    let connection = |cluster: &Cluster| cluster.connection(at(0), OFFLINE_AFTER);
    assert_eq!(connection(&cluster), Connectivity::NeverSeen);
    cluster.report = Some(Report::default());
    assert_eq!(connection(&cluster), Connectivity::Offline);
}

#[test]
fn a_retry_is_judged_by_what_is_reported_after_it() {
    let name: ClusterName = "c".parse().unwrap();
    let prod: flotilla_shared::id::EnvironmentName = "prod".parse().unwrap();
    let mut fleet = waiting();
    approve(&mut fleet, Scope::Override, 3).unwrap();
    approve(&mut fleet, Scope::Wave("canary".to_owned()), 3).unwrap();
    let accepted = fleet.clusters()[&name].assigned_ref();
    let hello = Hello {
        accepted,
        ..Hello::default()
    };
    fleet.step(Event::Connected(name.clone(), SessionId(2), hello), at(4));
    let web = |health| ApplicationReport {
        revision: Some(flotilla_shared::revision::Revision {
            repository: "fleet".parse().unwrap(),
            branch: "prod".parse().unwrap(),
            commit: "a".repeat(40).parse().unwrap(),
        }),
        sync: SyncState::Synced,
        health,
        message: "crashes".to_owned(),
        ..ApplicationReport::default()
    };
    let say = |fleet: &mut Fleet, health, second| {
        let report = Report {
            applications: [("web".parse().unwrap(), web(health).into())].into(),
            assignment: accepted,
            ..Report::default()
        };
        let digest = Digest::of(format!("{second}").as_bytes());
        let event = Event::Reported(name.clone(), SessionId(2), report, digest);
        fleet.step(event, at(second));
        fleet.advance(at(second));
    };
    let state = |fleet: &Fleet| fleet.rollouts()[&prod].state;
    say(&mut fleet, Health::Failed, 5);
    assert_eq!(state(&fleet), State::Halted);
    fleet
        .act(&Action::Retry(prod.clone()), "ada", "", at(8))
        .unwrap();
    fleet.advance(at(8));
    assert_eq!(state(&fleet), State::Running, "the old word does not count");
    say(&mut fleet, Health::Failed, 9);
    assert_eq!(state(&fleet), State::Halted, "the new one does");
}

#[test]
fn a_clock_that_is_far_off_is_shown_and_explained() {
    let mut fleet = fleet("a");
    let seen = |fleet: &Fleet, second| {
        let shown = cluster(fleet, &name(), at(second), Detail::Summary).unwrap();
        let told = steps(fleet, "c", "clock", second);
        (shown.clock_ahead_seconds, told.into_iter().next())
    };
    assert_eq!(seen(&fleet, 4), (None, None));
    let beat = Event::Heartbeat {
        cluster: name(),
        session: SessionId(1),
        accepted: fleet.clusters()[&name()].assigned_ref(),
        report: Digest::of(b"r"),
        clock: Some(at(5 + 3600)),
    };
    fleet.step(beat, at(5));
    let (ahead, told) = seen(&fleet, 6);
    assert_eq!(ahead, Some(3600));
    let (state, text) = told.unwrap();
    assert_eq!(state, StepState::Failed);
    assert!(
        text.contains("the agent's clock is 1h ahead of the hub's"),
        "{text}"
    );
    assert_eq!(
        seen(&fleet, 500),
        (None, None),
        "nothing is known of one that is away"
    );
}

#[test]
fn a_cluster_that_waits_is_let_in_by_its_key() {
    let mut fleet = Fleet::new(Epoch(1));
    let record = ClusterRecord {
        pending: Some("ab".repeat(32)),
        ..ClusterRecord::default()
    };
    fleet.step(Event::ClusterPut(name(), record), at(0));
    let (_, text) = steps(&fleet, "c", "acceptance", 1).remove(0);
    let command = format!(
        "flotilla cluster accept c --fingerprint {}",
        "ab".repeat(32)
    );
    assert!(text.ends_with(&command), "{text}");
}
