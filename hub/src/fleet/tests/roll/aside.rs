//! A failure from before a rollout does not count for it: it delays no other commit, and quarantines nothing.

use flotilla_shared::problem::Problem;

use super::super::super::rollout::Phase;
use super::*;

fn rolled(failure: &str) -> String {
    file(
        &format!("maxConcurrent: 3, onFailure: {failure}"),
        "",
        "prod",
    )
}

fn message(world: &World, cluster: &str) -> String {
    world.rollout().clusters[&name(cluster)].message.clone()
}

#[test]
fn promise_5_what_was_ill_before_holds_up_no_other_application() {
    for failure in ["halt", "rollback"] {
        let mut world = World::rolled_out(&rolled(failure));
        // It fails by itself, on every cluster, at the good commit.
        world.bad = vec![of_second(1)];
        world.pass(5);
        world.push("fleet", "prod", 2);
        world.pass(20);
        let rollout = world.rollout();
        assert_eq!(rollout.state, State::Succeeded, "{}", rollout.why());
        assert_eq!(world.having(&commit(2)).len(), 3);
        let note = &rollout.note;
        assert!(
            note.contains("ignoring b, unhealthy there before: p1, p2, p3"),
            "{note}"
        );
        assert_eq!(message(&world, "p1"), "ignoring b, unhealthy here before");
        assert!(world.state().quarantined.is_empty() && world.state().suspects.is_empty());
        // Its own repair comes in, and counts.
        world.bad.push(of_second(2));
        world.push("second", "prod", 2);
        world.pass(20);
        assert!(world.state().suspects.is_empty());
        assert_ne!(world.rollout().state, State::Succeeded);
        world.push("second", "prod", 3);
        world.pass(20);
        assert_eq!(world.rollout().state, State::Succeeded);
        assert_eq!(world.having(&of_second(3)).len(), 3);
        let note = &world.rollout().note;
        assert!(!note.contains("ignoring"), "{note}");
    }
}

/// An unpinned cluster is assigned twice in a row, and has not reported on the first assignment when the rollout
/// starts: an application that was healthy all the time is not left aside for that.
#[test]
fn promise_4_what_was_well_while_it_was_pinned_counts_once_it_is_not() {
    let text = |path: &str| rolled("halt").replace("path: b,", &format!("path: {path},"));
    let mut world = World::rolled_out(&text("b"));
    let pinned = Subject::Cluster(name("p1"));
    let mut action = pin(None, false);
    if let Action::Pin { subject, .. } = &mut action {
        *subject = pinned.clone();
    }
    world.act(&action).unwrap();
    world.pass(2);
    world.act(&Action::Suspend(name("p2"))).unwrap();
    world.act(&Action::Suspend(name("p3"))).unwrap();
    world.pass(2);
    world.declare(&text("moved"));
    world.pass(10);
    world.stands(State::Pending);
    world.act(&Action::Unpin(pinned)).unwrap();
    let of_p1 = &world.rollout().clusters[&name("p1")];
    assert!(
        of_p1.phase.is_touched() && of_p1.before.unhealthy.is_empty(),
        "{of_p1:?}"
    );
    // So that a failure there stops the rollout.
    world.pass(1);
    world.bad = vec![commit(1)];
    world.pass(30);
    assert_ne!(world.rollout().state, State::Succeeded);
}

/// A cluster without anything of what a rollout brings proves nothing, even if its applications are unhealthy.
#[test]
fn promise_4_a_cluster_of_which_all_is_left_aside_proves_nothing() {
    let text = rolled("halt").replace(
        "path: a, placement: {environments: [dev, prod]}",
        "path: a, placement: {environments: [dev, prod], clusters: [d1, p2, p3]}",
    );
    let mut world = World::rolled_out(&text);
    world.bad = vec![of_second(1)];
    world.pass(5);
    world.push("fleet", "prod", 2);
    world.pass(3);
    let of_p1 = &world.rollout().clusters[&name("p1")];
    assert!(of_p1.phase == Phase::Done && of_p1.unchanged, "{of_p1:?}");
    world.pass(20);
    let rollout = world.rollout();
    assert_eq!(rollout.state, State::Succeeded, "{}", rollout.why());
    assert!(
        rollout.note.contains("1 of them unchanged"),
        "{}",
        rollout.note
    );
}

#[test]
fn promise_5_what_was_well_until_a_commit_came_speaks_against_it() {
    let mut world = World::rolled_out(&rolled("rollback"));
    world.harmful = vec![commit(2), commit(3)];
    world.push("fleet", "prod", 2);
    for _ in 0..10 {
        if world.rollout().state == State::RolledBack {
            break;
        }
        world.pass(1);
    }
    assert_eq!(world.rollout().state, State::RolledBack);
    assert!(
        world.rollout().note.contains("(b failed)"),
        "{}",
        world.rollout().note
    );
    let quarantined = |world: &World, n: u64| {
        let state = world.state();
        state
            .quarantine_of(&"fleet".parse().unwrap(), &commit(n))
            .is_some()
    };
    assert!(quarantined(&world, 2));
    // The next rollout starts before the cluster has reported its recovery, and even before it has recovered.
    world.bad = vec![of_second(1)];
    world.push("fleet", "prod", 3);
    world.pass(15);
    assert_eq!(world.rollout().state, State::RolledBack);
    assert!(quarantined(&world, 3));
    // It recovered, and fails again by itself.
    world.bad.clear();
    world.pass(5);
    world.bad = vec![of_second(1)];
    world.pass(5);
    world.push("fleet", "prod", 4);
    world.pass(20);
    let rollout = world.rollout();
    assert_eq!(rollout.state, State::Succeeded, "{}", rollout.why());
}

/// A rollout that takes over has to repair what the one before made unhealthy.
#[test]
fn promise_5_a_commit_that_takes_over_is_judged_by_what_was_before_the_first_one() {
    let mut world = World::rolled_out(&rolled("halt"));
    world.harmful = vec![commit(2), commit(3)];
    world.push("fleet", "prod", 2);
    world.pass(10);
    assert_eq!(world.rollout().state, State::Halted);
    world.push("fleet", "prod", 3);
    world.pass(10);
    world.stands(State::Halted);
    world.push("fleet", "prod", 4);
    world.pass(20);
    world.stands(State::Succeeded);
}

/// A cluster may lose a label by which an application is placed: it cannot be rendered there, before and after any
/// commit of another repository.
#[test]
fn promise_5_what_cannot_be_placed_any_more_holds_up_no_other_application() {
    let text = rolled("rollback").replace("path: b,", "path: 'b/{labels.region}',");
    let mut world = World::new(&rolled("rollback"));
    for (cluster, environment) in [
        ("d1", "dev"),
        ("p1", "prod"),
        ("p2", "prod"),
        ("p3", "prod"),
    ] {
        world.step(put(cluster, environment, Some("eu")));
    }
    for repository in ["fleet", "second"] {
        world.push(repository, "dev", 1);
        world.push(repository, "prod", 1);
    }
    world.pass(20);
    world.declare(&text);
    world.pass(20);
    world.stands(State::Succeeded);
    world.step(put("p1", "prod", None));
    world.pass(3);
    let problem = world.fleet.clusters()[&name("p1")].placed["b"].clone();
    assert_eq!(problem.problem.unwrap().reason, Reason::TemplateFailed);
    world.push("fleet", "prod", 2);
    world.pass(20);
    world.stands(State::Succeeded);
    assert!(world.state().quarantined.is_empty());
}

/// An agent that refuses every assignment, as it did before, proves nothing and fails nothing.
#[test]
fn promise_5_an_agent_that_refused_before_halts_and_condemns_nothing() {
    let mut world = World::rolled_out(&rolled("rollback"));
    let refuse = |world: &mut World| {
        let cluster = &world.fleet.clusters()[&name("p1")];
        let (session, _) = cluster.session.unwrap();
        world.step(Event::Acked {
            cluster: name("p1"),
            session,
            assignment: cluster.assigned_ref(),
            refusal: Some(Problem::new(Reason::UpgradeRequired, "it needs helm")),
            accepted: cluster.accepted,
        });
    };
    world.silent = vec!["p1".to_owned()];
    refuse(&mut world);
    world.push("fleet", "prod", 2);
    world.pass(1);
    refuse(&mut world);
    world.pass(2);
    let why = world.rollout().why();
    assert_eq!(world.rollout().state, State::Halted, "{why}");
    assert!(
        why.contains("as before the rollout") && why.contains("flotilla retry prod"),
        "{why}"
    );
    // A rollout that takes over includes the commit.
    world.push("second", "prod", 2);
    world.pass(1);
    refuse(&mut world);
    world.pass(2);
    assert!(world.state().quarantined.is_empty() && world.state().suspects.is_empty());
    world.stands(State::Halted);
    // The agent is upgraded.
    world.silent.clear();
    world.act(&Action::Retry("prod".parse().unwrap())).unwrap();
    world.pass(20);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&commit(2)).len(), 3);
    assert_eq!(world.having(&of_second(2)).len(), 3);
}
