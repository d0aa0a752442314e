//! A hub that restarts, with its state or from a backup: nothing is rolled out again, and no assignment is sent again.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn h14_a_rollout_goes_on_over_restarts_of_the_hub() {
    let mut world = World::new(WAVES, 11, Duration::from_millis(300)).await;
    let first = world.rollout(|rollout| rollout.state == "succeeded").await;
    assert_eq!(first.id, "prod-1");
    assert_eq!(first.waves.len(), 3);
    let commit = world.repository.push("second", &["prod"]).unwrap();
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.wave >= 1)
        .await;
    world.restart().await;
    let after = world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    assert_eq!(after.id, "prod-2", "the same one, not one anew");
    let _ = world.stop.send(true);
}

async fn all_current(world: &World, expected: usize) -> Option<()> {
    let mut api = world.api().await;
    let request = v1::ListEnvironmentsRequest {};
    let answer = api.list_environments(request).await.ok()?.into_inner();
    let current: u32 = answer
        .environments
        .iter()
        .map(|environment| environment.current)
        .sum();
    (current as usize == expected).then_some(())
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.unwrap_or("0").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_agents_of_a_restarted_hub_come_back_spread_and_get_only_what_changed() {
    const AGENTS: usize = 300;
    let mut world = World::new("", AGENTS, Duration::from_secs(3600)).await;
    let limit = Duration::from_secs(120);
    eventually("all current", limit, || all_current(&world, AGENTS))
        .await
        .unwrap();
    world.hub.kill().await.unwrap();
    eventually("all streams ended", limit, || async {
        (world.seen.connected.load(Ordering::Relaxed) == 0).then_some(())
    })
    .await
    .unwrap();
    let restarted = tokio::time::Instant::now();
    world.hub.start().await.unwrap();
    eventually("all are back", limit, || async {
        (world.seen.connected.load(Ordering::Relaxed) == AGENTS).then_some(())
    })
    .await
    .unwrap();
    eventually("all current again", limit, || all_current(&world, AGENTS))
        .await
        .unwrap();
    let took = restarted.elapsed();
    println!("{AGENTS} agents are back and current after {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    let probes = world.hub.metrics.unwrap();
    let get = "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let text = http(probes, get).await;
    let value = |name: &str| metric(&text, name);
    // Nothing changed: no assignment is sent again, Git is fetched once, and the store is not queried once for each
    // agent.
    assert_eq!(value("flotilla_hub_assignments_sent_total"), 0.0, "{text}");
    assert!(value("flotilla_hub_git_looks_total") <= 2.0, "{text}");
    let batches = value("flotilla_hub_store_batch_effects_count");
    println!("{batches} batches stored");
    assert!(batches < AGENTS as f64, "{text}");
    let _ = world.stop.send(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn p08_s06_a_backup_of_a_serving_hub_restored_raises_the_epoch_and_everything_converges() {
    let mut world = World::new(WAVES, 4, Duration::from_millis(300)).await;
    world.rollout(|rollout| rollout.state == "succeeded").await;
    let data = world.directory.path().join("hub");
    let copy = world.directory.path().join("backup.db");
    // S6: the backup is taken while the hub serves.
    store::backup(&data, &copy).await.unwrap();
    // The backup contains the whole store, so only its owner may read it.
    let mode = std::os::unix::fs::PermissionsExt::mode(&copy.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let commit = world.repository.push("second", &["prod"]).unwrap();
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    assert!(
        store::restore(&data, &copy, Timestamp::now())
            .await
            .is_err(),
        "the hub has it"
    );
    world.hub.stop().await.unwrap();
    let epoch = store::restore(&data, &copy, Timestamp::now())
        .await
        .unwrap();
    assert_eq!(epoch.0, 2);
    world.hub.start().await.unwrap();
    // The restored hub rolls out again what it finds in Git; agents accept the higher epoch.
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    let request = v1::GetClusterRequest {
        name: "c1".to_owned(),
    };
    let cluster = world.api().await.get_cluster(request).await.unwrap();
    let cluster = cluster.into_inner().cluster.unwrap();
    assert_eq!(cluster.accepted.unwrap().epoch, 2);
    let _ = world.stop.send(true);
}
