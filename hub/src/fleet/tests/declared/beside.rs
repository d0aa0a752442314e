//! The fleet file changes at the same time as commits, the file itself, labels, or the hub.

use super::*;

/// Two changes arrive together, or one during the other's rollout.
#[test]
fn a_commit_and_the_file_go_together_or_one_after_the_other() {
    for mode in ["supersede", "queue", "finish"] {
        for file_first in [true, false] {
            let text = file(
                &format!("maxConcurrent: 3, onNewCommit: {mode}"),
                "approvals: 0",
                "prod",
            );
            let mut world = World::rolled_out(&text);
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
            // Neither the second wave nor any other cluster has anything new.
            assert_eq!(&paths(&world, "a")[1..], ["a", "a"]);
            assert!(world.having(&commit(2)).len() <= 1);
            // No cluster goes back and forth.
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
    let mut world = World::rolled_out(&text.replace(", approvals: 1", ""));
    world.declare(&text);
    world.declare(&moved(&text));
    world.pass(10);
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"]);
    world.step(Event::Disconnected(name("p1"), SessionId(2)));
    // The next revision cannot reach p1, which keeps the present one.
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
    let mut world = World::rolled_out(&base());
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
    let mut world = World::rolled_out(&text);
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
    has_paths(&world, "a", ["a/eu", "a/eu", "a/us"]);
}

/// A cluster that enrolled with labels of its own is named in the file for the first time; a change of what it runs is
/// rolled out like any other edit.
#[test]
fn labels_of_a_cluster_that_the_file_begins_to_name_come_by_waves() {
    let clusters = "clusters:
- {name: p1, environment: prod, labels: {region: eu}}
- {name: p2, environment: prod, labels: {region: eu}}
- {name: d1, environment: dev, labels: {region: eu}}
";
    for (line, is) in [
        (
            "path: 'a/{labels.region}', placement: {environments: [dev, prod]}",
            "a/eu",
        ),
        (
            "path: a, placement: {environments: [dev, prod], selector: region=eu}",
            "a",
        ),
    ] {
        let plain = "path: a, placement: {environments: [dev, prod]}";
        let text = base().replace(plain, line);
        let text = text.replace("applications:", &format!("{clusters}applications:"));
        let mut world = World::rolled_out(&base());
        world.step(put("p3", "prod", Some("us")));
        world.declare(&text);
        world.pass(30);
        let had = paths(&world, "a");
        assert_eq!(&had[..2], [is, is]);
        let p3 = "- {name: p3, environment: prod, labels: {region: eu}}\napplications:";
        world.declare(&text.replace("applications:", p3));
        assert_eq!(paths(&world, "a"), had, "it is in the second wave");
        let phase = world.rollout().clusters[&name("p3")].phase;
        assert_eq!(phase, Phase::Waiting);
        world.pass(30);
        has_paths(&world, "a", [is, is, is]);
    }
}

/// After a takeover a cluster keeps exactly what the former rollout assigned: an application that could not be given
/// the new commit as it is declared now does not get it with its former declaration.
#[test]
fn an_application_that_a_change_could_not_reach_stays_at_its_commit_when_another_takes_over() {
    let c = |path: &str| {
        let c = format!(
            "- {{name: c, repository: fleet, path: {path}, placement: {{environments: [prod]}}}}"
        );
        let gated = file("maxConcurrent: 3", "approvals: 1", "prod");
        gated.replace("- {name: b,", &format!("{c}\n- {{name: b,"))
    };
    let mut world = World::rolled_out(&c("c"));
    let runs = |world: &World| {
        let assigned = world.fleet.clusters()[&name("p1")].assigned.clone();
        let applications = assigned.unwrap().assignment.applications.clone();
        ["a", "c"].map(|app| applications[app].revision.commit.clone())
    };
    world.push("fleet", "prod", 2);
    world.declare(&c("'c/{labels.region}'"));
    let fleet_file = revision(&world);
    // No rollout begins before both may.
    let prod: EnvironmentName = "prod".parse().unwrap();
    world.act(&Action::Pause(prod.clone())).unwrap();
    for (repository, commit) in [("fleet", commit(2)), ("fleet-file", fleet_file)] {
        world
            .act(&approve(repository, &commit, Scope::Commit))
            .unwrap();
    }
    world.act(&Action::Resume(prod.clone())).unwrap();
    world.pass(2);
    assert_eq!(ended(&world).0, State::Halted, "{:?}", ended(&world));
    assert_eq!(runs(&world), [commit(2), commit(1)]);
    // The rollout that takes over waits at gates of its own.
    world.act(&Action::Pause(prod.clone())).unwrap();
    world.push("fleet", "prod", 3);
    world.declare(&c("'c/{labels.zone}'"));
    world.act(&Action::Resume(prod)).unwrap();
    world.pass(2);
    assert_eq!(ended(&world).0, State::Pending, "{:?}", ended(&world));
    assert_eq!(runs(&world), [commit(2), commit(1)], "no rollout came");
}

/// A pin also keeps declarations: during a rollout, and after it has finished elsewhere.
#[test]
fn a_pin_keeps_what_is_declared_where_it_is() {
    let pin = |cluster: &str| Action::Pin {
        subject: Subject::Cluster(name(cluster)),
        commit: None,
        repository: None,
        expires_at: None,
        approval: None,
        overriding: GateOverride::Denied,
    };
    let mut world = World::rolled_out(&base());
    world.declare(&moved(&base()));
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"]);
    world.act(&pin("p1")).unwrap();
    world.pass(1);
    assert_eq!(paths(&world, "a"), ["ax", "a", "a"]);
    let mut world = World::rolled_out(&base());
    world.act(&pin("p3")).unwrap();
    let text = moved(&base()).replace("path: b,", "path: bx, ");
    world.declare(&text);
    world.pass(30);
    assert_eq!(ended(&world).0, State::Succeeded, "{:?}", ended(&world));
    assert_eq!(paths(&world, "a"), ["ax", "ax", "a"]);
    assert_eq!(paths(&world, "b"), ["bx", "bx", "b"]);
    // Applications that are taken away go at once.
    world.declare(&text.replace("environments: [prod]", "environments: [dev]"));
    world.pass(1);
    assert_eq!(paths(&world, "b"), ["-", "-", "-"]);
    world
        .act(&Action::Unpin(Subject::Cluster(name("p3"))))
        .unwrap();
    world.pass(1);
    assert_eq!(paths(&world, "a"), ["ax", "ax", "ax"]);
}

/// A store of a hub that knew only commits: the present declarations are taken for those in force.
#[test]
fn an_older_store_adopts_what_is_declared() {
    let mut world = World::rolled_out(&base());
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
    let restored = Event::Restored {
        heads: heads.into_iter().collect(),
        clusters: stored_clusters(&world.fleet),
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
