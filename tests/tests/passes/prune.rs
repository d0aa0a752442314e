//! Pruning: what is deleted, and above all what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_agent::plan::Intent;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::object::Action;
use flotilla_shared::reason::Reason;
use flotilla_tests::eventually;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::meddler::{Meddler, request};
use super::world::{World, config_map, health, reason, status};

const NOTHING: Vec<String> = Vec::new();

pub(crate) async fn p01_p05_an_empty_set_is_refused_and_clears_itself(mut world: World<'_>) {
    world
        .synced(&(config_map("a", "1") + &config_map("b", "1")))
        .await;
    let outcome = world.pass("# nothing but a comment\n---\n").await;
    assert_eq!(
        (outcome.sync, outcome.reason),
        (SyncState::Refused, Some(Reason::EmptyRender))
    );
    assert_eq!(world.deletes(), NOTHING);
    world.synced(&config_map("a", "1")).await;
    assert_eq!(world.deletes(), ["delete configmaps/b"]);
}

pub(crate) async fn p11_p12_definitions_and_namespaces_wait_for_a_confirmation(
    mut world: World<'_>,
) {
    let group = format!("{}.example.com", world.namespace);
    let inner = format!("{}-inner", world.namespace);
    let own = format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {inner}}}\n---\napiVersion: apiextensions.k8s.io/v1\n\
         kind: CustomResourceDefinition\nmetadata: {{name: widgets.{group}}}\nspec:\n  group: {group}\n  scope: Namespaced\n  \
         names: {{kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}}\n  versions:\n  - name: v1\n    \
         served: true\n    storage: true\n    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}\n"
    );
    let widget = format!(
        "---\napiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {{size: 1}}\n"
    );
    // A CRD and an object of its kind in one commit are applied in one pass (A9).
    let outcome = world
        .pass(&(own.clone() + &widget + &config_map("a", "1")))
        .await;
    assert_eq!(outcome.sync, SyncState::Synced, "{outcome:#?}");
    // Two more objects belong to others.
    let others = world.path(&format!("{group}/v1:widgets"));
    for name in ["x", "y"] {
        let body = json!({"apiVersion": format!("{group}/v1"), "kind": "Widget",
            "metadata": {"name": name}});
        assert_eq!(world.send("POST", &others, &body).await.0, 201);
    }
    let outcome = world.pass(&config_map("a", "1")).await;
    assert_eq!(
        reason(&outcome, &inner),
        Some(Reason::ProtectedKind),
        "{outcome:#?}"
    );
    let definition = status(&outcome, &format!("widgets.{group}"));
    assert_eq!(definition.reason, Some(Reason::ProtectedKind));
    let message = &definition.message;
    assert!(message.ends_with("with it 3 custom resources"), "{message}");
    assert_eq!(world.deletes(), ["delete widgets/w"]);
    for name in ["x", "y"] {
        let path = format!("{others}/{name}");
        assert_eq!(world.send("GET", &path, &Value::Null).await.0, 200);
    }
    let patch = json!({"metadata": {"annotations": {"flotilla.dev/prune": "confirmed"}}});
    let path = format!("/api/v1/namespaces/{inner}?fieldManager=owner");
    let kind = "application/merge-patch+json";
    assert_eq!(world.send_as("PATCH", &path, kind, &patch).await.0, 200);
    for _ in 0..50 {
        let outcome = world.pass(&config_map("a", "1")).await;
        // One has been deleted since; the count is not refreshed in each pass.
        let message = &status(&outcome, &format!("widgets.{group}")).message;
        assert!(message.ends_with("with it 3 custom resources"), "{message}");
        let deletes = world.deletes();
        if !deletes.is_empty() {
            assert_eq!(deletes, [format!("delete namespaces/{inner}")]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a confirmed namespace is not deleted");
}

pub(crate) async fn p13_over_the_budget_nothing_is_deleted(mut world: World<'_>) {
    let many: String = (0..20).map(|n| config_map(&format!("n{n}"), "1")).collect();
    world.synced(&many).await;
    world.writes();
    let outcome = world
        .pass(&(config_map("n0", "2") + &config_map("new", "1")))
        .await;
    assert_eq!(reason(&outcome, "n1"), Some(Reason::DeleteBudget));
    assert_eq!(outcome.written, 2, "applies go on");
    assert_eq!(world.deletes(), NOTHING);
}

pub(crate) async fn p15_a_damaged_inventory_deletes_nothing_and_is_rebuilt(mut world: World<'_>) {
    let all = config_map("a", "1") + &config_map("b", "1");
    world.synced(&all).await;
    let record = format!(
        "/api/v1/namespaces/flotilla-system/configmaps/flotilla-inventory-{}-0",
        world.namespace
    );
    let kind = "application/merge-patch+json";
    let broken = json!({"data": {"entries": "[{\"kind\":"}});
    assert_eq!(world.send_as("PATCH", &record, kind, &broken).await.0, 200);
    world.restart();
    world.pass(&config_map("a", "1")).await;
    assert_eq!(
        world.deletes(),
        NOTHING,
        "b is not known any more, and stays"
    );
    assert!(world.live("configmaps/b").await.is_some());
    // A rebuilt inventory can be trusted again.
    world.synced(&all).await;
    world.restart();
    world.synced(&config_map("a", "1")).await;
    assert_eq!(world.deletes(), ["delete configmaps/b"]);
}

pub(crate) async fn p16_an_object_made_again_by_others_stays(mut world: World<'_>) {
    world
        .synced(&(config_map("a", "1") + &config_map("b", "1")))
        .await;
    let path = world.path("configmaps/b");
    assert_eq!(world.send("DELETE", &path, &Value::Null).await.0, 200);
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}});
    assert_eq!(
        world
            .send("POST", &world.path("configmaps"), &theirs)
            .await
            .0,
        201
    );
    world.writes();
    world.restart();
    world.synced(&config_map("a", "1")).await;
    assert_eq!(world.deletes(), NOTHING);
    assert!(world.live("configmaps/b").await.is_some());
}

pub(crate) async fn p17_children_with_our_marks_are_never_pruned(mut world: World<'_>) {
    world.synced(&config_map("a", "1")).await;
    let parent = world.live("configmaps/a").await.unwrap();
    let child = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child",
        "annotations": parent.pointer("/metadata/annotations"), "labels": parent.pointer("/metadata/labels")}});
    assert_eq!(
        world
            .send("POST", &world.path("configmaps"), &child)
            .await
            .0,
        201
    );
    world.restart();
    world.synced(&config_map("a", "2")).await;
    assert_eq!(world.deletes(), NOTHING);
}

pub(crate) async fn p18_finalizers_are_waited_for_by_name(mut world: World<'_>) {
    world
        .synced(&(config_map("a", "1") + &config_map("b", "1")))
        .await;
    let finalizers = json!({"metadata": {"finalizers": ["example.com/slow"]}});
    world.edit("controller", "configmaps/b", finalizers).await;
    let mut outcome = world.pass(&config_map("a", "2")).await;
    assert_eq!(
        reason(&outcome, "b"),
        Some(Reason::WaitingForFinalizer),
        "{outcome:#?}"
    );
    assert!(status(&outcome, "b").message.contains("example.com/slow"));
    assert_eq!(world.deletes(), ["delete configmaps/b"]);
    outcome = world.pass(&config_map("a", "3")).await;
    assert_eq!(health(&outcome, "a"), Health::Current, "others go on");
    assert_eq!(world.deletes(), NOTHING, "asked for once");
    assert!(status(&outcome, "b").message.contains("example.com/slow"));
    let live = world.live("configmaps/b").await.unwrap();
    assert_eq!(
        live.pointer("/metadata/finalizers/0").unwrap(),
        "example.com/slow",
        "never stripped"
    );
    world
        .edit(
            "controller",
            "configmaps/b",
            json!({"metadata": {"finalizers": null}}),
        )
        .await;
    world.synced(&config_map("a", "3")).await;
}

pub(crate) async fn p18_a_namespace_that_never_goes_is_waited_for_by_name(mut world: World<'_>) {
    let inner = format!("{}-inner", world.namespace);
    let namespace = format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {inner}}}\n");
    world.synced(&(config_map("a", "1") + &namespace)).await;
    let path = format!("/api/v1/namespaces/{inner}");
    let merge = "application/merge-patch+json";
    let patch = json!({"metadata": {"finalizers": ["example.com/slow"],
        "annotations": {"flotilla.dev/prune": "confirmed"}}});
    assert_eq!(world.send_as("PATCH", &path, merge, &patch).await.0, 200);
    world.writes();
    world.restart();
    for value in ["2", "3"] {
        let outcome = world.pass(&config_map("a", value)).await;
        let told = status(&outcome, &inner);
        assert_eq!(told.reason, Some(Reason::WaitingForFinalizer), "{told:?}");
        assert!(told.message.contains("example.com/slow"), "{told:?}");
        assert_eq!(status(&outcome, "a").action, Action::Updated, "{value}");
    }
    let asked = [format!("delete namespaces/{inner}")];
    assert_eq!(world.deletes(), asked, "asked for once");
    let mut other = World::new(world.server, "p18_another_application").await;
    other.synced(&config_map("b", "1")).await;
    let (_, live) = world.send("GET", &path, &Value::Null).await;
    let finalizer = live.pointer("/metadata/finalizers/0").unwrap();
    assert_eq!(finalizer, "example.com/slow", "never stripped");
    let patch = json!({"metadata": {"finalizers": null}});
    assert_eq!(world.send_as("PATCH", &path, merge, &patch).await.0, 200);
    let limit = Duration::from_secs(20);
    eventually("the namespace is gone", limit, || async {
        (world.send("GET", &path, &Value::Null).await.0 == 404).then_some(())
    })
    .await
    .unwrap();
    world.healed(&config_map("a", "3")).await;
}

pub(crate) async fn a_removed_application_takes_its_objects_along(mut world: World<'_>) {
    world
        .synced(&(config_map("a", "1") + &config_map("b", "1")))
        .await;
    world.writes();
    let outcome = world.remove().await;
    assert_eq!(outcome.pruned, 2, "{outcome:#?}");
    assert!(outcome.objects.is_empty());
    let mut deletes = world.deletes();
    deletes.sort();
    assert_eq!(deletes, ["delete configmaps/a", "delete configmaps/b"]);
}

pub(crate) async fn p16_an_object_made_again_between_look_and_delete_stays(mut world: World<'_>) {
    world
        .synced(&(config_map("a", "1") + &config_map("b", "1")))
        .await;
    let before = world.live("configmaps/b").await.unwrap();
    // Between the agent's read and its delete, another client deletes the object and creates it again.
    let path = world.path("configmaps/b");
    let copy = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b",
        "annotations": before.pointer("/metadata/annotations")}});
    let fresh = format!("{}?fieldManager=flotilla", world.path("configmaps"));
    let others = world.client.clone();
    let is_done = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&is_done);
    world.agent_over(Meddler::before_delete(
        world.client.clone(),
        path.clone(),
        move || {
            let (others, done) = (others.clone(), Arc::clone(&done));
            let (path, fresh, copy) = (path.clone(), fresh.clone(), copy.clone());
            Box::pin(async move {
                done.store(true, Ordering::SeqCst);
                assert_eq!(request(&others, "DELETE", &path, &Value::Null).await, 200);
                assert_eq!(request(&others, "POST", &fresh, &copy).await, 201);
            })
        },
    ));
    world.pass(&config_map("a", "1")).await;
    assert!(is_done.load(Ordering::SeqCst), "the delete was reached");
    let live = world.live("configmaps/b").await.unwrap();
    let uid = |live: &Value| live.pointer("/metadata/uid").cloned();
    assert_ne!(uid(&live), uid(&before), "it is the new one");
    assert_eq!(world.answers("delete", "b"), [200, 409], "the UID decided");
}

pub(crate) async fn p15_no_forged_record_deletes_what_is_not_ours(mut world: World<'_>) {
    let seed: u64 = rand::rng().random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    world.policy.delete_budget.count = 1000;
    world.policy.delete_budget.percent = 100;
    let desired = config_map("kept", "1");
    let mine = ["one", "two", "three"]
        .map(|name| config_map(name, "1"))
        .concat();
    world.synced(&(desired.clone() + &mine)).await;
    // What an owned object looks like, to copy its marks.
    let ours = world.live("configmaps/kept").await.unwrap();
    let record = format!(
        "/api/v1/namespaces/flotilla-system/configmaps/flotilla-inventory-{}-0",
        world.namespace
    );
    let merge = "application/merge-patch+json";
    for round in 0..12 {
        let name = format!("theirs-{round}");
        let annotations = match rng.random_range(0..3) {
            0 => json!({}),
            1 => ours.pointer("/metadata/annotations").cloned().unwrap(),
            _ => json!({"flotilla.dev/application": "another"}),
        };
        let manager = ["kubectl", "helm", "controller"][rng.random_range(0..3)];
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "annotations": annotations}, "data": {"value": "1"}});
        let path = format!("{}?fieldManager={manager}", world.path("configmaps"));
        let (code, live) = world.send("POST", &path, &body).await;
        assert_eq!(code, 201);
        let uid = match rng.random_range(0..4) {
            0 => json!(""),
            1 => json!("another"),
            _ => live.pointer("/metadata/uid").cloned().unwrap(),
        };
        let (_, stored) = world.send("GET", &record, &Value::Null).await;
        let text = stored.pointer("/data/entries").unwrap().as_str().unwrap();
        let mut entries: Vec<Value> = serde_json::from_str(text).unwrap();
        let entry = json!({"kind": "ConfigMap", "namespace": world.namespace, "name": name,
            "version": "v1", "uid": uid, "applied": "0123456789abcdef"});
        entries.push(entry);
        if rng.random_bool(0.3) {
            entries.remove(0);
        }
        let entries = serde_json::to_string(&entries).unwrap();
        // With the original seal, without one, or with a forged one.
        let seal = match rng.random_range(0..3) {
            0 => stored.pointer("/data/seal").cloned().unwrap(),
            1 => Value::Null,
            _ => json!("0".repeat(64)),
        };
        let forged = json!({"data": {"entries": entries, "seal": seal}});
        assert_eq!(world.send_as("PATCH", &record, merge, &forged).await.0, 200);
        world.writes();
        world.restart();
        let wants_mine = rng.random_bool(0.5);
        let set = if wants_mine {
            desired.clone() + &mine
        } else {
            desired.clone()
        };
        let outcome = world.pass(&set).await;
        assert_eq!(
            outcome.reason,
            Some(Reason::InventoryChanged),
            "{outcome:#?}"
        );
        assert_eq!(
            world.deletes(),
            NOTHING,
            "nothing by a record that was changed"
        );
        world.pass(&set).await;
        world.restart();
        world.pass(&set).await;
        for delete in world.deletes() {
            assert!(!delete.contains("theirs"), "{delete}");
        }
        assert!(world.live(&format!("configmaps/{name}")).await.is_some());
        world.synced(&(desired.clone() + &mine)).await;
    }
}

pub(crate) async fn a_removal_over_the_budget_is_confirmed_in_the_cluster(mut world: World<'_>) {
    let many: String = (0..12).map(|n| config_map(&format!("n{n}"), "1")).collect();
    world.synced(&many).await;
    world.writes();
    let outcome = world.remove().await;
    assert_eq!(reason(&outcome, "n1"), Some(Reason::DeleteBudget));
    assert!(
        status(&outcome, "n1")
            .message
            .contains("flotilla.dev/remove=confirmed")
    );
    assert_eq!(world.deletes(), NOTHING);
    let record = format!(
        "/api/v1/namespaces/flotilla-system/configmaps/flotilla-inventory-{}-0",
        world.namespace
    );
    let word = json!({"metadata": {"annotations": {"flotilla.dev/remove": "confirmed"}}});
    let merge = "application/merge-patch+json";
    assert_eq!(world.send_as("PATCH", &record, merge, &word).await.0, 200);
    // Withdrawn in the fleet file: a confirmation does not carry over to the next removal.
    world.synced(&many).await;
    let outcome = world.remove().await;
    assert_eq!(reason(&outcome, "n1"), Some(Reason::DeleteBudget));
    assert_eq!(world.deletes(), NOTHING);
    // Nor does a confirmation that was given before the removal.
    world.synced(&many).await;
    assert_eq!(world.send_as("PATCH", &record, merge, &word).await.0, 200);
    let outcome = world.remove().await;
    assert_eq!(reason(&outcome, "n1"), Some(Reason::DeleteBudget));
    assert_eq!(world.deletes(), NOTHING);
    assert_eq!(world.send_as("PATCH", &record, merge, &word).await.0, 200);
    let outcome = world.remove().await;
    assert_eq!(
        (outcome.pruned, outcome.remembered),
        (12, 0),
        "{outcome:#?}"
    );
}

pub(crate) async fn a_released_application_leaves_its_objects_and_remembers_none(
    mut world: World<'_>,
) {
    world
        .synced(&(config_map("a", "1") + &config_map("b", "1")))
        .await;
    world.writes();
    let outcome = world.turn_for("", Intent::Release).await;
    assert_eq!((outcome.pruned, outcome.remembered), (0, 0), "{outcome:#?}");
    assert_eq!(world.deletes(), NOTHING);
    assert!(world.live("configmaps/a").await.is_some());
    // Declared again later, they are still the same objects.
    world.synced(&config_map("a", "1")).await;
    assert_eq!(world.deletes(), NOTHING, "b was let go");
}
