//! Several pods of a cluster: one leads, and another takes over, without two ever writing at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use flotilla_tests::eventually;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::installation::Installation;
use flotilla_tests::test_hub::TestHub;
use tokio::process::Child;

const LIMIT: Duration = Duration::from_secs(40);

fn config_map(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config}}\ndata: {{value: {value}}}\n"
    )
}

fn pod(world: &Installation, name: &str) -> Child {
    world
        .agent(name, &["--instance", name, "--share-identity"])
        .unwrap()
}

async fn live(world: &Installation, path: &str) -> Option<serde_json::Value> {
    world.live(path).await.unwrap()
}

async fn holder(world: &Installation) -> Option<String> {
    let path = "/apis/coordination.k8s.io/v1/namespaces/flotilla-system/leases/flotilla-agent";
    let lease = live(world, path).await?;
    Some(lease.pointer("/spec/holderIdentity")?.as_str()?.to_owned())
}

async fn leads(world: &Installation, name: &str) {
    let what = format!("{name} leads");
    eventually(&what, LIMIT, || async {
        (holder(world).await? == name).then_some(())
    })
    .await
    .unwrap();
}

async fn value(world: &Installation, expected: &str) {
    let what = format!("the value is {expected}");
    let path = "/api/v1/namespaces/default/configmaps/config";
    eventually(&what, LIMIT, || async {
        (live(world, path).await?.pointer("/data/value")? == expected).then_some(())
    })
    .await
    .unwrap_or_else(|error| {
        let log = std::fs::read_to_string(world.root().join("flotilla-agent.log"));
        panic!("{error}\n{}", log.unwrap_or_default())
    });
}

async fn reported(operator: &Operator, commit: &str) {
    eventually("the commit is reported", LIMIT, || {
        let mut operator = operator.clone();
        async move {
            let cluster = operator.cluster("c1").await?;
            let report = application(&cluster, "app")?.clone();
            (report.revision?.commit == commit).then_some(())
        }
    })
    .await
    .unwrap();
}

/// An installation without agents, whose cluster has a join token.
async fn invited() -> (Installation, TestHub, Operator) {
    let world = Installation::new(&[("app/config.yaml", &config_map("one"))])
        .await
        .unwrap();
    let hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    (world, hub, operator)
}

/// Pushes a commit, which the leader applies and reports.
async fn rolls_out(world: &Installation, operator: &Operator, expected: &str) {
    let content = config_map(expected);
    world.repository.write("app/config.yaml", &content).unwrap();
    let commit = world.repository.push(expected, &["dev"]).unwrap();
    value(world, expected).await;
    reported(operator, &commit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a17_n04_a_standby_takes_over_with_the_same_identity_and_floor() {
    let (world, _hub, operator) = invited().await;
    let mut first = pod(&world, "first");
    leads(&world, "first").await;
    value(&world, "one").await;
    let mut second = pod(&world, "second");

    // A node that fails takes its disk with it.
    first.kill().await.unwrap();
    std::fs::remove_dir_all(world.root().join("first")).unwrap();
    let killed = Instant::now();
    leads(&world, "second").await;
    eprintln!("taken over after {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(15));
    rolls_out(&world, &operator, "two").await;
    let ledger = live(
        &world,
        "/api/v1/namespaces/flotilla-system/configmaps/flotilla-agent-ledger",
    );
    assert!(
        ledger
            .await
            .unwrap()
            .pointer("/binaryData/content")
            .is_some()
    );

    // A pod that is asked to stop releases the lease, so the next one need not wait until it expires.
    let first = pod(&world, "first");
    let pid = second.id().unwrap().to_string();
    std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap();
    assert!(second.wait().await.unwrap().success());
    let stopped = Instant::now();
    leads(&world, "first").await;
    eprintln!("handed over after {:?}", stopped.elapsed());
    rolls_out(&world, &operator, "three").await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a17_a_leader_that_was_stopped_past_its_lease_writes_nothing_when_it_wakes() {
    let (world, _hub, operator) = invited().await;
    let first = pod(&world, "first");
    value(&world, "one").await;
    let _second = pod(&world, "second");
    let pid = first.id().unwrap().to_string();
    let signal = |name: &str| {
        std::process::Command::new("kill")
            .args([name, &pid])
            .status()
            .unwrap();
    };
    signal("-STOP");
    leads(&world, "second").await;
    rolls_out(&world, &operator, "two").await;
    // The paused pod resumes with its old state, and would set the value back to "one".
    let woken = world.cluster.audit().len();
    signal("-CONT");
    eventually("the second still leads, renewed twice", LIMIT, || async {
        let renewals = world
            .cluster
            .audit()
            .iter()
            .skip(woken)
            .filter(|event| event.resource == "leases")
            .count();
        (renewals >= 2).then_some(())
    })
    .await
    .unwrap();
    leads(&world, "second").await;
    value(&world, "two").await;
    let writes: Vec<String> = world
        .cluster
        .audit()
        .iter()
        .skip(woken)
        .filter(|event| event.namespace != "flotilla-system")
        .map(|event| format!("{} {}", event.verb, event.name))
        .collect();
    assert_eq!(writes, Vec::<String>::new());
}
