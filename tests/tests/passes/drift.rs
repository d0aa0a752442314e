//! Changes to managed objects by people, controllers and autoscalers, and how the agent reacts.

use flotilla_shared::assignment::{Drift, IgnoreRule};
use flotilla_shared::health::SyncState;
use flotilla_shared::object::Action;
use flotilla_shared::reason::Reason;
use serde_json::{Value, json};

use super::world::{World, config_map, deployment, reason, status};

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{name: http, port: 80, targetPort: 8080}]\n";
const WEB: &str = "apps/v1:deployments/web";
const SCALER: &str = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  maxReplicas: 9\n";

async fn at(world: &World<'_>, rest: &str, pointer: &str) -> Value {
    let live = world.live(rest).await.unwrap();
    live.pointer(pointer).cloned().unwrap_or_default()
}

fn web(containers: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{containers}]}}\n"
    )
}

pub(crate) async fn a14_a_port_changed_by_hand_is_changed_back(mut world: World<'_>) {
    let yaml = SERVICE.to_owned()
        + &web("{name: web, image: 'web:1', ports: [{name: http, containerPort: 81}]}");
    world.synced(&yaml).await;
    let port = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 83}]);
    world.patch("kubectl-patch", "services/web", &port).await;
    let path = "/spec/template/spec/containers/0/ports/0/containerPort";
    let port = json!([{"op": "replace", "path": path, "value": 80}]);
    world.patch("kubectl-edit", WEB, &port).await;
    let outcome = world.synced(&yaml).await;
    assert_eq!(outcome.drifted, 2, "{outcome:#?}");
    assert_eq!(at(&world, "services/web", "/spec/ports/0/port").await, 80);
    assert_eq!(
        at(&world, "services/web", "/spec/ports/1").await,
        Value::Null
    );
    let ports = "/spec/template/spec/containers/0/ports";
    assert_eq!(
        at(&world, WEB, &format!("{ports}/0/containerPort")).await,
        81
    );
    assert_eq!(at(&world, WEB, &format!("{ports}/1")).await, Value::Null);
    world.writes();
    world.restart();
    assert_eq!(world.synced(&yaml).await.written, 0);
    // The same port from Git, while a field manager that the policy does not know has changed it.
    let port = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 84}]);
    world.patch("nobody-knows", "services/web", &port).await;
    world.synced(&yaml.replace("port: 80", "port: 82")).await;
    assert_eq!(at(&world, "services/web", "/spec/ports/0/port").await, 82);
    assert_eq!(
        at(&world, "services/web", "/spec/ports/1").await,
        Value::Null
    );
}

const POLICY: &str = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress]\n";

async fn add_by_hand(world: &mut World<'_>) {
    let policy = "networking.k8s.io/v1:networkpolicies/deny";
    let any = json!({"spec": {"ingress": [{}]}});
    world.edit("kubectl-edit", policy, any).await;
    let more = json!({"data": {"added": "x"}, "metadata": {"labels": {"mine": "x"}}});
    world.edit("Lens", "configmaps/a", more).await;
    let port =
        json!([{"op": "add", "path": "/spec/ports/-", "value": {"name": "debug", "port": 6060}}]);
    world.patch("k9s", "services/web", &port).await;
    let spec = "/spec/template/spec";
    let side = json!([
        {"op": "add", "path": format!("{spec}/containers/-"), "value": {"name": "side", "image": "x:1"}},
        {"op": "add", "path": format!("{spec}/containers/0/env"), "value": [{"name": "E", "value": "1"}]},
    ]);
    world.patch("Mozilla", WEB, &side).await;
}

pub(crate) async fn a14_what_people_add_is_taken_away(mut world: World<'_>) {
    let yaml =
        POLICY.to_owned() + SERVICE + &config_map("a", "1") + &web("{name: web, image: 'web:1'}");
    world.synced(&yaml).await;
    add_by_hand(&mut world).await;
    let outcome = world.synced(&yaml).await;
    assert_eq!(outcome.drifted, 4, "{outcome:#?}");
    let policy = "networking.k8s.io/v1:networkpolicies/deny";
    assert_eq!(at(&world, policy, "/spec/ingress").await, Value::Null);
    assert_eq!(
        at(&world, "configmaps/a", "/data").await,
        json!({"value": "1"})
    );
    assert_eq!(
        at(&world, "configmaps/a", "/metadata/labels").await,
        Value::Null
    );
    assert_eq!(
        at(&world, "services/web", "/spec/ports/1").await,
        Value::Null
    );
    let containers = at(&world, WEB, "/spec/template/spec/containers").await;
    assert_eq!(containers.as_array().unwrap().len(), 1, "{containers}");
    assert_eq!(containers.pointer("/0/env"), None);
    world.writes();
    world.restart();
    assert_eq!(world.synced(&yaml).await.written, 0);
    assert_eq!(world.writes(), Vec::<String>::new());
}

pub(crate) async fn a14_what_controllers_add_and_people_order_is_left(mut world: World<'_>) {
    let yaml = config_map("a", "1") + &web("{name: web, image: 'web:1'}");
    world.synced(&yaml).await;
    for manager in ["cert-manager-cainjector", "some-operator", "nobody-knows"] {
        let more = json!({"data": {manager: "x"}});
        world.edit(manager, "configmaps/a", more).await;
    }
    let order = json!({"metadata": {"annotations": {"flotilla.dev/prune": "confirmed"}}});
    world.edit("kubectl-annotate", "configmaps/a", order).await;
    let restart = json!({"spec": {"template": {"metadata": {"annotations":
        {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}});
    world.edit("kubectl-rollout", WEB, restart).await;
    world.writes();
    assert_eq!(world.synced(&yaml).await.written, 0);
    // The agent's own policy takes precedence.
    let people = flotilla_agent::observe::managers::Managers {
        people: vec!["nobody-*".to_owned()],
        controllers: Vec::new(),
    };
    world.restart_with(people);
    assert_eq!(world.synced(&yaml).await.written, 1);
    let data = at(&world, "configmaps/a", "/data").await;
    assert_eq!(data.get("nobody-knows"), None);
    assert_eq!(data.get("some-operator"), Some(&json!("x")));
}

pub(crate) async fn a14_additions_are_reported_or_allowed_as_the_policy_says(mut world: World<'_>) {
    let yaml = config_map("a", "1") + &config_map("b", "1") + &config_map("c", "1");
    world.synced(&yaml).await;
    world.sync_policy.drift = Drift::Report;
    world.sync_policy.ignore = vec![
        IgnoreRule {
            name: "b".to_owned(),
            json_pointers: vec!["/data/added".to_owned()],
            ..IgnoreRule::default()
        },
        IgnoreRule {
            name: "c".to_owned(),
            field_managers: vec!["kubectl-edit".to_owned()],
            ..IgnoreRule::default()
        },
    ];
    for name in ["a", "b", "c"] {
        let more = json!({"data": {"added": "x"}});
        let rest = format!("configmaps/{name}");
        world.edit("kubectl-edit", &rest, more).await;
    }
    world.writes();
    let outcome = world.pass(&yaml).await;
    assert_eq!(outcome.sync, SyncState::OutOfSync);
    assert_eq!(outcome.differing, 1);
    assert_eq!(reason(&outcome, "a"), Some(Reason::Drifted));
    let message = &status(&outcome, "a").message;
    assert!(
        message.contains("kubectl-edit") && message.contains("/data/added"),
        "{message}"
    );
    assert_eq!(reason(&outcome, "b"), None);
    assert_eq!(reason(&outcome, "c"), None);
    assert_eq!(world.writes(), Vec::<String>::new());
    // A new commit writes the fields of Git and leaves fields that are only reported.
    let next = yaml.replace("'1'", "'2'");
    world.pass(&next).await;
    let data = json!({"value": "2", "added": "x"});
    assert_eq!(at(&world, "configmaps/a", "/data").await, data);
    assert_eq!(reason(&world.pass(&next).await, "a"), Some(Reason::Drifted));
    world.sync_policy.drift = Drift::Correct;
    world.synced(&next).await;
    assert_eq!(
        at(&world, "configmaps/a", "/data").await,
        json!({"value": "2"})
    );
    assert_eq!(at(&world, "configmaps/c", "/data").await, data);
}

pub(crate) async fn a03_replicas_are_gits_again_when_the_autoscaler_is_gone(mut world: World<'_>) {
    world
        .synced(&(deployment("web", "minReadySeconds: 1") + SCALER))
        .await;
    let scale = json!({"spec": {"replicas": 7}});
    let path = format!("{WEB}/scale");
    world
        .edit("kube-controller-manager", &path, scale.clone())
        .await;
    world
        .synced(&(deployment("web", "replicas: 3") + SCALER))
        .await;
    assert_eq!(at(&world, WEB, "/spec/replicas").await, 7);
    // The autoscaler leaves Git: one pass deletes it and applies the replicas of Git.
    world.synced(&deployment("web", "replicas: 2")).await;
    assert_eq!(at(&world, WEB, "/spec/replicas").await, 2);
    world.synced(&deployment("web", "replicas: 3")).await;
    assert_eq!(at(&world, WEB, "/spec/replicas").await, 3);
    // An old write by the controller does not hold back a new number from Git.
    world.edit("kube-controller-manager", &path, scale).await;
    world.synced(&deployment("web", "replicas: 4")).await;
    assert_eq!(at(&world, WEB, "/spec/replicas").await, 4);
    // A change of replicas by a person is drift like any edit.
    let scale = json!({"spec": {"replicas": 1}});
    world.edit("kubectl-scale", &path, scale).await;
    assert_eq!(
        world
            .synced(&deployment("web", "replicas: 4"))
            .await
            .drifted,
        1
    );
    assert_eq!(at(&world, WEB, "/spec/replicas").await, 4);
}

pub(crate) async fn a14_rules_of_an_aggregating_role_are_the_aggregators(mut world: World<'_>) {
    let name = world.namespace.clone();
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\naggregationRule: {{clusterRoleSelectors: [{{matchLabels: {{agg: {name}}}}}]}}\nrules: []\n"
    );
    world.synced(&role).await;
    let path = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}");
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    let patch = format!("{path}?fieldManager=clusterrole-aggregation-controller");
    let kind = "application/merge-patch+json";
    let body = json!({"rules": rules.clone()});
    assert_eq!(world.send_as("PATCH", &patch, kind, &body).await.0, 200);
    world.restart();
    world.writes();
    assert_eq!(world.synced(&role).await.written, 0);
    let other = role.replace("metadata: {name", "metadata: {labels: {more: one}, name");
    world.synced(&other).await;
    let live = world.send("GET", &path, &Value::Null).await.1;
    assert_eq!(live.get("rules"), Some(&rules));
    world.send("DELETE", &path, &Value::Null).await;
}

pub(crate) async fn a01_every_immutable_field_is_made_anew_where_git_says_so(mut world: World<'_>) {
    let yaml = |ip: &str, role: &str, kind: &str, label: &str| {
        let note = "annotations: {flotilla.dev/on-immutable: recreate}";
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: svc, {note}}}\nspec: {{clusterIP: {ip}, selector: {{app: db}}, ports: [{{port: 80}}]}}\n\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: rb, {note}}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\nsubjects: [{{kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}}]\n\
             ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: sec, {note}}}\ntype: {kind}\n\
             ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: locked, {note}}}\nimmutable: true\ndata: {{v: {label}}}\n\
             ---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db, {note}}}\nspec:\n  serviceName: {label}\n  selector: {{matchLabels: {{app: db}}}}\n  template: {{metadata: {{labels: {{app: db}}}}, spec: {{containers: [{{name: d, image: 'd:1'}}]}}}}\n"
        )
    };
    world
        .pass(&yaml("None", "view", "example.com/a", "one"))
        .await;
    let next = yaml("10.0.0.77", "edit", "example.com/b", "two");
    let outcome = world.pass(&next).await;
    for name in ["svc", "rb", "sec", "locked"] {
        assert_eq!(
            status(&outcome, name).action,
            Action::Updated,
            "{outcome:#?}"
        );
    }
    assert_eq!(
        at(&world, "services/svc", "/spec/clusterIP").await,
        "10.0.0.77"
    );
    let binding = "rbac.authorization.k8s.io/v1:rolebindings/rb";
    assert_eq!(at(&world, binding, "/roleRef/name").await, "edit");
    assert_eq!(at(&world, "secrets/sec", "/type").await, "example.com/b");
    assert_eq!(at(&world, "configmaps/locked", "/data/v").await, "two");
    // A protected kind waits for a confirmation, and its status says so.
    assert_eq!(reason(&outcome, "db"), Some(Reason::ImmutableField));
    let message = &status(&outcome, "db").message;
    assert!(
        message.contains("flotilla.dev/prune=confirmed"),
        "{message}"
    );
    let set = "apps/v1:statefulsets/db";
    let confirmed = json!({"metadata": {"annotations": {"flotilla.dev/prune": "confirmed"}}});
    world.edit("kubectl-annotate", set, confirmed).await;
    world.pass(&next).await;
    assert_eq!(at(&world, set, "/spec/serviceName").await, "two");
}

pub(crate) async fn a08_wrong_types_and_doubled_items_are_invalid_at_once(mut world: World<'_>) {
    let yaml = config_map("fine", "1")
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: number}\ndata: {port: 8080}\n"
        + &web("{name: web, image: 'web:1', env: [{name: A, value: '1'}, {name: A, value: '2'}]}");
    let outcome = world.pass(&yaml).await;
    assert_eq!(status(&outcome, "fine").action, Action::Created);
    for (name, words) in [
        ("number", ".data.port: expected string, got 8080"),
        ("web", "env: duplicate entries for key [name=\"A\"]"),
    ] {
        assert_eq!(
            reason(&outcome, name),
            Some(Reason::Invalid),
            "{outcome:#?}"
        );
        let message = &status(&outcome, name).message;
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(outcome.reason, Some(Reason::Invalid));
    let data = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: secret}\ndata: {pin: 4711}\n";
    let outcome = world.pass(data).await;
    let message = &status(&outcome, "secret").message;
    assert!(
        message.contains(".data.pin") && !message.contains("4711"),
        "{message}"
    );
}

pub(crate) async fn a16_what_git_dropped_while_the_agent_was_away_goes(mut world: World<'_>) {
    let yaml =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {keep: '1', drop: '2'}\n";
    world.synced(yaml).await;
    world.restart();
    world.synced(&yaml.replace(", drop: '2'", "")).await;
    assert_eq!(
        at(&world, "configmaps/a", "/data").await,
        json!({"keep": "1"})
    );
    // Without managed fields the agent cannot tell what it owns, so it applies everything again.
    let cleared = json!({"metadata": {"managedFields": [{}]}});
    world.edit("kubectl-patch", "configmaps/a", cleared).await;
    assert_eq!(world.synced(yaml).await.written, 1);
    assert_eq!(
        at(&world, "configmaps/a", "/data").await,
        json!({"keep": "1", "drop": "2"})
    );
}
