//! Real processes, killed without warning while commits keep coming.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::fleet::application;
use flotilla_tests::installation::Installation;
use rand::{Rng as _, SeedableRng as _};

/// Twelve rounds of: push, wait a little at random, kill the agent or the hub, start it again. In the
/// end the last commit runs, and every delete in the API server's audit log is of an object that left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_h14_killed_at_any_moment_everything_converges_and_nothing_is_lost() {
    let seed: u64 = rand::rng().random();
    eprintln!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let object = |name: &str, value: u64| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: 'v{value}'}}\n"
        )
    };
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
        // One object comes in odd rounds and leaves in even ones.
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
