//! A pin of a cluster to a commit of one repository keeps only that repository from it.

use super::*;

/// Pins a cluster to the commit of `fleet` that it runs.
fn keep(world: &mut World, cluster: &str) {
    let action = Action::Pin {
        subject: Subject::Cluster(name(cluster)),
        commit: None,
        repository: Some("fleet".parse().unwrap()),
        expires_at: None,
        approval: None,
        overriding: GateOverride::Denied,
    };
    world.act(&action).unwrap();
}

fn phase(world: &World, cluster: &str) -> rollout::Phase {
    world.rollout().clusters[&name(cluster)].phase
}

/// A world that declares `a` of `fleet` and `b` of `second` on p1, the canary, p2 and p3.
fn world() -> World {
    World::rolled_out(&file("maxConcurrent: 3", "", "prod"))
}

#[test]
fn promise_5_who_is_kept_on_one_repository_gets_what_others_bring_in_its_wave() {
    let mut world = world();
    keep(&mut world, "p1");
    world.push("second", "prod", 2);
    world.pass(2);
    assert_eq!(
        world.having(&of_second(2)),
        ["p1"],
        "it is the canary as before"
    );
    assert_eq!(world.having(&commit(1)).len(), 3);
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&of_second(2)).len(), 3);
    assert!(
        !world.rollout().note.contains("pins"),
        "nothing was kept from it"
    );
    // A commit of the pinned repository has no canary.
    world.push("fleet", "prod", 2);
    world.pass(20);
    assert_eq!(phase(&world, "p1"), rollout::Phase::Pinned);
    let note = world.rollout().why();
    assert!(note.contains("excluded by pins (p1)"), "{note}");
    assert!(world.having(&commit(2)).is_empty());
}

/// A cluster that proves a commit runs all commits of the rollout.
#[test]
fn promise_4_who_is_kept_on_one_repository_is_left_out_of_what_brings_that_too() {
    let mut world = world();
    keep(&mut world, "p2");
    world.act(&Action::Pause("prod".parse().unwrap())).unwrap();
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.act(&Action::Resume("prod".parse().unwrap())).unwrap();
    world.pass(30);
    world.stands(State::Succeeded);
    let note = world.rollout().why();
    assert!(note.contains("excluded by pins: p2"), "{note}");
    assert_eq!(world.having(&commit(2)), ["p1", "p3"]);
    assert_eq!(
        world.having(&of_second(2)),
        ["p1", "p2", "p3"],
        "by what is good"
    );
    // From now on it takes part again in rollouts of the other repository.
    world.push("second", "prod", 3);
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(phase(&world, "p2"), rollout::Phase::Done);
    assert_eq!(world.having(&commit(1)), ["p2"]);
}

/// The commits that it gets then are good already.
#[test]
fn who_is_let_go_or_kept_in_the_middle_goes_on_and_is_heard_on_what_it_runs_then() {
    let mut world = world();
    keep(&mut world, "p2");
    world.push("fleet", "prod", 2);
    world.pass(30);
    world.stands(State::Succeeded);
    world.push("second", "prod", 2);
    while phase(&world, "p2") != rollout::Phase::Soaking {
        world.pass(1);
    }
    world.silent.push("p2".to_owned());
    world
        .act(&Action::Unpin(Subject::Cluster(name("p2"))))
        .unwrap();
    assert_eq!(world.having(&commit(2)), ["p1", "p2", "p3"]);
    world.pass(3);
    assert_ne!(phase(&world, "p2"), rollout::Phase::Done, "no word of it");
    world.silent.clear();
    world.pass(20);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&of_second(2)), ["p1", "p2", "p3"]);
}
