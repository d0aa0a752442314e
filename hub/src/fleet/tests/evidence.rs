//! Evidence of the environment before for a commit: which clusters count, and what may still come.

use super::super::gate::{Gate, GateKind, Open};
use super::proof::PROVING;
use super::roll::{World, file, of_second};
use super::*;

/// Eight clusters of dev, of which the first `online` have run commit 1 since the fourth second.
fn dev(online: usize) -> Fleet {
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", PROVING).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), at(0));
    let names: Vec<String> = (1..=8).map(|n| format!("d{n}")).collect();
    for cluster in &names {
        fleet.step(put(cluster, "dev", None), at(1));
    }
    // A cluster that waits for acceptance, and one of another environment, are no evidence.
    let record = ClusterRecord {
        environment: Some("dev".parse().unwrap()),
        pending: Some("key".to_owned()),
        ..ClusterRecord::default()
    };
    fleet.step(Event::ClusterPut(name("d9"), record), at(1));
    fleet.step(put("p1", "prod", None), at(1));
    fleet.step(heads(Some(1), Some(0)), at(2));
    let online = || (1..).zip(&names[..online]);
    for (session, cluster) in online() {
        let accepted = fleet.clusters()[&name(cluster)].assigned_ref();
        fleet.step(connect(cluster, session, accepted), at(3));
    }
    for (session, cluster) in online() {
        let assigned = fleet.clusters()[&name(cluster)].assigned.clone().unwrap();
        let report = current(&assigned);
        let digest = Digest::of(&encode_report(&report).encode_to_vec());
        let reported = Event::Reported(name(cluster), SessionId(session), report, digest);
        fleet.step(reported, at(4));
    }
    fleet
}

fn told(fleet: &Fleet, n: u64, second: i64) -> Vec<Gate> {
    let prod = fleet.spec().environment(&"prod".parse().unwrap());
    let target = [("fleet".parse().unwrap(), commit(n))].into();
    fleet.gates(prod.unwrap(), &target, at(second))
}

#[test]
fn a_cluster_proves_a_commit_that_it_has_run_for_the_whole_soak() {
    let fleet = dev(8);
    let early = told(&fleet, 1, 13);
    assert_eq!(early.len(), 8);
    for gate in &early {
        assert_eq!(
            (gate.open, gate.reason),
            (Open::NotYet, Some(Reason::NotProven))
        );
        assert_eq!(gate.text, "runs exactly this, healthy for 9 s of 10");
        assert_eq!((gate.at, gate.opens_at), (Some(at(4)), Some(at(14))));
    }
    let all = told(&fleet, 1, 14);
    assert_eq!(all.len(), 8);
    for gate in &all {
        assert_eq!((gate.open, gate.lasting), (Open::Yes, false));
        assert_eq!(gate.text, "runs exactly this, synced and healthy");
    }
    let of_another = told(&fleet, 7, 14);
    assert_eq!(of_another.len(), 8);
    for gate in &of_another {
        assert_eq!((gate.open, gate.lasting), (Open::No, true));
        assert_eq!(gate.text, "does not run this commit");
    }
}

/// A quarter of the clusters may be offline, if others have proven the commit.
#[test]
fn who_is_away_is_left_out_within_its_budget_and_only_beside_a_proof() {
    let offline = |online: usize, second: i64| {
        let all = told(&dev(online), 1, second);
        assert_eq!(all.len(), 8);
        let offline = all.into_iter().skip(online);
        offline
            .map(|gate| (gate.open, gate.reason, gate.text))
            .collect::<Vec<_>>()
    };
    for online in [6, 7] {
        let away = 8 - online;
        let left_out = (Open::Skipped, None, format!("offline: {away} (limit 2)"));
        assert_eq!(offline(online, 14), vec![left_out; away]);
    }
    let held = |away: usize| {
        let text = format!("offline: {away} of 8 (limit 2)");
        vec![(Open::NotYet, Some(Reason::Offline), text); away]
    };
    assert_eq!(offline(5, 14), held(3));
    assert_eq!(offline(6, 13), held(2), "nobody has proven it yet");
    assert_eq!(offline(0, 14), held(8));
}

/// A closed gate says whether a proof may still come.
#[test]
fn a_proof_may_come_of_what_is_good_at_the_head_under_way_or_queued_there() {
    let strategy = "- {name: dev, branch: dev, strategy: {soak: 3s, progressDeadline: 20s, \
                    onNewCommit: queue, onFailure: rollback}}";
    let text = file("maxConcurrent: 3", "", "dev, prod");
    let mut world = World::rolled_out(&text.replace("- {name: dev, branch: dev}", strategy));
    let dev: EnvironmentName = "dev".parse().unwrap();
    let prod: EnvironmentName = "prod".parse().unwrap();
    let may_come = |world: &World, n: u64| {
        let prod = world.fleet.spec().environment(&prod).unwrap();
        let target = [("fleet".parse().unwrap(), commit(n))].into();
        let mut gates = world.fleet.gates(prod, &target, at(world.second));
        gates.retain(|gate| gate.gate == GateKind::Health);
        assert_eq!(gates.len(), 1, "{gates:?}");
        assert_eq!(gates[0].text, "does not run this commit");
        !gates[0].lasting
    };
    world.act(&Action::Pause(dev.clone())).unwrap();
    for n in [2, 3, 4] {
        world.push("fleet", "dev", n);
    }
    assert!(may_come(&world, 2), "a rollout brings it");
    assert!(may_come(&world, 3), "it is in the queue");
    assert!(may_come(&world, 4), "it is at the head");
    assert!(!may_come(&world, 7), "nobody knows it");
    world.act(&Action::Resume(dev.clone())).unwrap();
    world.pass(40);
    assert_eq!(
        world.fleet.environments()[&dev].approved["fleet"],
        commit(4)
    );
    assert!(!may_come(&world, 3), "it is past");
    world.silent = vec!["d1".to_owned()];
    world.push("fleet", "dev", 5);
    world.pass(1);
    assert!(may_come(&world, 4), "what is good may come back");
    world.silent.clear();
    world.bad = vec![commit(5)];
    world.pass(10);
    assert_eq!(
        world.fleet.rollouts()[&dev].state,
        rollout::State::RolledBack
    );
    assert!(!may_come(&world, 5), "it failed there");
}

fn answer(world: &World, repository: &str, commit: Commit) -> String {
    let prod = world.fleet.spec().environment(&"prod".parse().unwrap());
    let target = [(repository.parse().unwrap(), commit)].into();
    let gates = world.fleet.gates(prod.unwrap(), &target, at(world.second));
    let gate = gates.into_iter().find(|gate| gate.gate == GateKind::Health);
    gate.unwrap().text
}

/// A cluster is evidence for a repository by the applications of it that it should run.
#[test]
fn what_a_cluster_lacks_of_a_repository_it_does_not_run() {
    let mut world = World::new(&file("maxConcurrent: 3", "", "dev, prod"));
    world.push("fleet", "dev", 1);
    world.pass(3);
    // The other repository was not read yet, so that the cluster lacks its application.
    assert_eq!(
        answer(&world, "second", of_second(1)),
        "does not run this commit"
    );
    assert_ne!(
        answer(&world, "fleet", commit(1)),
        "does not run this commit"
    );
    world.push("second", "dev", 1);
    world.pass(3);
    for (repository, commit) in [("fleet", commit(1)), ("second", of_second(1))] {
        let text = answer(&world, repository, commit);
        assert_eq!(text, "runs exactly this, synced and healthy");
    }
}

/// An application that is not current is named with its state, and with what that means for the commit.
#[test]
fn an_application_that_is_ill_or_behind_is_named() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "", "dev, prod"));
    world.silent = vec!["d1".to_owned()];
    world.push("fleet", "dev", 2);
    world.pass(1);
    let behind = "a: Synced / Current, but not yet as currently assigned";
    assert_eq!(answer(&world, "fleet", commit(2)), behind);
    world.silent.clear();
    world.bad = vec![commit(2)];
    world.pass(1);
    assert_eq!(answer(&world, "fleet", commit(2)), "a: Synced / Failed");
}

/// An edit that moves an application to another repository, and has not reached a cluster yet, does not make what the
/// cluster runs of that repository incomplete.
#[test]
fn a_cluster_is_judged_by_the_revision_of_the_fleet_file_that_it_has() {
    let waves = "- {name: dev, branch: dev, strategy: {soak: 3s, progressDeadline: 20s}}";
    let text = file("maxConcurrent: 3", "", "dev, prod");
    let text = text.replace("- {name: dev, branch: dev}", waves);
    let mut world = World::rolled_out(&text);
    world.push("second", "dev", 2);
    world.pass(20);
    let proven = "runs exactly this, synced and healthy";
    assert_eq!(answer(&world, "second", of_second(2)), proven);
    world.act(&Action::Pause("dev".parse().unwrap())).unwrap();
    world.declare(&text.replace(
        "{name: a, repository: fleet",
        "{name: a, repository: second",
    ));
    world.pass(2);
    let a = &world.fleet.clusters()[&name("d1")]
        .assigned
        .as_ref()
        .unwrap()
        .assignment;
    assert_eq!(a.applications["a"].revision.repository.as_str(), "fleet");
    assert_eq!(answer(&world, "second", of_second(2)), proven);
}
