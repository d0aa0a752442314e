//! The fleet file as a source of revisions: what it changes comes by waves, gates and rollouts (case 35).

use super::super::rollout::{Phase, State};
use super::roll::{World, approve, file, of_second};
use super::*;

/// Where each of prod's clusters has an application from: its directory.
fn paths(world: &World, app: &str) -> Vec<String> {
    let all = world.fleet.clusters().iter();
    let all = all.filter(|(name, _)| name.as_str() != "d1");
    all.map(|(_, cluster)| {
        let assigned = cluster.assigned.as_ref();
        let app = assigned.and_then(|one| one.assignment.applications.get(app));
        app.map_or("-".to_owned(), |app| app.path.to_string())
    })
    .collect()
}

fn revision(world: &World) -> Commit {
    let prod = "prod".parse().unwrap();
    world.fleet.declared_revision(&prod).unwrap().1
}

fn ended(world: &World) -> (State, &str) {
    (world.rollout().state, world.rollout().note.as_str())
}

/// Nothing is removed on purpose, ever.
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
    let mut world = World::settled(&base());
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
        .rfind(|entry| entry.action == "rollout created");
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
    // One is kept, the one that is in force; dev has no strategy and its own.
    assert!(world.kept.contains_key(&revision(&world)) && world.kept.len() == 2);
}

/// Files and commits are the same, and still something else runs: it soaks like any change.
#[test]
fn an_option_alone_is_a_change_that_soaks() {
    for (field, seen) in [
        ("path: a, namespace: x,", "namespace"),
        ("path: a, renderer: plain,", "renderer"),
        ("path: a, substitute: true,", "substitute"),
        ("path: a, syncPolicy: {prune: disabled},", "syncPolicy"),
    ] {
        let mut world = World::settled(&base());
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
    let mut world = World::settled(&gated);
    world.declare(&moved(&gated));
    world.pass(20);
    assert_eq!(paths(&world, "a"), ["a", "a", "a"], "nobody approved it");
    assert!(
        ended(&world).1.contains("approval fleet-file"),
        "{:?}",
        ended(&world)
    );
    // Whoever approves a commit approves nothing of the fleet file, nor another change of it.
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
    let mut world = World::settled(&gated);
    // In dev it never becomes healthy: prod does not get it.
    world.bad_paths = vec!["ax".to_owned()];
    world.declare(&moved(&gated));
    world.pass(20);
    assert_eq!(paths(&world, "a"), ["a", "a", "a"], "{:?}", ended(&world));
    world.bad_paths.clear();
    world.pass(1);
    assert_eq!(paths(&world, "a"), ["a", "a", "a"], "it soaks");
    world.pass(20);
    assert_eq!(
        paths(&world, "a"),
        ["ax", "ax", "ax"],
        "{:?}",
        ended(&world)
    );
    // What dev does not have it cannot prove.
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
    let mut world = World::settled(&text);
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
    // A commit goes on without it.
    world.push("fleet", "prod", 2);
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3, "{:?}", ended(&world));
    assert_eq!(paths(&world, "a"), ["a", "a", "a"]);
    assert_eq!(ended(&world).0, State::Succeeded);
    // The file as it was is what runs, and begins nothing.
    let last = world.rollout().id.clone();
    world.declare(&text);
    world.pass(5);
    assert_eq!(world.rollout().id, last);
    world.declare(&text.replace("path: a,", "path: ay,"));
    world.pass(20);
    assert_eq!(
        paths(&world, "a"),
        ["ay", "ay", "ay"],
        "{:?}",
        ended(&world)
    );
}

#[test]
fn a_halted_change_yields_to_its_repair() {
    for mode in ["supersede", "queue", "finish"] {
        let text = file(
            &format!("maxConcurrent: 3, onNewCommit: {mode}"),
            "approvals: 0",
            "prod",
        );
        let mut world = World::settled(&text);
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

/// A change that only takes away waits for nobody, begins no rollout, and deletes nothing.
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
        let mut world = World::settled(&gated);
        let last = world.rollout().id.clone();
        world.declare(&taken);
        let kept = paths(&world, "b");
        assert_eq!(&kept[1..], ["-", "-"]);
        assert_eq!(paths(&world, "a"), ["a", "a", "a"]);
        no_tombstones(&world);
        let entry = world.audit.last().unwrap();
        assert_eq!(
            (entry.action.as_str(), entry.actor.as_str()),
            ("applications taken away", "fleet file")
        );
        world.pass(5);
        assert_eq!(world.rollout().id, last, "no rollout");
        // What comes back is added, and waits.
        world.declare(&gated);
        world.pass(5);
        assert_eq!(paths(&world, "b"), kept, "{:?}", ended(&world));
        world
            .act(&approve("fleet-file", &revision(&world), Scope::Commit))
            .unwrap();
        world.pass(30);
        assert_eq!(paths(&world, "b"), ["b", "b", "b"], "{:?}", ended(&world));
    }
}

#[test]
fn of_a_change_that_gives_and_takes_only_the_giving_waits() {
    let mut world = World::settled(&base());
    let text = moved(&base()).replace("environments: [prod]", "environments: [dev]");
    world.declare(&text);
    assert_eq!(paths(&world, "b"), ["-", "-", "-"]);
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"]);
    no_tombstones(&world);
    world.pass(20);
    assert_eq!(
        paths(&world, "a"),
        ["ax", "ax", "ax"],
        "{:?}",
        ended(&world)
    );
}

#[test]
fn whoever_joins_gets_what_is_good() {
    let gated = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::settled(&gated);
    world.declare(&moved(&gated));
    world.step(put("p4", "prod", None));
    world.step(connect("p4", 9, AssignmentRef::default()));
    assert_eq!(paths(&world, "a"), ["a", "a", "a", "a"]);
    // A newcomer that the file names is no change for the others.
    let mut world = World::settled(&gated);
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
    let mut world = World::settled(&base());
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
    // The strategy and a change come in the same edit.
    world.declare(&with);
    assert_eq!(paths(&world, "a"), ["a", "ax", "ax"]);
    world.pass(20);
    assert_eq!(paths(&world, "a"), ["a", "a", "a"], "{:?}", ended(&world));
}

/// Two things change at once, or one while the other is on its way.
#[test]
fn a_commit_and_the_file_go_together_or_one_after_the_other() {
    for mode in ["supersede", "queue", "finish"] {
        for file_first in [true, false] {
            let text = file(
                &format!("maxConcurrent: 3, onNewCommit: {mode}"),
                "approvals: 0",
                "prod",
            );
            let mut world = World::settled(&text);
            let push = |world: &mut World| world.push("fleet", "prod", 2);
            if file_first {
                world.declare(&moved(&text));
            } else {
                push(&mut world);
            }
            world.pass(2);
            let first = world.rollout().id.clone();
            if file_first {
                push(&mut world);
            } else {
                world.declare(&moved(&text));
            }
            world.pass(1);
            let superseded = world.rollout().id != first;
            assert_eq!(superseded, mode == "supersede", "{mode}");
            // Neither the second wave nor anybody else has anything new.
            assert_eq!(&paths(&world, "a")[1..], ["a", "a"]);
            assert!(world.having(&commit(2)).len() <= 1);
            // Nobody goes back and forth.
            if superseded {
                let given = if file_first { "ax" } else { "a" };
                assert!(paths(&world, "a")[0] == given || paths(&world, "a")[0] == "ax");
            }
            world.pass(60);
            assert_eq!(
                paths(&world, "a"),
                ["ax", "ax", "ax"],
                "{mode} {:?}",
                ended(&world)
            );
            assert_eq!(world.having(&commit(2)).len(), 3);
            assert_eq!(ended(&world).0, State::Succeeded);
        }
    }
}

#[test]
fn what_an_overtaken_change_gave_stays_until_the_next_one_comes() {
    let waves =
        "waves: [{name: canary, clusters: [p1]}, {name: two, clusters: [p2], approvals: 1}]";
    let text = base().replace("waves: [{name: canary, clusters: [p1]}]", waves);
    let text = text.replace("maxConcurrent: 3", "maxConcurrent: 1");
    let mut world = World::settled(&text.replace(", approvals: 1", ""));
    world.declare(&text);
    world.declare(&moved(&text));
    world.pass(10);
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"]);
    world.step(Event::Disconnected(name("p1"), SessionId(2)));
    // The next one cannot come to p1, which keeps what it has.
    world.declare(&text.replace("path: a,", "path: ay,"));
    world.pass(5);
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"]);
    world.step(connect(
        "p1",
        7,
        world.fleet.clusters()[&name("p1")].accepted,
    ));
    world.pass(10);
    assert_eq!(paths(&world, "a"), ["ay", "a", "a"]);
}

#[test]
fn an_application_moves_between_repositories_in_waves() {
    let mut world = World::settled(&base());
    world.declare(&base().replace(
        "{name: a, repository: fleet",
        "{name: a, repository: second",
    ));
    world.pass(2);
    let commits = |world: &World| -> Vec<Commit> {
        let all = world
            .fleet
            .clusters()
            .iter()
            .filter(|(name, _)| name.as_str() != "d1");
        all.map(|(_, cluster)| {
            let assigned = cluster.assigned.as_ref().unwrap();
            let app = &assigned.assignment.applications["a"];
            app.revision.commit.clone()
        })
        .collect()
    };
    assert_eq!(commits(&world), [of_second(1), commit(1), commit(1)]);
    world.pass(20);
    assert_eq!(commits(&world), [of_second(1), of_second(1), of_second(1)]);
    assert_eq!(ended(&world).0, State::Succeeded);
}

#[test]
fn labels_in_the_file_count_by_what_they_do() {
    let text = base()
        .replace("path: a,", "path: 'a/{labels.region}',")
        .replace(
            "applications:",
            "clusters:\n- {name: p1, environment: prod, labels: {region: eu}}\n- {name: p2, environment: prod, \
             labels: {region: eu}}\n- {name: p3, environment: prod, labels: {region: eu}}\n- {name: d1, \
             environment: dev, labels: {region: eu}}\napplications:",
        );
    let mut world = World::settled(&text);
    let last = world.rollout().id.clone();
    world.declare(&text.replace(
        "{name: p3, environment: prod, labels: {",
        "{name: p3, environment: prod, labels: {tier: x, ",
    ));
    world.pass(2);
    assert_eq!(world.rollout().id, last, "a label of which nothing depends");
    world.declare(&text.replace(
        "{name: p3, environment: prod, labels: {region: eu",
        "{name: p3, environment: prod, labels: {region: us",
    ));
    assert_eq!(
        paths(&world, "a"),
        ["a/eu", "a/eu", "a/eu"],
        "it is in the second wave"
    );
    let phase = |cluster: &str| world.rollout().clusters[&name(cluster)].phase;
    assert_ne!(world.rollout().id, last);
    assert_eq!(phase("p3"), Phase::Waiting);
    world.pass(20);
    assert_eq!(
        paths(&world, "a"),
        ["a/eu", "a/eu", "a/us"],
        "{:?}",
        ended(&world)
    );
}

/// A store of a hub that knew only commits: what is declared now is what runs.
#[test]
fn an_older_store_adopts_what_is_declared() {
    let mut world = World::settled(&base());
    world.push("fleet", "prod", 2);
    world.pass(1);
    let prod: EnvironmentName = "prod".parse().unwrap();
    let mut state = world.state().clone();
    let fleet_file = flotilla_shared::id::RepositoryName::fleet_file();
    state.approved.remove(fleet_file);
    for good in &mut state.history {
        good.commits.remove(fleet_file);
    }
    let mut rollout = world.rollout().clone();
    rollout.target.remove(fleet_file);
    rollout.from.remove(fleet_file);
    let heads = world.fleet.heads().clone();
    let clusters = world
        .fleet
        .clusters()
        .iter()
        .map(|(name, cluster)| StoredCluster {
            name: name.clone(),
            record: cluster.record.clone(),
            assignment: cluster
                .assigned
                .clone()
                .map(|decoded| StoredAssignment { decoded }),
            report: cluster.report.clone(),
            current_since: cluster.current_since,
        });
    let restored = Event::Restored {
        heads: heads.into_iter().collect(),
        clusters: clusters.collect(),
        environments: vec![(prod, state)],
        rollouts: vec![rollout],
        retired: Vec::new(),
        specifications: Vec::new(),
    };
    world.fleet = Fleet::new(Epoch(1));
    world.step(restored);
    world.declare(&base());
    assert_eq!(paths(&world, "a"), ["a", "a", "a"]);
    let id = world.rollout().id.clone();
    assert!(world.rollout().changes.is_empty());
    for (index, cluster) in ["d1", "p1", "p2", "p3"].into_iter().enumerate() {
        world.step(connect(
            cluster,
            index as u64 + 11,
            AssignmentRef::default(),
        ));
    }
    world.pass(20);
    assert_eq!(
        (world.rollout().id.as_str(), ended(&world).0),
        (id.as_str(), State::Succeeded)
    );
    world.declare(&moved(&base()));
    assert_eq!(
        paths(&world, "a"),
        ["ax", "a", "a"],
        "and from then on by waves"
    );
}
