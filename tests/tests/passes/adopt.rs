//! Coexistence with other writers of the same objects.

use flotilla_shared::assignment::{Drift, IgnoreRule};
use flotilla_shared::health::SyncState;
use flotilla_shared::reason::Reason;
use serde_json::{Value, json};

use super::world::{World, config_map, deployment, reason, status};

const WEB: &str = "apps/v1:deployments/web";

async fn replicas(world: &World<'_>) -> Value {
    let live = world.live(WEB).await.unwrap();
    live.pointer("/spec/replicas").cloned().unwrap()
}

/// Stands in for the horizontal pod autoscaler.
async fn scale(world: &mut World<'_>, replicas: u32) {
    let scale = json!({"spec": {"replicas": replicas}});
    world
        .edit("kube-controller-manager", &format!("{WEB}/scale"), scale)
        .await;
}

pub(crate) async fn a03_an_autoscaler_keeps_its_replicas(mut world: World<'_>) {
    let yaml = deployment("web", "replicas: 2");
    world.synced(&yaml).await;
    // The autoscaler is not in Git: the agent finds it in the cluster.
    let theirs = json!({"metadata": {"name": "theirs"}, "spec": {"maxReplicas": 9,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    let path = world.path("autoscaling/v2:horizontalpodautoscalers");
    assert_eq!(world.send("POST", &path, &theirs).await.0, 201);
    scale(&mut world, 5).await;
    world.writes();
    assert_eq!(world.synced(&yaml).await.written, 0);
    world.synced(&yaml.replace("main:1", "main:2")).await;
    assert_eq!(
        replicas(&world).await,
        5,
        "another change does not take it back"
    );
    // The autoscaler is added to Git.
    let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  maxReplicas: 9\n";
    world.synced(&(yaml.clone() + scaler)).await;
    assert_eq!(replicas(&world).await, 5);
    scale(&mut world, 7).await;
    world.synced(&(yaml + scaler)).await;
    assert_eq!(replicas(&world).await, 7);
}

pub(crate) async fn a04_replicas_that_leave_git_stay_as_they_are(mut world: World<'_>) {
    world.synced(&deployment("web", "replicas: 4")).await;
    assert_eq!(replicas(&world).await, 4);
    let without = deployment("web", "minReadySeconds: 1");
    world.synced(&without).await;
    assert_eq!(replicas(&world).await, 4, "it must not fall to 1");
    world.writes();
    assert_eq!(world.synced(&without).await.written, 0);
}

pub(crate) async fn a05_fields_of_kubectl_apply_become_ours_and_go_when_git_drops_them(
    mut world: World<'_>,
) {
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "data": {"keep": "1", "drop": "2"}});
    let path = format!(
        "{}?fieldManager=kubectl-client-side-apply",
        world.path("configmaps")
    );
    assert_eq!(world.send("POST", &path, &theirs).await.0, 201);
    let yaml =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\ndata: {keep: '1', more: '3'}\n";
    world.synced(yaml).await;
    let live = world.live("configmaps/old").await.unwrap();
    assert_eq!(
        live.pointer("/data").unwrap(),
        &json!({"keep": "1", "more": "3"})
    );
    assert_eq!(world.synced(yaml).await.written, 0);
}

pub(crate) async fn ignored_fields_are_left_to_others_and_the_rest_is_corrected(
    mut world: World<'_>,
) {
    world.sync_policy.ignore = vec![
        IgnoreRule {
            kind: "ConfigMap".to_owned(),
            json_pointers: vec!["/data/theirs".to_owned()],
            ..IgnoreRule::default()
        },
        IgnoreRule {
            field_managers: vec!["tuner".to_owned()],
            ..IgnoreRule::default()
        },
    ];
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {ours: '1', theirs: '1', tuned: '1'}\n";
    world.synced(yaml).await;
    world
        .edit("somebody", "configmaps/a", json!({"data": {"theirs": "2"}}))
        .await;
    world
        .edit("tuner", "configmaps/a", json!({"data": {"tuned": "2"}}))
        .await;
    world.writes();
    assert_eq!(world.synced(yaml).await.written, 0, "both are left alone");
    world
        .edit(
            "kubectl-edit",
            "configmaps/a",
            json!({"data": {"ours": "2"}}),
        )
        .await;
    assert_eq!(world.synced(yaml).await.written, 1);
    let live = world.live("configmaps/a").await.unwrap();
    assert_eq!(
        live.pointer("/data").unwrap(),
        &json!({"ours": "1", "theirs": "2", "tuned": "2"})
    );
}

pub(crate) async fn drift_is_reported_with_its_manager_and_not_touched(mut world: World<'_>) {
    world.sync_policy.drift = Drift::Report;
    let yaml = config_map("a", "1");
    world.synced(&yaml).await;
    world
        .edit(
            "kubectl-edit",
            "configmaps/a",
            json!({"data": {"value": "edited"}}),
        )
        .await;
    world.writes();
    let outcome = world.pass(&yaml).await;
    assert_eq!(outcome.sync, SyncState::OutOfSync);
    assert_eq!(reason(&outcome, "a"), Some(Reason::Drifted));
    let message = &status(&outcome, "a").message;
    assert!(
        message.contains("kubectl-edit") && message.contains("/data/value"),
        "{message}"
    );
    assert!(message.contains("since 20"), "{message}");
    assert_eq!(world.writes(), Vec::<String>::new());
    // A new desired state is not drift.
    world.synced(&config_map("a", "2")).await;
}
