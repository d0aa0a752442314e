//! Services, which the API server defaults more than any other kind: headless ones, ones without a selector, and ones
//! with their own node ports.

use serde_json::{Value, json};

use super::world::World;

/// Services by name.
const SERVICES: [(&str, &str); 7] = [
    (
        "headless",
        "{clusterIP: None, selector: {app: web}, ports: [{name: http, port: 80}]}",
    ),
    ("portless", "{clusterIP: None, selector: {app: web}}"),
    ("bare", "{clusterIP: None, ports: [{port: 80}]}"),
    ("plain", "{selector: {app: web}, ports: [{port: 80}]}"),
    (
        "node",
        "{type: NodePort, selector: {app: web}, ports: [{port: 80}]}",
    ),
    (
        "balanced",
        "{type: LoadBalancer, selector: {app: web}, ports: [{port: 443, targetPort: https}]}",
    ),
    (
        "elsewhere",
        "{type: ExternalName, externalName: db.example.org}",
    ),
];

fn yaml() -> String {
    let service = |(name, spec): &(&str, &str)| {
        format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    SERVICES.iter().map(service).collect()
}

/// Fields that the server sets are not drift, however often and by whichever agent they are compared; an edit is.
pub(crate) async fn a14_a_service_that_the_server_fills_in_is_no_drift(mut world: World<'_>) {
    let yaml = yaml();
    let outcome = world.synced(&yaml).await;
    assert_eq!(outcome.drifted, 0, "{outcome:#?}");
    for look in 0..4 {
        // With the agent's memory, and with an agent that has just started.
        if look % 2 == 0 {
            world.restart();
        }
        world.writes();
        let outcome = world.synced(&yaml).await;
        assert_eq!((outcome.written, outcome.drifted), (0, 0), "{outcome:#?}");
        assert_eq!(world.writes(), Vec::<String>::new(), "nobody wrote");
    }
    for name in ["headless", "portless", "bare"] {
        let live = world.live(&format!("services/{name}")).await.unwrap();
        assert_eq!(live["spec"]["clusterIP"], "None", "{name}");
    }
    // For a headless service, too, another port set by hand is drift.
    let port = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 81}]);
    world
        .patch("kubectl-edit", "services/headless", &port)
        .await;
    let outcome = world.synced(&yaml).await;
    assert_eq!(outcome.drifted, 1, "{outcome:#?}");
    let live = world.live("services/headless").await.unwrap();
    assert_eq!(live["spec"]["ports"].as_array().map(Vec::len), Some(1));
    assert_eq!(live["spec"]["ports"][0]["port"], 80);
    assert_eq!(live["spec"]["clusterIP"], "None");
    // So is a key that a person adds to the selector, which is one atomic field to the API server.
    let selector = json!({"spec": {"selector": {"tier": "x"}}});
    world
        .edit("kubectl-edit", "services/portless", selector)
        .await;
    assert_eq!(world.synced(&yaml).await.drifted, 1);
    let live = world.live("services/portless").await.unwrap();
    assert_eq!(live.pointer("/spec/selector/tier"), None::<&Value>);
}

const ATOMIC: &str = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec:\n  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Ingress]\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {minAvailable: 1, selector: {matchLabels: {app: web}}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      nodeSelector: {disk: ssd}\n      containers:\n      - name: web\n        image: web:1\n        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]\n";

/// A key that a person adds to an atomic map narrows what a policy selects, or moves pods: it is removed like any
/// other addition.
pub(crate) async fn a14_a_key_added_to_a_map_that_is_one_field_is_taken_away(mut world: World<'_>) {
    world.synced(ATOMIC).await;
    for (rest, pointer, patch) in [
        (
            "networking.k8s.io/v1:networkpolicies/deny",
            "/spec/podSelector/matchLabels",
            json!({"spec": {"podSelector": {"matchLabels": {"tier": "x"}}}}),
        ),
        (
            "policy/v1:poddisruptionbudgets/web",
            "/spec/selector/matchLabels",
            json!({"spec": {"selector": {"matchLabels": {"tier": "x"}}}}),
        ),
        (
            "apps/v1:deployments/web",
            "/spec/template/spec/nodeSelector",
            json!({"spec": {"template": {"spec": {"nodeSelector": {"tier": "x"}}}}}),
        ),
    ] {
        world.edit("kubectl-edit", rest, patch).await;
        let outcome = world.synced(ATOMIC).await;
        assert_eq!(outcome.drifted, 1, "{rest}: {outcome:#?}");
        let live = world.live(rest).await.unwrap();
        let map = live.pointer(pointer).unwrap().as_object().unwrap();
        assert!(
            map.len() == 1 && !map.contains_key("tier"),
            "{rest}: {map:?}"
        );
        world.restart();
        let again = world.synced(ATOMIC).await;
        assert_eq!((again.written, again.drifted), (0, 0), "{rest}: {again:#?}");
    }
}
