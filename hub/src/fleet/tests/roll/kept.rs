//! A pin of a cluster to the commit of one repository keeps that, and nothing else, from it.

use super::*;

/// Keeps a cluster on the commit of `fleet` that it runs.
fn keep(world: &mut World, cluster: &str) {
    let action = Action::Pin {
        subject: Subject::Cluster(name(cluster)),
        commit: None,
        repository: Some("fleet".parse().unwrap()),
        expires_at: None,
        approval: None,
        admin: false,
    };
    world.act(&action).unwrap();
}

fn phase(world: &World, cluster: &str) -> rollout::Phase {
    world.rollout().clusters[&name(cluster)].phase
}

/// All of these declare `a` of `fleet` and `b` of `second` on p1, the canary, p2 and p3.
fn world() -> World {
    World::settled(&file("maxConcurrent: 3", "", "prod"))
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
    // What it is kept from finds no canary.
    world.push("fleet", "prod", 2);
    world.pass(20);
    assert_eq!(phase(&world, "p1"), rollout::Phase::Pinned);
    let note = world.rollout().why();
    assert!(note.contains("pinned away (p1)"), "{note}");
    assert!(world.having(&commit(2)).is_empty());
}

#[test]
fn promise_4_who_is_kept_on_one_repository_proves_nothing_of_it() {
    // Both come at once: `fleet` first waits for an approval, for which `second` has not asked.
    let mut world = world();
    keep(&mut world, "p2");
    world.act(&Action::Pause("prod".parse().unwrap())).unwrap();
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.act(&Action::Resume("prod".parse().unwrap())).unwrap();
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&commit(2)), ["p1", "p3"]);
    assert_eq!(world.having(&of_second(2)), ["p1", "p2", "p3"]);
    let note = world.rollout().why();
    assert!(note.contains("by pins without fleet: p2"), "{note}");
    // Where nobody else runs it, it stays where it was good.
    let text = file("maxConcurrent: 3", "", "prod").replace(
        "placement: {environments: [dev, prod]}",
        "placement: {environments: [dev, prod], clusters: [d1, p2]}",
    );
    let mut world = World::settled(&text);
    keep(&mut world, "p2");
    world.act(&Action::Pause("prod".parse().unwrap())).unwrap();
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.act(&Action::Resume("prod".parse().unwrap())).unwrap();
    world.pass(30);
    let of = |repository: &str| {
        world.state().approved[&repository.parse::<RepositoryName>().unwrap()].clone()
    };
    assert_eq!((of("fleet"), of("second")), (commit(1), of_second(2)));
    assert!(world.having(&commit(2)).is_empty());
}

#[test]
fn promise_4_who_is_let_go_or_kept_in_the_middle_begins_anew() {
    let mut world = world();
    keep(&mut world, "p2");
    world.act(&Action::Pause("prod".parse().unwrap())).unwrap();
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.act(&Action::Resume("prod".parse().unwrap())).unwrap();
    // The canary is done, and p2 is in the last second of its soak.
    while phase(&world, "p2") != rollout::Phase::Soaking {
        world.pass(1);
    }
    world.silent.push("p2".to_owned());
    world
        .act(&Action::Unpin(Subject::Cluster(name("p2"))))
        .unwrap();
    assert_eq!(phase(&world, "p2"), rollout::Phase::Started);
    assert_eq!(world.having(&commit(2)), ["p1", "p2", "p3"]);
    world.pass(10);
    assert_eq!(
        phase(&world, "p2"),
        rollout::Phase::Started,
        "no word of it"
    );
    world.silent.clear();
    world.pass(1);
    // And the other way round.
    keep(&mut world, "p3");
    let before = world.rollout().clusters[&name("p3")].phase;
    assert_eq!(
        before,
        rollout::Phase::Started,
        "kept on what it was just given"
    );
    world.pass(20);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&commit(2)), ["p1", "p2", "p3"]);
}
