//! Applying.

use std::time::{Duration, Instant};

use flotilla_shared::health::SyncState;
use flotilla_shared::object::Action;
use flotilla_shared::reason::Reason;
use flotilla_tests::eventually;
use serde_json::{Value, json};

use super::world::{World, annotated, config_map, deployment, reason, status};

pub(crate) async fn a_turn_applies_all_and_the_next_one_nothing(mut world: World<'_>) {
    let yaml = [
        config_map("a", "1"),
        deployment("web", "replicas: 2"),
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{port: 80}]\n".to_owned(),
    ]
    .concat();
    let outcome = world.synced(&yaml).await;
    assert_eq!(outcome.written, 3);
    assert_eq!(world.writes().len(), 3);
    let outcome = world.synced(&yaml).await;
    assert_eq!(outcome.written, 0);
    // Also if the agent remembers nothing but the inventory.
    world.restart();
    assert_eq!(world.synced(&yaml).await.written, 0);
    assert_eq!(world.writes(), Vec::<String>::new());
    let outcome = world.synced(&yaml.replace("'1'", "'2'")).await;
    assert_eq!(outcome.written, 1);
    assert_eq!(world.writes(), ["patch configmaps/a"]);
}

pub(crate) async fn a01_an_immutable_field_is_reported_and_only_recreated_where_git_says_so(
    mut world: World<'_>,
) {
    let first = deployment("web", "replicas: 1");
    world.synced(&(first.clone() + &config_map("a", "1"))).await;
    let uid = |live: &Value| live.pointer("/metadata/uid").unwrap().clone();
    let before = uid(&world.live("apps/v1:deployments/web").await.unwrap());
    let other = first.replace("app: web", "app: other");
    let outcome = world.pass(&(other.clone() + &config_map("a", "2"))).await;
    assert_eq!(
        reason(&outcome, "web"),
        Some(Reason::ImmutableField),
        "{outcome:#?}"
    );
    assert_eq!(
        status(&outcome, "a").action,
        Action::Updated,
        "the rest goes on"
    );
    assert_eq!(world.deletes(), Vec::<String>::new());
    let opted = other.replace(
        "{name: web}\nspec",
        "{name: web, annotations: {flotilla.dev/on-immutable: recreate}}\nspec",
    );
    let outcome = world.pass(&(opted + &config_map("a", "2"))).await;
    assert_eq!(outcome.sync, SyncState::Synced, "{outcome:#?}");
    assert_eq!(world.deletes(), ["delete deployments/web"]);
    assert_ne!(
        uid(&world.live("apps/v1:deployments/web").await.unwrap()),
        before
    );
}

pub(crate) async fn a08_one_bad_object_stops_no_other_and_is_not_tried_in_a_tight_loop(
    mut world: World<'_>,
) {
    let bad = "---\napiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec:\n  ports: [{port: 99999}]\n";
    let yaml = config_map("a", "1") + bad + &config_map("b", "1");
    let outcome = world.pass(&yaml).await;
    assert_eq!(outcome.sync, SyncState::OutOfSync);
    assert_eq!(outcome.written, 2);
    assert_eq!(reason(&outcome, "bad"), Some(Reason::Invalid));
    assert!(outcome.message.contains("port"), "{}", outcome.message);
    world.writes();
    let outcome = world.pass(&yaml).await;
    assert_eq!(outcome.written, 0);
    assert_eq!(
        world.writes(),
        Vec::<String>::new(),
        "what is done is not done again"
    );
    // A commit that corrects it is applied.
    world.synced(&yaml.replace("99999", "80")).await;
}

pub(crate) async fn a10_a_missing_namespace_is_named_and_made_by_the_next_commit(
    mut world: World<'_>,
) {
    let elsewhere = format!("{}-new", world.namespace);
    let inside =
        config_map("a", "1").replace("{name: a}", &format!("{{name: a, namespace: {elsewhere}}}"));
    let outcome = world
        .pass(&(inside.clone() + &config_map("here", "1")))
        .await;
    assert_eq!(
        reason(&outcome, "a"),
        Some(Reason::NamespaceNotFound),
        "{outcome:#?}"
    );
    assert_eq!(status(&outcome, "here").action, Action::Created);
    let namespace =
        format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {elsewhere}}}\n");
    world
        .synced(&(inside + &config_map("here", "1") + &namespace))
        .await;
}

pub(crate) async fn a10_a_terminating_namespace_holds_up_its_own_objects_only(
    mut world: World<'_>,
) {
    let elsewhere = format!("{}-going", world.namespace);
    let body = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": elsewhere, "finalizers": ["example.com/slow"]}});
    assert_eq!(world.send("POST", "/api/v1/namespaces", &body).await.0, 201);
    let yaml = |value: &str| {
        let placed = format!("{{name: inside, namespace: {elsewhere}}}");
        let inside = config_map("inside", value).replace("{name: inside}", &placed);
        inside + &config_map("here", value)
    };
    world.synced(&yaml("1")).await;
    let path = format!("/api/v1/namespaces/{elsewhere}");
    assert_eq!(world.send("DELETE", &path, &Value::Null).await.0, 200);
    let limit = Duration::from_secs(20);
    let inside = format!("{path}/configmaps/inside");
    eventually("its content is gone", limit, || async {
        (world.send("GET", &inside, &Value::Null).await.0 == 404).then_some(())
    })
    .await
    .unwrap();
    world.writes();
    world.restart();
    let outcome = world.pass(&yaml("2")).await;
    let told = status(&outcome, "inside");
    assert_eq!(
        told.reason,
        Some(Reason::NamespaceTerminating),
        "{outcome:#?}"
    );
    assert!(told.message.contains(&elsewhere), "{told:?}");
    assert_eq!(status(&outcome, "here").action, Action::Updated);
    assert_eq!(
        world.writes(),
        ["patch configmaps/here"],
        "nothing is forced"
    );
    let mut other = World::new(world.server, "a10_another_application").await;
    other.synced(&config_map("b", "1")).await;
    // The object finally disappears, and another client creates it again.
    let merge = "application/merge-patch+json";
    let patch = json!({"metadata": {"finalizers": null}});
    assert_eq!(world.send_as("PATCH", &path, merge, &patch).await.0, 200);
    eventually("the namespace is gone", limit, || async {
        (world.send("GET", &path, &Value::Null).await.0 == 404).then_some(())
    })
    .await
    .unwrap();
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}});
    assert_eq!(world.send("POST", "/api/v1/namespaces", &body).await.0, 201);
    world.healed(&yaml("2")).await;
    let (code, live) = world.send("GET", &inside, &Value::Null).await;
    assert_eq!((code, &live["data"]["value"]), (200, &json!("2")));
}

pub(crate) async fn a11_an_object_too_large_for_etcd_is_refused_by_name(mut world: World<'_>) {
    let large = config_map("large", &"x".repeat(1_600_000));
    let outcome = world.pass(&(large + &config_map("small", "1"))).await;
    assert_eq!(reason(&outcome, "large"), Some(Reason::ObjectTooLarge));
    assert_eq!(
        world.writes(),
        ["patch configmaps/small"],
        "it was not even sent"
    );
}

pub(crate) async fn a11_too_large_requests_and_annotations_are_refused_by_name(
    mut world: World<'_>,
) {
    let notes = |bytes: usize| {
        let half = "x".repeat(bytes / 2);
        format!("example.com/a: {half}, example.com/b: {half}")
    };
    let yaml = [
        config_map("large", &"x".repeat(3_200_000)),
        annotated("noted", "1", &notes(264_000)),
        annotated("fits", "1", &notes(260_000)),
        config_map("small", "1"),
    ]
    .concat();
    let outcome = world.pass(&yaml).await;
    for name in ["large", "noted"] {
        let told = status(&outcome, name);
        assert_eq!(told.reason, Some(Reason::ObjectTooLarge), "{told:?}");
        let named = format!("/{name} ha");
        assert!(told.message.contains(&named), "{told:?}");
        let answers = world.answers("patch", name);
        assert_eq!(answers, Vec::<u16>::new(), "{name} was not even sent");
    }
    let mut writes = world.writes();
    writes.sort();
    assert_eq!(writes, ["patch configmaps/fits", "patch configmaps/small"]);
}

pub(crate) async fn a12_values_that_the_server_writes_another_way_are_no_drift(
    mut world: World<'_>,
) {
    // The server stores "1000m" as "1", and adds its defaults to the items of a list.
    let yaml = deployment("web", "replicas: 1")
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{port: 80, targetPort: 8080}]\n";
    world.synced(&yaml).await;
    world.writes();
    for _ in 0..3 {
        assert_eq!(world.synced(&yaml).await.written, 0);
    }
    world.restart();
    let written = world.synced(&yaml).await.written;
    assert_eq!(written, 0, "also by an agent that never saw it before");
    assert_eq!(world.synced(&yaml).await.written, 0);
}

pub(crate) async fn a13_what_only_a_server_may_set_is_left_out(mut world: World<'_>) {
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: exported\n  uid: 6ba7b810-9dad-11d1-80b4-00c04fd430c8\n  resourceVersion: '999999'\n  creationTimestamp: '2020-01-01T00:00:00Z'\n  managedFields: []\n  selfLink: /api\n  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}\ndata: {a: b}\nstatus: {x: y}\n";
    world.synced(yaml).await;
    let live = world.live("configmaps/exported").await.unwrap();
    assert_ne!(live.pointer("/metadata/resourceVersion").unwrap(), "999999");
    let annotations = live.pointer("/metadata/annotations").unwrap();
    assert!(
        annotations
            .get("kubectl.kubernetes.io/last-applied-configuration")
            .is_none()
    );
    assert_eq!(world.synced(yaml).await.written, 0);
}

pub(crate) async fn a15_an_account_without_rights_is_told_so_for_each_object(mut world: World<'_>) {
    let namespace = world.namespace.clone();
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer"}});
    assert_eq!(
        world
            .send("POST", &world.path("serviceaccounts"), &account)
            .await
            .0,
        201
    );
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "deployer"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"],
            "verbs": ["get", "create", "patch"]}]});
    let rbac = "rbac.authorization.k8s.io/v1:";
    assert_eq!(
        world
            .send("POST", &world.path(&format!("{rbac}roles")), &role)
            .await
            .0,
        201
    );
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "deployer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": namespace}]});
    assert_eq!(
        world
            .send(
                "POST",
                &world.path(&format!("{rbac}rolebindings")),
                &binding
            )
            .await
            .0,
        201
    );
    world.writes();
    world
        .policy
        .service_accounts
        .insert("*".to_owned(), format!("{namespace}/deployer"));
    let secret =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: hidden}\nstringData: {a: b}\n";
    let outcome = world.pass(&(config_map("a", "1") + secret)).await;
    assert_eq!(
        reason(&outcome, "hidden"),
        Some(Reason::Forbidden),
        "{outcome:#?}"
    );
    let message = &status(&outcome, "hidden").message;
    assert!(
        message.contains("deployer") && message.contains("secrets"),
        "{message}"
    );
    assert_eq!(
        world.writes(),
        ["patch configmaps/a"],
        "the agent's own rights were not used instead"
    );
}

pub(crate) async fn string_data_of_secrets_is_compared_and_removed_like_any_field(
    mut world: World<'_>,
) {
    let secret = |data: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{{data}}}\n")
    };
    world.synced(&secret("a: one, b: two")).await;
    assert_eq!(world.synced(&secret("a: one, b: two")).await.written, 0);
    assert_eq!(world.synced(&secret("a: one")).await.written, 1);
    let live = world.live("secrets/s").await.unwrap();
    assert_eq!(live.pointer("/data").unwrap(), &json!({"a": "b25l"}));
}

pub(crate) async fn a12_an_exceeded_quota_stops_what_is_too_many_until_there_is_room(
    mut world: World<'_>,
) {
    let quota = world.path("resourcequotas");
    let body = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
        "spec": {"hard": {"count/configmaps": "2"}}});
    assert_eq!(world.send("POST", &quota, &body).await.0, 201);
    let counted = world.path("resourcequotas/few/status");
    let allow = |hard: &str, used: &str| json!({"status": {"hard": {"count/configmaps": hard}, "used": {"count/configmaps": used}}});
    let merge = "application/merge-patch+json";
    let set = world
        .send_as("PATCH", &counted, merge, &allow("2", "0"))
        .await;
    assert_eq!(set.0, 200, "{}", set.1);
    // A real server learns of quotas through a watch: retry until it enforces this one.
    let probe = world.path("configmaps/probe");
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}});
    eventually("the quota counts", Duration::from_secs(30), || async {
        world.send("DELETE", &probe, &json!({})).await;
        world.send("POST", &world.path("configmaps"), &body).await;
        let quota = world.live("resourcequotas/few").await?;
        (quota["status"]["used"]["count/configmaps"] != "0").then_some(())
    })
    .await
    .unwrap();
    world.send("DELETE", &probe, &json!({})).await;
    let set = world
        .send_as("PATCH", &counted, merge, &allow("2", "0"))
        .await;
    assert_eq!(set.0, 200, "{}", set.1);

    let yaml: String = ["a", "b", "c"]
        .iter()
        .map(|name| config_map(name, "1"))
        .chain([deployment("web", "replicas: 1")])
        .collect();
    let outcome = world.pass(&yaml).await;
    assert_eq!(outcome.sync, SyncState::OutOfSync, "{outcome:#?}");
    assert_eq!(outcome.reason, Some(Reason::QuotaExceeded));
    let refused: Vec<&str> = outcome
        .objects
        .iter()
        .filter(|status| status.reason == Some(Reason::QuotaExceeded))
        .map(|status| status.object.name.as_str())
        .collect();
    assert_eq!(refused.len(), 1, "{outcome:#?}");
    let message = &status(&outcome, refused[0]).message;
    assert!(message.contains("limited: count/configmaps=2"), "{message}");
    assert_eq!(outcome.written, 3, "the others are there");
    // As long as the quota is exhausted, the other objects stay as they are.
    world.writes();
    let again = world.pass(&yaml).await;
    assert_eq!(again.reason, Some(Reason::QuotaExceeded), "{again:#?}");
    assert_eq!(world.writes(), Vec::<String>::new());
    let set = world
        .send_as("PATCH", &counted, merge, &allow("3", "2"))
        .await;
    assert_eq!(set.0, 200, "{}", set.1);
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.pass(&yaml).await.sync != SyncState::Synced {
        assert!(Instant::now() < deadline, "there is room for it");
    }
}

pub(crate) async fn an_object_written_with_and_without_the_default_namespace_is_refused_by_name(
    mut world: World<'_>,
) {
    let once = config_map("same", "a");
    let twice = once.clone()
        + &config_map("same", "b").replace(
            "name: same",
            &format!("name: same, namespace: {}", world.namespace),
        );
    world.synced(&once).await;
    world.writes();
    let outcome = world.pass(&twice).await;
    assert_eq!(
        (outcome.sync, outcome.reason),
        (SyncState::Refused, Some(Reason::DuplicateObject))
    );
    assert!(outcome.message.contains("same"), "{}", outcome.message);
    assert_eq!(world.writes(), Vec::<String>::new());
    world.synced(&once).await;
}
