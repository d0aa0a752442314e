//! Proofs of a revision of the fleet file by the environment before, and how they are stored.

use super::*;
use crate::fleet::gate::{GateKind, Open};

fn proving(gates: &str) -> String {
    file("maxConcurrent: 3", gates, "dev, prod")
}

/// Returns the gates of the environment before for prod's next revision.
fn answers(world: &World) -> Vec<(Open, String)> {
    let prod = world.fleet.spec().environment(&"prod".parse().unwrap());
    let target = [(RepositoryName::fleet_file().clone(), revision(world))].into();
    let mut gates = world.fleet.gates(prod.unwrap(), &target, at(world.second));
    gates.retain(|gate| gate.gate == GateKind::Health);
    gates
        .into_iter()
        .map(|gate| (gate.open, gate.text))
        .collect()
}

/// Returns how often the proof of a revision is stored.
fn kept(world: &World, revision: &Commit) -> usize {
    let all = world.state().proven.iter();
    all.filter(|proven| proven.commits.get(RepositoryName::fleet_file()) == Some(revision))
        .count()
}

/// Applications of the same names run there, but not as this revision declares them.
#[test]
fn what_the_environment_before_has_not_rolled_out_yet_it_has_not_proven() {
    let waves = "- {name: dev, branch: dev, strategy: {soak: 3s, progressDeadline: 20s}}";
    let text = proving("proof: {soak: 2s}").replace("- {name: dev, branch: dev}", waves);
    let mut world = World::rolled_out(&text);
    let dev: EnvironmentName = "dev".parse().unwrap();
    world.act(&Action::Pause(dev.clone())).unwrap();
    world.declare(&moved(&text));
    world.pass(20);
    let waits = "dev does not run a as declared here yet".to_owned();
    assert_eq!(answers(&world), [(Open::NotYet, waits)]);
    has_paths(&world, "a", ["a", "a", "a"]);
    world.act(&Action::Resume(dev)).unwrap();
    world.pass(40);
    has_paths(&world, "a", ["ax", "ax", "ax"]);
}

/// A cluster that runs nothing of what a revision changes is no evidence, even if it is suspended
/// with an earlier one.
#[test]
fn who_runs_nothing_of_what_changes_says_nothing_of_it() {
    let only = "path: a, placement: {environments: [dev, prod], clusters: [d1, p1, p2, p3]}";
    let placed = "path: a, placement: {environments: [dev, prod]}";
    let text = proving("proof: {soak: 2s}").replace(placed, only);
    let mut world = World::rolled_out(&text);
    world.step(put("d2", "dev", None));
    world.act(&Action::Suspend(name("d2"))).unwrap();
    world.declare(&moved(&text));
    world.pass(1);
    let of = |cluster: &str| world.fleet.clusters()[&name(cluster)].specified.clone();
    assert_ne!(of("d1"), of("d2"));
    assert!(of("d2").is_some());
    assert_eq!(answers(&world).len(), 1, "d1 alone: {:?}", answers(&world));
    world.pass(40);
    has_paths(&world, "a", ["-", "ax", "ax", "ax"]);
}

/// The proof is stored once, however long an approval takes: the list is bounded, and more entries would push out other
/// proofs.
#[test]
fn what_was_proven_is_kept_once_until_somebody_has_approved_it() {
    let text = proving("proof: {soak: 2s}, approvals: 1");
    let mut world = World::rolled_out(&text);
    let first = revision(&world);
    world.pass(20);
    assert_eq!(
        kept(&world, &first),
        0,
        "it is in force there by an override"
    );
    world.declare(&moved(&text));
    let second = revision(&world);
    world.pass(1);
    assert_eq!(kept(&world, &second), 0, "it soaks");
    world.pass(40);
    assert_eq!(kept(&world, &second), 1);
    let proven = "dev proved what it declares".to_owned();
    assert_eq!(answers(&world), [(Open::Yes, proven)]);
    world
        .act(&approve("fleet-file", &second, Scope::Commit))
        .unwrap();
    world.pass(40);
    has_paths(&world, "a", ["ax", "ax", "ax"]);
    assert_eq!(kept(&world, &second), 1);
}
