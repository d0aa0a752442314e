//! Changes of a fleet file are reported before it is in force.

use flotilla_shared::id::ApplicationName;

use super::super::rollout::State;
use super::roll::{World, file};
use super::*;

fn base() -> String {
    file("maxConcurrent: 3", "approvals: 0", "prod")
}

/// Each difference as a line: first of an environment, then of its clusters.
fn lines(world: &World, new: &str) -> Vec<String> {
    let new = spec::parse("f", new).unwrap();
    let mut lines = Vec::new();
    for change in world.fleet.in_force().compare(&new) {
        let (name, waves) = (&change.environment, change.in_waves);
        lines.extend(change.changes.iter().map(|line| format!("{name}: {line}")));
        let mark = if waves { "in waves" } else { "at once" };
        for cluster in &change.clusters {
            let words = |sign: &str, all: &[ApplicationName]| {
                all.iter()
                    .map(|app| format!(" {sign}{app}"))
                    .collect::<String>()
            };
            let from = cluster.moves_from.as_ref();
            lines.push(format!(
                "{mark} {}{}{}{}{}",
                cluster.cluster,
                from.map(|from| format!(" from {from}")).unwrap_or_default(),
                words("+", &cluster.gains),
                words("-", &cluster.loses),
                words("~", &cluster.changes),
            ));
        }
        assert_eq!(change.more_clusters, 0);
    }
    lines
}

#[test]
fn the_file_in_force_changes_nothing() {
    let world = World::rolled_out(&base());
    assert_eq!(lines(&world, &base()), [] as [&str; 0]);
    // Comments and the order of entries do not matter.
    let reordered = format!("# A comment.\n{}", base());
    assert_eq!(lines(&world, &reordered), [] as [&str; 0]);
}

/// A file is compared with what is in force: a change that is in progress, or failed, is still a change.
#[test]
fn it_is_compared_with_what_is_in_force_and_not_with_the_last_file() {
    let gated = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::rolled_out(&gated);
    let moved = gated.replace("path: a,", "path: ax,");
    world.declare(&moved);
    world.pass(5);
    assert_eq!(world.rollout().state, State::Pending);
    let seen = lines(&world, &moved);
    let prod: Vec<&String> = seen.iter().filter(|line| !line.contains("d1")).collect();
    assert!(
        prod.iter().any(|line| line.contains("a path: a → ax")),
        "{seen:?}"
    );
    for cluster in ["p1", "p2", "p3"] {
        assert!(
            seen.contains(&format!("in waves {cluster} ~a")),
            "{cluster}: {seen:?}"
        );
    }
    let force = world
        .fleet
        .in_force()
        .compare(&spec::parse("f", &moved).unwrap());
    let prod = force
        .iter()
        .find(|change| change.environment.as_str() == "prod");
    assert_eq!(
        prod.and_then(|change| change.rollout.as_ref()),
        Some(&world.rollout().id)
    );
    // Going back changes nothing.
    assert!(!lines(&world, &gated).iter().any(|line| line.contains("p1")));
}

#[test]
fn each_cluster_is_told_with_what_it_gains_loses_and_changes() {
    let world = World::rolled_out(&base());
    let narrower = base().replace(
        "path: a, placement: {environments: [dev, prod]}",
        "path: a, placement: {clusters: [p2]}",
    );
    let seen = lines(&world, &narrower);
    for line in ["at once p1 -a", "at once p3 -a", "at once d1 -a"] {
        assert!(seen.contains(&line.to_owned()), "{line}: {seen:?}");
    }
    assert!(!seen.iter().any(|line| line.contains(" p2")), "{seen:?}");
}

/// Other rules of rollouts affect no cluster, and are changes nevertheless.
#[test]
fn rules_of_rollouts_are_told_without_a_cluster() {
    let world = World::rolled_out(&base());
    let other = file("maxConcurrent: 2", "approvals: 0", "prod");
    assert_eq!(
        lines(&world, &other),
        ["prod: its waves, gates or promotion source"]
    );
}

#[test]
fn live_32_a_renamed_environment_is_one_that_is_gone_and_one_that_is_new() {
    let world = World::rolled_out(&base());
    let renamed = base()
        .replace("name: prod", "name: production")
        .replace("[dev, prod]", "[dev, production]")
        .replace("[prod]", "[production]");
    assert_ne!(renamed, base());
    let seen = lines(&world, &renamed);
    assert!(
        seen.contains(&"production: the environment is new".to_owned()),
        "{seen:?}"
    );
    let gone =
        "prod: the environment is removed: its 3 clusters belong to none and keep what they run";
    assert!(seen.contains(&gone.to_owned()), "{seen:?}");
}
