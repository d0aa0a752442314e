//! A part of the API is unavailable, or discovery is incomplete: nothing is deleted, and the rest is applied.

use std::time::{Duration, Instant};

use flotilla_agent::plan::Intent;
use flotilla_apiserver::{FaultKind, StaleDiscovery};
use flotilla_shared::health::SyncState;
use flotilla_shared::reason::Reason;
use flotilla_tests::eventually;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::fault::fault;
use super::world::{World, config_map, reason, status};

const LIMIT: Duration = Duration::from_secs(30);

/// A definition that is not managed, whose objects stand in for those of an aggregated API server; returns its group.
async fn widgets(world: &World<'_>) -> String {
    define(world, "Namespaced").await
}

async fn define(world: &World<'_>, scope: &str) -> String {
    let group = format!("{}.example.com", world.namespace);
    let names = json!({"kind": "Widget", "plural": "widgets", "singular": "widget",
        "listKind": "WidgetList"});
    let schema = json!({"openAPIV3Schema": {"type": "object",
        "x-kubernetes-preserve-unknown-fields": true}});
    let body = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {"group": group, "scope": scope, "names": names,
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, answer) = world.send("POST", path, &body).await;
    assert_eq!(code, 201, "{answer}");
    group
}

fn widget(group: &str, name: &str) -> String {
    format!(
        "---\napiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: {name}}}\nspec: {{size: 1}}\n"
    )
}

fn secret(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n")
}

/// Takes passes until exactly these objects were deleted.
async fn deleted(world: &mut World<'_>, yaml: &str, expected: &[&str]) {
    let deadline = Instant::now() + LIMIT;
    let mut deletes = Vec::new();
    while deletes != expected {
        assert!(Instant::now() < deadline, "{deletes:?}");
        world.pass(yaml).await;
        deletes.extend(world.deletes());
        deletes.sort();
    }
}

pub(crate) async fn p14_an_aggregated_api_that_is_away_deletes_nothing(mut world: World<'_>) {
    let server = world.server.server().unwrap().clone();
    let group = widgets(&world).await;
    let stays = widget(&group, "stays");
    let before = [
        config_map("a", "1"),
        config_map("b", "1"),
        stays.clone(),
        widget(&group, "leaves"),
    ]
    .concat();
    let after = config_map("a", "2") + &stays;
    for stale in [StaleDiscovery::Remembered, StaleDiscovery::Unknown] {
        world.synced(&before).await;
        world.writes();
        server.take_away(&format!("{group}/v1"), stale);
        world.restart();
        let outcome = world.pass(&after).await;
        assert_eq!(
            world.writes(),
            ["patch configmaps/a"],
            "{stale:?}: other kinds go on, and nothing is deleted"
        );
        assert_eq!(outcome.sync, SyncState::OutOfSync, "{stale:?}");
        for name in ["b", "leaves"] {
            let told = reason(&outcome, name);
            assert_eq!(told, Some(Reason::PartialDiscovery), "{stale:?} {name}");
        }
        let told = status(&outcome, "stays");
        assert_eq!(told.reason, Some(Reason::ClusterUnavailable), "{told:?}");
        assert!(!told.message.is_empty());
        server.heal();
        deleted(
            &mut world,
            &after,
            &["delete configmaps/b", "delete widgets/leaves"],
        )
        .await;
    }
}

pub(crate) async fn p14_an_aggregated_api_that_comes_back_within_a_pass_deletes_nothing(
    mut world: World<'_>,
) {
    let server = world.server.server().unwrap().clone();
    let group = widgets(&world).await;
    let yaml = config_map("a", "1") + &widget(&group, "w");
    world.synced(&yaml).await;
    world.writes();
    server.take_away(&format!("{group}/v1"), StaleDiscovery::Unknown);
    world.restart();
    // The answer with the inventory is delayed. Meanwhile the API returns, but the widget was prepared before the
    // agent could know that its kind is namespaced.
    let late = FaultKind::Hang(Duration::from_secs(3));
    server.inject(fault("list", "configmaps", late, 1));
    let back = async {
        eventually("the record is asked for", LIMIT, || async {
            (server.pending() == 0).then_some(())
        })
        .await
        .unwrap();
        server.heal();
    };
    let (outcome, ()) = tokio::join!(world.pass(&yaml), back);
    assert_eq!(world.writes(), Vec::<String>::new(), "{outcome:#?}");
    assert_eq!(reason(&outcome, "w"), Some(Reason::ClusterUnavailable));
    world.synced(&yaml).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

pub(crate) async fn p14_a_list_that_expires_half_way_deletes_nothing(mut world: World<'_>) {
    let server = world.server.server().unwrap().clone();
    // Two pages; one object of each leaves.
    let many: String = (0..260)
        .map(|number| secret(&format!("m{number}")))
        .collect();
    let before = [
        config_map("a", "1"),
        many.clone(),
        secret("first"),
        secret("z"),
    ]
    .concat();
    let after = config_map("a", "2") + &many;
    let gone = ["delete secrets/first", "delete secrets/z"];
    world.synced(&before).await;
    world.writes();
    server.inject(fault("list", "secrets", FaultKind::Pass, 1));
    server.inject(fault("list", "secrets", FaultKind::Status(410), usize::MAX));
    world.restart();
    let outcome = world.pass(&after).await;
    assert_eq!(
        world.writes(),
        ["patch configmaps/a"],
        "other kinds go on, and nothing is deleted"
    );
    assert_eq!(outcome.sync, SyncState::OutOfSync);
    for name in ["first", "z"] {
        let told = reason(&outcome, name);
        assert_eq!(told, Some(Reason::PartialDiscovery), "{name}");
    }
    server.heal();
    deleted(&mut world, &after, &gone).await;
    // A list whose continue token expires once is listed again from the start, and is complete.
    world.synced(&before).await;
    world.writes();
    server.inject(fault("list", "secrets", FaultKind::Pass, 1));
    server.inject(fault("list", "secrets", FaultKind::Status(410), 1));
    world.restart();
    world.synced(&after).await;
    assert_eq!(server.pending(), 0, "it expired");
    let mut deletes = world.deletes();
    deletes.sort();
    assert_eq!(deletes, gone);
}

pub(crate) async fn a_definition_with_another_scope_has_its_objects_prepared_anew(
    mut world: World<'_>,
) {
    let group = define(&world, "Cluster").await;
    let input = world.input(&widget(&group, "w"), Intent::Run);
    let mut prepared = world.agent.desired_state(&input).await.unwrap();
    assert!(prepared.complete);
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = format!("{definitions}/widgets.{group}");
    let deleted = world.send("DELETE", &definition, &Value::Null).await;
    assert_eq!(deleted.0, 200, "{}", deleted.1);
    define(&world, "Namespaced").await;
    // An agent that discovers the current kinds.
    world.restart();
    let cancel = CancellationToken::new();
    let memory = &mut world.memory;
    let agent = &world.agent;
    let outcome = agent
        .reconcile(&input, &mut prepared, memory, &cancel)
        .await;
    assert!(outcome.outdated, "{outcome:#?}");
    let told = status(&outcome, "w");
    assert_eq!(told.reason, Some(Reason::UnknownKind), "{told:?}");
    assert!(told.message.contains("has a namespace"), "{told:?}");
    let mut prepared = agent.desired_state(&input).await.unwrap();
    let outcome = agent
        .reconcile(&input, &mut prepared, memory, &cancel)
        .await;
    assert!(!outcome.outdated, "{outcome:#?}");
    assert_eq!(outcome.sync, SyncState::Synced, "{outcome:#?}");
}
