//! Waves and hooks.

use flotilla_shared::reason::Reason;
use serde_json::{Value, json};

use super::world::{World, annotated, config_map, deployment, job, reason};

/// Stands in for the Job controller.
async fn complete(world: &World<'_>, name: &str) {
    if world.server.is_real() {
        end(world, name).await;
    }
}

async fn end(world: &World<'_>, name: &str) {
    let job = world.live(&format!("batch/v1:jobs/{name}")).await;
    let is_complete = |job: &Value| job.pointer("/status/completionTime").is_some();
    if job.as_ref().is_none_or(is_complete) {
        // The times of a finished Job are immutable.
        return;
    }
    let now = jiff::Timestamp::now().to_string();
    let now = format!(
        "{}Z",
        now.split('.')
            .next()
            .unwrap_or_default()
            .trim_end_matches('Z')
    );
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now});
    let started = job
        .as_ref()
        .and_then(|job| job.pointer("/status/startTime"));
    let started = started.cloned().unwrap_or_else(|| json!(now));
    let status = json!({
        "startTime": started, "completionTime": now, "succeeded": 1, "active": null,
        "uncountedTerminatedPods": {},
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
    });
    set_status(world, name, &status).await;
}

async fn set_status(world: &World<'_>, name: &str, status: &Value) {
    let status = json!({ "status": status });
    let path = format!(
        "{}/status?fieldManager=controller",
        world.path(&format!("batch/v1:jobs/{name}"))
    );
    let (code, value) = world
        .send_as("PATCH", &path, "application/merge-patch+json", &status)
        .await;
    assert_eq!(code, 200, "{value}");
}

async fn jobs(world: &World<'_>) -> Vec<String> {
    let (_, list) = world
        .send("GET", &world.path("batch/v1:jobs"), &Value::Null)
        .await;
    let items = list
        .get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let name = |item: &Value| {
        item.pointer("/metadata/name")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    items.iter().map(name).collect()
}

/// Takes passes until the application is in sync, and completes its Jobs meanwhile.
async fn pass_until_synced(world: &mut World<'_>, yaml: &str) {
    for _ in 0..100 {
        let outcome = world.pass(yaml).await;
        if outcome.sync == flotilla_shared::health::SyncState::Synced
            && outcome.health == flotilla_shared::health::Health::Current
        {
            return;
        }
        for name in jobs(world).await {
            complete(world, &name).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!(
        "not in sync after 100 passes: {:#?}",
        world.pass(yaml).await
    );
}

pub(crate) async fn hooks_run_before_and_after_once(mut world: World<'_>) {
    let yaml = |value: &str| {
        job("before", "flotilla.dev/hook: pre-sync")
            + &config_map("main", value)
            + &job(
                "after",
                "flotilla.dev/hook: post-sync, flotilla.dev/hook-deadline: 5m",
            )
    };
    let outcome = world.pass(&yaml("1")).await;
    assert_eq!(
        reason(&outcome, "main"),
        Some(Reason::DependencyNotReady),
        "{outcome:#?}"
    );
    assert_eq!(world.writes().len(), 1, "only the first hook");
    pass_until_synced(&mut world, &yaml("1")).await;
    let first = jobs(&world).await;
    assert_eq!(first.len(), 2, "{first:?}");
    // A hook that runs once is not run again, whatever happens to its Job.
    for name in &first {
        let path = world.path(&format!(
            "batch/v1:jobs/{name}?propagationPolicy=Background"
        ));
        assert_eq!(world.send("DELETE", &path, &Value::Null).await.0, 200);
    }
    world.writes();
    pass_until_synced(&mut world, &yaml("1")).await;
    world.restart();
    pass_until_synced(&mut world, &yaml("1")).await;
    assert_eq!(world.writes(), Vec::<String>::new());
    // Changed content runs them again.
    pass_until_synced(&mut world, &yaml("2")).await;
    let second = jobs(&world).await;
    assert_eq!(second.len(), 2);
    assert!(second.iter().all(|name| !first.contains(name)));
}

/// A running Job is in sync, but the next wave must still wait for it.
pub(crate) async fn what_comes_after_a_hook_waits_for_its_end(mut world: World<'_>) {
    let never = "simulator.flotilla.dev/outcome: never";
    let yaml = job("before", &format!("flotilla.dev/hook: pre-sync, {never}"))
        + &config_map("main", "1")
        + &job("after", &format!("flotilla.dev/hook: post-sync, {never}"));
    world.pass(&yaml).await;
    let before = jobs(&world).await.remove(0);
    set_status(
        &world,
        &before,
        &json!({"startTime": "2026-01-01T00:00:00Z", "active": 1}),
    )
    .await;
    world.restart();
    for _ in 0..2 {
        let outcome = world.pass(&yaml).await;
        let reason = reason(&outcome, "main");
        assert_eq!(reason, Some(Reason::DependencyNotReady), "{outcome:#?}");
    }
    end(&world, &before).await;
    world.restart();
    world.pass(&yaml).await;
    assert!(world.live("configmaps/main").await.is_some());
    // The same for the last hook: until it has finished, the application is progressing.
    let all = jobs(&world).await;
    let after = all.iter().find(|name| **name != before).unwrap();
    world.restart();
    let outcome = world.pass(&yaml).await;
    assert_eq!(outcome.health, flotilla_shared::health::Health::InProgress);
    end(&world, after).await;
    pass_until_synced(&mut world, &yaml).await;
}

pub(crate) async fn waves_wait_for_each_other_in_one_turn(mut world: World<'_>) {
    let yaml = annotated("third", "1", "flotilla.dev/wave: '3'")
        + &annotated("first", "1", "flotilla.dev/wave: '-1'")
        + &annotated(
            "last",
            "1",
            "flotilla.dev/wave: '3', flotilla.dev/depends-on: ConfigMap/third",
        )
        + &annotated("never", "1", "flotilla.dev/depends-on: ConfigMap/third")
        + &config_map("second", "1");
    let outcome = world.pass(&yaml).await;
    assert_eq!(
        reason(&outcome, "never"),
        Some(Reason::Cycle),
        "{outcome:#?}"
    );
    let yaml = yaml.replace(
        "{name: never, annotations: {flotilla.dev/depends-on: ConfigMap/third}}",
        "{name: free}",
    );
    world.synced(&yaml).await;
    assert_eq!(
        world.writes(),
        [
            "patch configmaps/first",
            "patch configmaps/second",
            "patch configmaps/free",
            "patch configmaps/third",
            "patch configmaps/last"
        ]
    );
}

pub(crate) async fn a_claim_that_waits_for_its_first_user_holds_up_no_wave(mut world: World<'_>) {
    let class = format!("{}-late", world.namespace);
    let yaml = format!(
        "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: {class}}}\n\
         provisioner: example.org/none\nvolumeBindingMode: WaitForFirstConsumer\n\
         ---\napiVersion: v1\nkind: PersistentVolumeClaim\n\
         metadata: {{name: data, annotations: {{flotilla.dev/wave: '-1'}}}}\n\
         spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
    ) + &deployment("user", "replicas: 1")
        + &annotated(
            "named",
            "1",
            "flotilla.dev/depends-on: PersistentVolumeClaim/data",
        );
    let outcome = world.pass(&yaml).await;
    assert!(
        world.live("apps/v1:deployments/user").await.is_some(),
        "{outcome:#?}"
    );
    assert!(
        world.live("configmaps/named").await.is_some(),
        "{outcome:#?}"
    );
}
