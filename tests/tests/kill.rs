//! Real processes, killed without warning while commits arrive.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use flotilla_apiserver::{Fault, FaultKind};
use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::installation::Installation;
use flotilla_tests::repository::Repository;
use flotilla_tests::test_hub::TestHub;
use rand::{Rng as _, SeedableRng as _};

const LIMIT: Duration = Duration::from_secs(60);

fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '{value}'}}\n"
    )
}

/// An installation without agents, with one object that stays and one that the first round removes.
async fn one_to_keep() -> (Installation, TestHub, Operator) {
    let world = Installation::new(&[
        ("app/keep.yaml", &config_map("keep", "0")),
        ("app/passing-0.yaml", &config_map("passing-0", "0")),
    ])
    .await
    .unwrap();
    let hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    (world, hub, operator)
}

/// Changes one object, removes one and adds one.
fn change_all(repository: &Repository, round: usize) {
    let gone = format!("app/passing-{}.yaml", round - 1);
    std::fs::remove_file(repository.work.join(gone)).unwrap();
    let (name, value) = (format!("passing-{round}"), round.to_string());
    for name in [name.as_str(), "keep"] {
        let path = format!("app/{name}.yaml");
        repository.write(&path, &config_map(name, &value)).unwrap();
    }
}

/// Waits until both objects of a commit are applied.
async fn synced(operator: &Operator, commit: &str, what: &str) {
    let applied = eventually("the commit is applied whole", LIMIT, || {
        let mut operator = operator.clone();
        async move {
            let status = operator.cluster("c1").await?;
            let report = application(&status, "app")?.clone();
            let exact = report.revision.as_ref()?.commit == commit;
            (exact && report.sync() == v1::Sync::Synced && report.counts?.total == 2).then_some(())
        }
    });
    applied
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
}

/// Twelve rounds: push, wait for a short random time, kill the agent or the hub, start it again. In the end the last
/// commit runs, and every delete in the API server's audit log is of an object that left Git.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_h14_killed_at_any_moment_everything_converges_and_nothing_is_lost() {
    let seed: u64 = rand::rng().random();
    eprintln!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let object = |name: &str, value: u64| config_map(name, &format!("v{value}"));
    let files: Vec<(String, String)> = (0..20)
        .map(|n| (format!("app/{n}.yaml"), object(&format!("keep-{n}"), 0)))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(p, c)| (p.as_str(), c.as_str()))
        .collect();
    let world = Installation::new(&files).await.unwrap();
    let repository = &world.repository;
    let mut hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    let mut agent = world.agent("agent", &[]).unwrap();

    let mut commit = String::new();
    for round in 1..=12u64 {
        let number = rng.random_range(0..20u64);
        repository
            .write(
                &format!("app/{number}.yaml"),
                &object(&format!("keep-{number}"), round),
            )
            .unwrap();
        // One object is added in odd rounds and removed in even ones.
        let passing = repository.work.join("app/passing.yaml");
        if round % 2 == 1 {
            repository
                .write("app/passing.yaml", &object("passing", round))
                .unwrap();
        } else {
            std::fs::remove_file(passing).unwrap();
        }
        commit = repository
            .push(&format!("round {round}"), &["dev"])
            .unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..900))).await;
        if rng.random_bool(0.5) {
            agent.kill().await.unwrap();
            agent = world.agent("agent", &[]).unwrap();
        } else {
            hub.kill().await.unwrap();
            hub = world.hub().unwrap();
        }
    }
    let operator = world.operator().await.unwrap();
    let last = std::cell::RefCell::new(None);
    let converged = eventually("the last commit runs", Duration::from_secs(90), || {
        let (mut operator, commit, last) = (operator.clone(), commit.clone(), &last);
        async move {
            let status = operator.cluster("c1").await?;
            let report = application(&status, "app").cloned()?;
            *last.borrow_mut() = Some(status);
            let exact = report
                .revision
                .as_ref()
                .is_some_and(|revision| revision.commit == commit);
            (exact && report.sync() == v1::Sync::Synced && report.counts?.total == 20).then_some(())
        }
    })
    .await;
    converged.unwrap_or_else(|error| panic!("seed {seed}: {error}: {:#?}", last.borrow()));
    let deleted = world.deleted();
    assert!(
        deleted.iter().all(|name| name == "passing"),
        "seed {seed}: {deleted:?}"
    );
    agent.kill().await.unwrap();
    hub.kill().await.unwrap();
}

/// Kills the agent at each write of a pass, before and after it took effect: the inventory written ahead, each apply,
/// each delete, the inventory narrowed. The next start completes whatever was interrupted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_killed_at_every_write_of_a_turn_it_is_ended_by_the_next_start() {
    let (world, _hub, operator) = one_to_keep().await;
    let mut agent = world.agent("agent", &[]).unwrap();
    synced(&operator, &world.repository.head("dev").unwrap(), "first").await;

    let mut round = 0;
    let mut hit = Vec::new();
    let hang = Duration::from_secs(60);
    for (verb, writes) in [("patch", 6), ("delete", 2)] {
        for (index, kind) in (0..writes).flat_map(|index| {
            [FaultKind::Hang(hang), FaultKind::HangAfter(hang)].map(|k| (index, k))
        }) {
            round += 1;
            let repository = &world.repository;
            let value = round.to_string();
            change_all(repository, round);
            let fault = |kind: &FaultKind, times| Fault {
                verb: verb.to_owned(),
                resource: "configmaps".to_owned(),
                kind: kind.clone(),
                times,
            };
            if index > 0 {
                world.cluster.inject(fault(&FaultKind::Pass, index));
            }
            world.cluster.inject(fault(&kind, 1));
            let commit = repository.push(&value, &["dev"]).unwrap();
            let what = format!("{verb} {index} {kind:?}");
            let end = eventually(&what, LIMIT, || async {
                if world.cluster.pending() == 0 {
                    return Some(true);
                }
                let status = operator.clone().cluster("c1").await?;
                let report = application(&status, "app")?.clone();
                let exact = report.revision.as_ref()?.commit == commit;
                (exact && report.sync() == v1::Sync::Synced).then_some(false)
            });
            if end.await.unwrap() {
                hit.push(what.clone());
                agent.kill().await.unwrap();
                world.cluster.heal();
                agent = world.agent("agent", &[]).unwrap();
            } else {
                // A normal pass has no such write.
                world.cluster.heal();
            }
            synced(&operator, &commit, &what).await;
            let deleted = world.deleted();
            let expected: Vec<String> = (0..round).map(|n| format!("passing-{n}")).collect();
            let mut unique = deleted.clone();
            unique.dedup();
            assert_eq!(unique, expected, "{what}");
        }
    }
    eprintln!("killed at {hit:?}");
    assert!(hit.len() >= 8, "{hit:?}");
    agent.kill().await.unwrap();
}

/// At each failpoint between its steps the agent kills itself, and the next start completes the pass.
#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_killed_at_every_failpoint_the_next_start_goes_on() {
    use std::os::unix::process::ExitStatusExt as _;

    const KILLED: i32 = 9;
    let (world, _hub, operator) = one_to_keep().await;
    let mut agent = world.agent("agent", &[]).unwrap();
    synced(&operator, &world.repository.head("dev").unwrap(), "first").await;

    // One apply each for the object that stays and the one that is added, and one delete for the one that is removed.
    let passes = |point: &str| if point == "applied" { 2 } else { 1 };
    let points = flotilla_agent::failpoint::POINTS
        .into_iter()
        .flat_map(|point| (0..passes(point)).map(move |pass| format!("{point}:{pass}")));
    for (index, point) in points.enumerate() {
        let round = index + 1;
        agent.kill().await.unwrap();
        let repository = &world.repository;
        change_all(repository, round);
        let commit = repository.push(&round.to_string(), &["dev"]).unwrap();
        let mut doomed = world
            .agent_with("agent", &[], &[("FLOTILLA_FAILPOINT", &point)])
            .unwrap();
        let status = tokio::time::timeout(LIMIT, doomed.wait())
            .await
            .unwrap_or_else(|_| panic!("{point} is not reached"))
            .unwrap();
        assert_eq!(status.signal(), Some(KILLED), "{point}: {status}");
        agent = world.agent("agent", &[]).unwrap();
        synced(&operator, &commit, &point).await;
        let mut deleted = world.deleted();
        // If the agent is killed before it has the answer, it may send the delete again.
        deleted.dedup();
        let expected: Vec<String> = (0..round).map(|n| format!("passing-{n}")).collect();
        assert_eq!(deleted, expected, "{point}");
    }
    agent.kill().await.unwrap();
}
