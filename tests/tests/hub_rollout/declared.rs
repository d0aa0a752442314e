//! Case 35 of the live reports: a change of the fleet file is delivered in waves and with gates, like a commit.

use super::*;

impl World {
    /// Edits the fleet file.
    pub(super) fn edit(&self, from: &str, to: &str) {
        let path = self.directory.path().join("fleet.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        let other = self.directory.path().join("other.yaml");
        std::fs::write(&other, text.replace(from, to)).unwrap();
        std::fs::rename(other, path).unwrap();
    }

    /// Agents whose last assignment has an application in that directory.
    fn told(&self, path: &str) -> Vec<String> {
        let all = self.seen.paths.lock();
        let all = all
            .iter()
            .filter(|(_, paths)| paths.iter().any(|other| other == path));
        let prod = all.filter(|(name, _)| name.as_str() != "c0");
        prod.map(|(name, _)| name.to_string()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn live_35_a_change_of_the_fleet_file_goes_by_waves_and_a_bad_one_ends_in_its_canary() {
    let mut world = World::new(WAVES, 6, Duration::from_millis(300)).await;
    world.repository.write("appx/a.yaml", "# 0\n").unwrap();
    let commit = world.repository.push("beside", &["prod", "dev"]).unwrap();
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    *world.seen.bad_path.lock() = "appx".to_owned();
    world.edit("path: apps", "path: appx");
    let halted = world.rollout(|rollout| rollout.state == "halted").await;
    assert_eq!(halted.changes, ["web path: apps → appx"]);
    assert!(targets(&halted, &commit), "the same commit: {halted:?}");
    assert_eq!(world.told("appx"), ["c1"], "only the canary");
    // The hub restarts: clusters that the rollout has not reached keep their specification.
    world.restart().await;
    let again = world.rollout(|rollout| rollout.state == "halted").await;
    assert_eq!(again.id, halted.id);
    assert_eq!(world.told("appx"), ["c1"]);
    let mut api = world.api().await;
    let request = v1::ListAuditRequest::default();
    let entries = api.list_audit(request).await.unwrap().into_inner().entries;
    let told = entries.iter().any(|entry| {
        entry.action == "rollout created" && entry.detail.contains("web path: apps → appx")
    });
    assert!(told, "{entries:#?}");
    // An operator aborts: the canary gets the former specification back, and this file is not tried again.
    world.steer(v1::SteerAction::Abort, "").await;
    world.rollout(|rollout| rollout.state == "rolledBack").await;
    eventually("the canary went back", LIMIT, || async {
        world.told("appx").is_empty().then_some(())
    })
    .await
    .unwrap();
    // A corrected file is delivered in waves.
    *world.seen.bad_path.lock() = String::new();
    world.edit("path: appx", "path: appx, namespace: shop");
    let done = world
        .rollout(|rollout| rollout.id != halted.id && rollout.state == "succeeded")
        .await;
    assert_eq!(done.changes.len(), 2, "{:?}", done.changes);
    eventually("all have it", LIMIT, || async {
        (world.told("appx").len() == 5).then_some(())
    })
    .await
    .unwrap();
    // A removal is delivered at once, without a rollout.
    world.edit(
        "namespace: shop",
        "namespace: shop, placement: {clusters: [c2]}",
    );
    eventually("the others let go of it", LIMIT, || async {
        (world.told("appx") == ["c2"]).then_some(())
    })
    .await
    .unwrap();
    let last = world.rollout(|_| true).await;
    assert_eq!(last.id, done.id);
    let _ = world.stop.send(true);
}
