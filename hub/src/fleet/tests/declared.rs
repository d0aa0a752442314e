//! The fleet file as a source of revisions: its changes pass waves, gates and rollouts (case 35).

mod beside;
mod proven;

use super::super::rollout::{Phase, State};
use super::roll::{World, approve, file, of_second};
use super::*;

/// Returns the directory of an application on each of prod's clusters.
fn paths(world: &World, app: &str) -> Vec<String> {
    let all = world.fleet.clusters().iter();
    let all = all.filter(|(name, _)| name.as_str() != "d1");
    all.map(|(_, cluster)| {
        let assigned = cluster.assigned.as_ref();
        let app = assigned.and_then(|assigned| assigned.assignment.applications.get(app));
        app.map_or("-".to_owned(), |app| app.path.to_string())
    })
    .collect()
}

/// Asserts the directories of an application on prod's clusters.
#[track_caller]
fn has_paths<const N: usize>(world: &World, app: &str, expected: [&str; N]) {
    assert_eq!(paths(world, app), expected, "{:?}", ended(world));
}

fn revision(world: &World) -> Commit {
    let prod = "prod".parse().unwrap();
    world.fleet.declared_revision(&prod).unwrap().1
}

fn ended(world: &World) -> (State, &str) {
    (world.rollout().state, world.rollout().note.as_str())
}

/// Asserts that nothing is removed with a tombstone.
fn no_tombstones(world: &World) {
    for cluster in world.fleet.clusters().values() {
        assert!(
            cluster
                .assigned
                .as_ref()
                .unwrap()
                .assignment
                .tombstones
                .is_empty()
        );
    }
}

fn base() -> String {
    file("maxConcurrent: 3", "approvals: 0", "prod")
}

fn moved(text: &str) -> String {
    text.replace("path: a,", "path: ax,")
}

#[test]
fn live_35_a_change_of_the_fleet_file_goes_by_waves_and_is_told() {
    let mut world = World::rolled_out(&base());
    let before = world.rollout().id.clone();
    world.declare(&moved(&base()));
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"], "the canary alone");
    world.pass(2);
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"], "while it soaks");
    assert_eq!(world.rollout().changes, ["a path: a → ax"]);
    assert_ne!(world.rollout().id, before);
    let created = world
        .audit
        .iter()
        .rfind(|entry| entry.action == AuditAction::RolloutCreated);
    let created = created.unwrap();
    assert!(
        created.detail.ends_with("fleet file: a path: a → ax"),
        "{created:?}"
    );
    assert!(
        created.commit.contains(revision(&world).as_str()),
        "{created:?}"
    );
    world.pass(20);
    assert_eq!(paths(&world, "a"), ["ax", "ax", "ax"]);
    assert_eq!(ended(&world).0, State::Succeeded, "{:?}", ended(&world));
    // The revision in force is kept; dev has no strategy and its own revision.
    assert!(world.kept.contains_key(&revision(&world)) && world.kept.len() == 2);
}

/// Files and commits are the same, but the result differs: it soaks like any change.
#[test]
fn an_option_alone_is_a_change_that_soaks() {
    for (field, seen) in [
        ("path: a, namespace: x,", "namespace"),
        ("path: a, renderer: plain,", "renderer"),
        ("path: a, substitute: true,", "substitute"),
        ("path: a, syncPolicy: {prune: disabled},", "syncPolicy"),
    ] {
        let mut world = World::rolled_out(&base());
        world.declare(&base().replace("path: a,", field));
        world.pass(2);
        assert!(
            world.rollout().changes[0].contains(seen),
            "{:?}",
            world.rollout()
        );
        let phase = |cluster: &str| world.rollout().clusters[&name(cluster)].phase;
        assert_eq!(phase("p1"), Phase::Soaking, "{field}");
        assert_eq!((phase("p2"), phase("p3")), (Phase::Waiting, Phase::Waiting));
        world.pass(20);
        assert_eq!(ended(&world).0, State::Succeeded, "{:?}", ended(&world));
    }
}

#[test]
fn it_passes_the_gates_that_a_commit_passes() {
    let gated = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::rolled_out(&gated);
    world.declare(&moved(&gated));
    world.pass(20);
    assert_eq!(paths(&world, "a"), ["a", "a", "a"], "nobody approved it");
    assert!(
        ended(&world).1.contains("approval fleet-file"),
        "{:?}",
        ended(&world)
    );
    // An approval of a commit approves no revision of the fleet file, and one of a revision no other revision.
    world
        .act(&approve("fleet", &commit(1), Scope::Commit))
        .unwrap();
    let first = revision(&world);
    world.declare(&gated.replace("path: a,", "path: ay,"));
    world
        .act(&approve("fleet-file", &first, Scope::Commit))
        .unwrap();
    world.pass(20);
    assert_eq!(paths(&world, "a"), ["a", "a", "a"]);
    let second = revision(&world);
    world
        .act(&approve("fleet-file", &second, Scope::Commit))
        .unwrap();
    world.pass(20);
    assert_eq!(paths(&world, "a"), ["ay", "ay", "ay"]);
}

#[test]
fn the_environment_before_proves_it() {
    let gated = file("maxConcurrent: 3", "proof: {soak: 2s}", "dev, prod");
    let mut world = World::rolled_out(&gated);
    // In dev it never becomes healthy, so that prod does not get it.
    world.bad_paths = vec!["ax".to_owned()];
    world.declare(&moved(&gated));
    world.pass(20);
    has_paths(&world, "a", ["a", "a", "a"]);
    world.bad_paths.clear();
    world.pass(1);
    assert_eq!(paths(&world, "a"), ["a", "a", "a"], "it soaks");
    world.pass(20);
    has_paths(&world, "a", ["ax", "ax", "ax"]);
    // Dev cannot prove what it does not have.
    world.declare(&moved(&gated).replace(
        "path: b, placement: {environments: [dev, prod]}",
        "path: bx, placement: {environments: [prod]}",
    ));
    world.pass(20);
    assert_eq!(paths(&world, "b"), ["b", "b", "b"]);
    assert!(
        ended(&world).1.contains("can never prove it"),
        "{:?}",
        ended(&world)
    );
}

#[test]
fn what_fails_is_rolled_back_and_not_tried_again() {
    let text = file(
        "maxConcurrent: 3, onFailure: rollback",
        "approvals: 0",
        "prod",
    );
    let mut world = World::rolled_out(&text);
    world.bad_paths = vec!["ax".to_owned()];
    world.declare(&moved(&text));
    world.pass(5);
    assert_eq!(ended(&world).0, State::RolledBack, "{:?}", ended(&world));
    assert_eq!(
        paths(&world, "a"),
        ["a", "a", "a"],
        "the former specification"
    );
    let failed = revision(&world);
    let fleet_file = "fleet-file".parse().unwrap();
    assert!(world.state().quarantine_of(&fleet_file, &failed).is_some());
    // A commit continues without it.
    world.push("fleet", "prod", 2);
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3, "{:?}", ended(&world));
    assert_eq!(paths(&world, "a"), ["a", "a", "a"]);
    assert_eq!(ended(&world).0, State::Succeeded);
    // The earlier file is the one in force, and starts no rollout.
    let last = world.rollout().id.clone();
    world.declare(&text);
    world.pass(5);
    assert_eq!(world.rollout().id, last);
    world.declare(&text.replace("path: a,", "path: ay,"));
    world.pass(20);
    has_paths(&world, "a", ["ay", "ay", "ay"]);
}

#[test]
fn a_halted_change_yields_to_its_repair() {
    for mode in ["supersede", "queue", "finish"] {
        let text = file(
            &format!("maxConcurrent: 3, onNewCommit: {mode}"),
            "approvals: 0",
            "prod",
        );
        let mut world = World::rolled_out(&text);
        world.bad_paths = vec!["ax".to_owned()];
        world.declare(&moved(&text));
        world.pass(5);
        assert_eq!(ended(&world).0, State::Halted, "{mode} {:?}", ended(&world));
        assert_eq!(paths(&world, "a"), ["ax", "a", "a"]);
        world.declare(&text);
        world.pass(20);
        assert_eq!(
            paths(&world, "a"),
            ["a", "a", "a"],
            "{mode} {:?}",
            ended(&world)
        );
        assert_eq!(
            ended(&world).0,
            State::Succeeded,
            "{mode} {:?}",
            ended(&world)
        );
    }
}

/// A change that only takes applications away starts no rollout, and deletes nothing.
#[test]
fn what_is_taken_away_goes_at_once() {
    let gated = file("maxConcurrent: 1", "approvals: 1", "prod");
    for taken in [
        gated.replace("environments: [prod]", "environments: [dev]"),
        gated.replace(
            "environments: [prod]}",
            "environments: [prod], clusters: [p1]}",
        ),
    ] {
        let mut world = World::rolled_out(&gated);
        let last = world.rollout().id.clone();
        world.declare(&taken);
        let kept = paths(&world, "b");
        assert_eq!(&kept[1..], ["-", "-"]);
        assert_eq!(paths(&world, "a"), ["a", "a", "a"]);
        no_tombstones(&world);
        let entry = world.audit.last().unwrap();
        assert_eq!(
            (&entry.action, entry.actor.as_str()),
            (&AuditAction::ApplicationsTakenAway, "fleet file")
        );
        world.pass(5);
        assert_eq!(world.rollout().id, last, "no rollout");
        // An application that returns is an addition, and waits.
        world.declare(&gated);
        world.pass(5);
        assert_eq!(paths(&world, "b"), kept, "{:?}", ended(&world));
        world
            .act(&approve("fleet-file", &revision(&world), Scope::Commit))
            .unwrap();
        world.pass(30);
        has_paths(&world, "b", ["b", "b", "b"]);
    }
}

#[test]
fn of_a_change_that_gives_and_takes_only_the_giving_waits() {
    let mut world = World::rolled_out(&base());
    let text = moved(&base()).replace("environments: [prod]", "environments: [dev]");
    world.declare(&text);
    assert_eq!(paths(&world, "b"), ["-", "-", "-"]);
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"]);
    no_tombstones(&world);
    world.pass(20);
    has_paths(&world, "a", ["ax", "ax", "ax"]);
}

#[test]
fn whoever_joins_gets_what_is_good() {
    let gated = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::rolled_out(&gated);
    world.declare(&moved(&gated));
    world.step(put("p4", "prod", None));
    world.step(connect("p4", 9, AssignmentRef::default()));
    assert_eq!(paths(&world, "a"), ["a", "a", "a", "a"]);
    // A new cluster in the file is no change for the others.
    let mut world = World::rolled_out(&gated);
    let last = world.rollout().id.clone();
    world.declare(&gated.replace(
        "applications:",
        "clusters:\n- {name: p5, environment: prod, labels: {size: small}}\napplications:",
    ));
    world.step(put("p5", "prod", None));
    assert_eq!(paths(&world, "a"), ["a", "a", "a", "a"]);
    assert_eq!(world.rollout().id, last);
}

#[test]
fn waves_gates_and_polls_are_no_change_of_what_runs() {
    let mut world = World::rolled_out(&base());
    let last = world.rollout().id.clone();
    for text in [
        file("maxConcurrent: 1", "approvals: 1", "prod"),
        base().replace("fleet.git'}", "fleet.git', pollInterval: 5m}"),
        base().replace("soak: 3s", "soak: 9s"),
        base().replace("clusters: [p1]", "clusters: [p2]"),
    ] {
        world.declare(&text);
        world.pass(3);
        assert_eq!(world.rollout().id, last);
    }
}

#[test]
fn without_a_strategy_it_comes_at_once_and_a_strategy_begins_from_it() {
    let with = base();
    let strategy = with
        .lines()
        .find(|line| line.contains("strategy:"))
        .unwrap();
    let gates = with.lines().find(|line| line.contains("gates:")).unwrap();
    let without = with.replace(strategy, "").replace(gates, "");
    let mut world = World::new(&without);
    for repository in ["fleet", "second"] {
        world.push(repository, "prod", 1);
    }
    world.declare(&moved(&without));
    assert_eq!(paths(&world, "a"), ["ax", "ax", "ax"]);
    // A strategy and a change are added in one edit.
    world.declare(&with);
    assert_eq!(paths(&world, "a"), ["a", "ax", "ax"]);
    world.pass(20);
    has_paths(&world, "a", ["a", "a", "a"]);
}
