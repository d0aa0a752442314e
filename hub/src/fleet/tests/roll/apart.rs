//! Promise 5 at the gates: a commit that may not come in delays none of another repository, nor of the fleet file,
//! whatever its gate waits for, and it is shown as waiting.

use super::*;

/// Asserts which clusters have the second commit of each repository in the end.
#[track_caller]
fn has(world: &World, of: &str, all: bool) {
    let commit = match of {
        "fleet" => commit(2),
        _ => of_second(2),
    };
    let having = world.having(&commit).len();
    let expected = if all { 3 } else { 0 };
    assert_eq!(having, expected, "{of}: {}", world.rollout().why());
}

fn approve_commit(world: &mut World, repository: &str, commit: &Commit) {
    let action = approve(repository, commit, Scope::Commit);
    world.act(&action).unwrap();
}

/// `dev` runs nothing of `second`, and can never prove it.
#[test]
fn promise_5_what_nobody_can_prove_holds_up_no_other_repository() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "proof: {soak: 2s}", "prod"));
    world.push("second", "prod", 2);
    world.pass(5);
    world.stands(State::Pending);
    world.push("fleet", "dev", 2);
    world.pass(10);
    world.push("fleet", "prod", 2);
    world.pass(20);
    has(&world, "fleet", true);
    has(&world, "second", false);
    // It waits by itself, and its note names the command that lets it in.
    world.stands(State::Pending);
    let note = world.rollout().note.clone();
    assert!(
        note.contains("can never prove it") && note.contains(of_second(2).short()),
        "{note}"
    );
    let number = world.rollout().number();
    world.pass(60);
    assert_eq!(world.rollout().number(), number, "and nothing goes round");
    world.act(&override_of("second", &of_second(2))).unwrap();
    world.pass(20);
    has(&world, "second", true);
}

/// In every mode only commits with open gates take over; a repository that is held back during a rollout stays at the
/// commit in progress.
#[test]
fn promise_5_a_closed_gate_holds_up_nobody_in_every_mode() {
    for mode in ["supersede", "queue", "finish"] {
        let strategy = format!("maxConcurrent: 3, onNewCommit: {mode}");
        let mut world = World::rolled_out(&file(&strategy, "approvals: 1", "prod"));
        world.push("second", "prod", 2);
        world.pass(3);
        world.stands(State::Pending);
        world.push("fleet", "prod", 2);
        world.pass(3);
        has(&world, "fleet", false);
        approve_commit(&mut world, "fleet", &commit(2));
        world.pass(2);
        // The other repository's commit may come in during the rollout.
        world.push("second", "prod", 3);
        world.pass(20);
        has(&world, "fleet", true);
        assert!(world.having(&of_second(3)).is_empty(), "{mode}");
        world.stands(State::Pending);
        approve_commit(&mut world, "second", &of_second(3));
        world.pass(20);
        assert_eq!(world.having(&of_second(3)).len(), 3, "{mode}");
        world.stands(State::Succeeded);
    }
}

/// A push without approval stops no rollout in progress.
#[test]
fn promise_5_a_newer_commit_that_may_not_come_in_yet_takes_nothing_over() {
    let mut world = World::rolled_out(&file("maxConcurrent: 1", "approvals: 1", "prod"));
    world.push("fleet", "prod", 2);
    approve_commit(&mut world, "fleet", &commit(2));
    while world.having(&commit(2)).is_empty() {
        world.pass(1);
    }
    let id = world.rollout().id.clone();
    world.push("fleet", "prod", 3);
    world.pass(2);
    assert_eq!(world.rollout().id, id, "{}", world.rollout().why());
    let prod = world.fleet.spec().environment(&"prod".parse().unwrap());
    let apart = world.fleet.apart(prod.unwrap(), at(world.second));
    assert_eq!(apart.len(), 1);
    assert_eq!(apart[0].commit, commit(3));
    let held = world.fleet.held_back(prod.unwrap(), at(world.second));
    let [held] = held.as_slice() else {
        panic!("{held:#?}");
    };
    let why = format!("which waits separately beside {id}");
    assert_eq!((&held.commit, &held.why), (&commit(3), &why));
    world.pass(40);
    has(&world, "fleet", true);
    world.stands(State::Pending);
    approve_commit(&mut world, "fleet", &commit(3));
    while world.having(&commit(3)).is_empty() {
        world.pass(1);
    }
    // Once its gates are open, it comes in during the rollout.
    let told = world
        .audit
        .iter()
        .filter(|entry| entry.action == AuditAction::RolloutSuperseded);
    let ended = told.count();
    world.push("fleet", "prod", 4);
    approve_commit(&mut world, "fleet", &commit(4));
    world.pass(2);
    let target = &world.rollout().target;
    assert_eq!(
        target[&"fleet".parse::<RepositoryName>().unwrap()],
        commit(4)
    );
    let told = world
        .audit
        .iter()
        .filter(|entry| entry.action == AuditAction::RolloutSuperseded);
    assert_eq!(told.count(), ended + 1, "and the one before is over");
    world.pass(40);
    assert_eq!(world.having(&commit(4)).len(), 3);
}

/// A revision of the fleet file and a commit beside it each wait for their own approvals only.
#[test]
fn promise_5_a_change_of_the_fleet_file_and_commits_hold_up_one_another_in_nothing() {
    let text = file("maxConcurrent: 3", "approvals: 1", "prod");
    let moved = text.replace("path: a,", "path: moved,");
    let mut world = World::rolled_out(&text);
    world.declare(&moved);
    world.pass(3);
    world.stands(State::Pending);
    world.push("fleet", "prod", 2);
    approve_commit(&mut world, "fleet", &commit(2));
    world.pass(20);
    has(&world, "fleet", true);
    let revision = world.rollout().specification().cloned();
    world.stands(State::Pending);
    // The same with their roles exchanged.
    world.push("fleet", "prod", 3);
    approve_commit(&mut world, "fleet-file", &revision.unwrap());
    world.pass(20);
    let good = world.state().approved[&"fleet".parse::<RepositoryName>().unwrap()].clone();
    assert_eq!(good, commit(2));
    assert!(world.rollout().specification().is_none(), "it is good");
    world.stands(State::Pending);
}

/// An override for one commit during a freeze lets in that commit alone.
#[test]
fn promise_5_a_hotfix_in_a_freeze_does_not_wait_for_what_nobody_overrode() {
    let freeze =
        "freezes: [{from: 2020-01-01T00:00, to: 2099-01-01T00:00, timeZone: UTC, reason: x}]";
    let mut world = World::rolled_out(&file("maxConcurrent: 3", freeze, "prod"));
    world.push("second", "prod", 2);
    world.push("fleet", "prod", 2);
    world.pass(5);
    world.stands(State::Pending);
    assert!(world.rollout().note.contains("frozen"));
    world.act(&override_of("fleet", &commit(2))).unwrap();
    world.pass(20);
    has(&world, "fleet", true);
    has(&world, "second", false);
    world.stands(State::Pending);
}

/// A failed commit that waits for an operator delays no other, and is not retried for it; and a commit with closed
/// gates takes nothing over.
#[test]
fn promise_5_what_is_halted_holds_up_nobody_and_gives_way_to_nothing_that_is_closed() {
    let strategy = "maxConcurrent: 3, onFailure: halt";
    let mut world = World::rolled_out(&file(strategy, "approvals: 1", "prod"));
    world.bad.push(commit(2));
    world.push("fleet", "prod", 2);
    approve_commit(&mut world, "fleet", &commit(2));
    world.pass(30);
    world.stands(State::Halted);
    let id = world.rollout().id.clone();
    world.push("second", "prod", 2);
    world.pass(10);
    assert_eq!(world.rollout().id, id, "{}", world.rollout().why());
    approve_commit(&mut world, "second", &of_second(2));
    world.pass(30);
    has(&world, "second", true);
    has(&world, "fleet", false);
    let failed: RepositoryName = "fleet".parse().unwrap();
    assert!(world.state().quarantine_of(&failed, &commit(2)).is_some());
}

/// A commit that waits beside a rollout is shown with its gates.
#[test]
fn promise_6_what_waits_apart_is_seen() {
    let mut world = World::rolled_out(&file("maxConcurrent: 1", "approvals: 1", "prod"));
    world.push("second", "prod", 2);
    world.push("fleet", "prod", 2);
    approve_commit(&mut world, "fleet", &commit(2));
    world.pass(1);
    assert!(!world.rollout().state.is_over());
    let prod = world.fleet.spec().environment(&"prod".parse().unwrap());
    let apart = world.fleet.apart(prod.unwrap(), at(world.second));
    assert_eq!(apart.len(), 1);
    assert_eq!(apart[0].commit, of_second(2));
    assert_eq!(
        apart[0].gates[0].gate,
        crate::fleet::gate::GateKind::Approval
    );
    let second: RepositoryName = "second".parse().unwrap();
    assert_eq!(
        apart[0].waiting(),
        [(second, of_second(2))].into(),
        "as what waits for somebody"
    );
    let expected = format!("second {} is held back: why", of_second(2).short());
    assert_eq!(apart[0].text("why"), expected);
    let told = crate::status::explain(&world.fleet, "p3", at(world.second)).unwrap();
    let told: Vec<&str> = told.iter().map(|step| step.text.as_str()).collect();
    let act = format!("flotilla approve prod --commit {}", of_second(2).short());
    assert!(told.iter().any(|text| text.contains(&act)), "{told:?}");
}

/// A revision of the fleet file that uses a repository for the first time needs a commit of it: both come in together,
/// in waves, or neither does.
#[test]
fn promise_4_a_move_to_a_repository_that_may_not_come_in_waits_for_it() {
    let text = file("maxConcurrent: 3", "approvals: 1", "prod");
    let without_b = text.lines().filter(|line| !line.contains("name: b,"));
    let text: String = without_b.map(|line| format!("{line}\n")).collect();
    let mut world = World::rolled_out(&text);
    world.push("second", "prod", 2);
    world.declare(&text.replace(
        "{name: a, repository: fleet",
        "{name: a, repository: second",
    ));
    world.pass(3);
    let revision = world.rollout().specification().cloned().unwrap();
    approve_commit(&mut world, "fleet-file", &revision);
    world.pass(20);
    world.stands(State::Pending);
    assert_eq!(world.having(&commit(1)).len(), 3);
    approve_commit(&mut world, "second", &of_second(2));
    world.pass(1);
    assert_eq!(world.having(&of_second(2)), ["p1"], "in waves");
    world.pass(20);
    assert_eq!(world.having(&of_second(2)).len(), 3);
    world.stands(State::Succeeded);
}

/// Neither can be tried without the other: after a second failure they are not retried again and again.
#[test]
fn promise_5_what_failed_with_the_file_that_takes_it_is_tried_once_more_and_no_further() {
    let text = file("maxConcurrent: 3, onFailure: rollback", "", "prod");
    let without_b = text.lines().filter(|line| !line.contains("name: b,"));
    let text: String = without_b.map(|line| format!("{line}\n")).collect();
    let mut world = World::rolled_out(&text);
    world.bad.push(of_second(1));
    world.declare(&text.replace(
        "{name: a, repository: fleet",
        "{name: a, repository: second",
    ));
    world.pass(100);
    let number = world.rollout().number();
    assert!(world.having(&of_second(1)).is_empty());
    let second: RepositoryName = "second".parse().unwrap();
    assert!(
        world
            .state()
            .quarantine_of(&second, &of_second(1))
            .is_some()
    );
    world.pass(100);
    assert_eq!(
        world.rollout().number(),
        number,
        "{}",
        world.rollout().why()
    );
}

/// A commit that waits only for its Job has it run during another repository's rollout.
#[test]
fn promise_5_a_job_of_what_waits_by_itself_runs_beside_a_rollout() {
    let job = "jobs: [{name: smoke, application: a, path: gates/smoke, timeout: 1m}]";
    let mut world = World::rolled_out(&file("maxConcurrent: 1", job, "prod"));
    world.push("second", "prod", 2);
    world.pass(1);
    let id = world.rollout().id.clone();
    assert!(world.rollout().started_at.is_some(), "it has no Job");
    world.jobs.clear();
    world.push("fleet", "prod", 2);
    world.pass(1);
    assert_eq!(world.jobs, [commit(2)]);
    assert_eq!(world.rollout().id, id, "{}", world.rollout().why());
    world.pass(30);
    has(&world, "second", true);
    has(&world, "fleet", false);
}

/// Before the branch moves only the environment before has the commit.
#[test]
fn an_approval_before_the_branch_moves_finds_the_repository() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 1", "dev, prod"));
    world.push("second", "dev", 2);
    world.pass(5);
    let mut action = approve("second", &of_second(2), Scope::Commit);
    if let Action::Approve { repository, .. } = &mut action {
        *repository = None;
    }
    world.act(&action).unwrap();
    world.push("second", "prod", 2);
    world.pass(20);
    has(&world, "second", true);
}

/// A revision of the fleet file that waits by itself is found by its digest alone.
#[test]
fn an_approval_of_a_change_of_the_fleet_file_beside_a_rollout_finds_it() {
    let text = file("maxConcurrent: 1", "approvals: 1", "prod");
    let mut world = World::rolled_out(&text);
    world.push("fleet", "prod", 2);
    approve_commit(&mut world, "fleet", &commit(2));
    world.pass(1);
    world.declare(&text.replace("path: b,", "path: moved,"));
    let prod = world.fleet.spec().environment(&"prod".parse().unwrap());
    let apart = world.fleet.apart(prod.unwrap(), at(world.second));
    let mut action = approve("fleet-file", &apart[0].commit, Scope::Commit);
    if let Action::Approve { repository, .. } = &mut action {
        *repository = None;
    }
    world.act(&action).unwrap();
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(world.rollout().specification(), Some(&apart[0].commit));
}
