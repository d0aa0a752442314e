//! Features of the embedded cluster only: faults, a file, controllers, compaction. And authentication, which both
//! clusters have.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use flotilla_apiserver::{ApiServer, Config, Fault, FaultKind, User};
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::eventually;
use flotilla_tests::kubeconfig::{client, request};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

async fn post(cluster: &TestCluster, path: &str, body: &Value) -> (u16, Value) {
    let answer = cluster.request("POST", path, "application/json", Some(body));
    answer.await.unwrap()
}

async fn until(cluster: &TestCluster, path: &str, pointer: &str, expected: &Value) {
    let what = format!("{path} has {expected} at {pointer}");
    eventually(&what, LIMIT, || async {
        let live = cluster.live(path).await?;
        (live.pointer(pointer)? == expected).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_says_who_is_asking_and_rbac_what_they_may() {
    let cluster = TestCluster::start(Config::default()).await.unwrap();
    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]});
    let role = json!({"metadata": {"name": "reader"}, "rules": [rule]});
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    assert_eq!(post(&cluster, &format!("{rbac}/roles"), &role).await.0, 201);
    let binding = json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "readers"}],
    });
    assert_eq!(
        post(&cluster, &format!("{rbac}/rolebindings"), &binding)
            .await
            .0,
        201
    );
    let reader = cluster
        .client_of(&User::new("joe", &["readers"]))
        .await
        .unwrap();
    let ask = |path: &'static str| {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let reader = reader.clone();
        async move { reader.request::<Value>(request).await }
    };
    eventually("the reader reads", LIMIT, || async { ask(MAPS).await.ok() })
        .await
        .unwrap();
    let refused = ask("/api/v1/namespaces/default/secrets").await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("User \"joe\" cannot list resource \"secrets\""),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_known_or_refused_and_nobody_is_anonymous() {
    flotilla_shared::tls::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let server = ApiServer::new(Config {
        tokens: [("secret".to_owned(), User::admin())].into(),
        ..Config::default()
    });
    let serving = server.serve_tls("127.0.0.1:0").await.unwrap();
    for (token, expected) in [("secret", None), ("wrong", Some("Unauthorized"))] {
        let path = directory.path().join(token);
        std::fs::write(&path, serving.kubeconfig_with_token(token)).unwrap();
        let client = client(&path).await.unwrap();
        let request = http::Request::get(MAPS).body(Vec::new()).unwrap();
        let answer = client.request::<Value>(request).await;
        match expected {
            None => assert!(answer.is_ok(), "{answer:?}"),
            Some(text) => assert!(answer.unwrap_err().to_string().contains(text)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_what_was_asked_for_and_pass() {
    let cluster = TestCluster::embedded(Config::default()).await.unwrap();
    let server = cluster.server().unwrap();
    let inject = |kind: FaultKind| {
        server.inject(Fault {
            verb: "create".to_owned(),
            resource: "configmaps".to_owned(),
            kind,
            times: 1,
        });
    };
    let body = |name: &str| axum::body::Body::from(map(name).to_string());
    let send = |name: &str| {
        let request = axum::http::Request::post(MAPS).body(body(name)).unwrap();
        server.handle(request)
    };
    inject(FaultKind::Throttle(7));
    let answer = send("a").await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers().get("retry-after").unwrap(), "7");
    inject(FaultKind::Status(503));
    assert_eq!(send("a").await.status(), 503);
    assert_eq!(cluster.live(&format!("{MAPS}/a")).await, None);
    inject(FaultKind::AnswerLost);
    assert_eq!(send("a").await.status(), 504);
    assert!(cluster.live(&format!("{MAPS}/a")).await.is_some());
    let second = map("b");
    inject(FaultKind::Cut);
    let cut = cluster.request("POST", MAPS, "application/json", Some(&second));
    assert!(cut.await.is_err());
    assert_eq!(cluster.live(&format!("{MAPS}/b")).await, None);
    inject(FaultKind::CutAfter);
    let cut = cluster.request("POST", MAPS, "application/json", Some(&second));
    assert!(cut.await.is_err());
    assert!(cluster.live(&format!("{MAPS}/b")).await.is_some());
    let writes = cluster.audit().unwrap();
    let names: Vec<&str> = writes.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["a", "b"], "a fault without effect is no write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_its_file_keeps_objects_kinds_and_certificates() {
    flotilla_shared::tls::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        data: Some(directory.path().join("data")),
        audit: Some(directory.path().join("audit")),
        ..Config::default()
    };
    let kubeconfig = directory.path().join("kubeconfig");
    let ask = |method: &str, path: &str, body: Value| {
        let kubeconfig = kubeconfig.clone();
        let request = request(method, path, "application/json", &body).unwrap();
        async move {
            client(&kubeconfig)
                .await
                .unwrap()
                .request::<Value>(request)
                .await
        }
    };
    let server = ApiServer::open(config.clone()).unwrap();
    let serving = server.serve_tls("127.0.0.1:0").await.unwrap();
    let address = serving.address.to_string();
    std::fs::write(&kubeconfig, serving.kubeconfig()).unwrap();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    ask("POST", path, definition).await.unwrap();
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "size": 1});
    let stored = ask("POST", "/apis/example.com/v1/widgets", widget)
        .await
        .unwrap();
    ask("POST", MAPS, map("gone")).await.unwrap();
    ask("DELETE", &format!("{MAPS}/gone"), Value::Null)
        .await
        .unwrap();
    drop((serving, server));

    let server = ApiServer::open(config).unwrap();
    let _serving = server.serve_tls(&address).await.unwrap();
    let again = ask("GET", "/apis/example.com/v1/widgets/w", Value::Null)
        .await
        .unwrap();
    assert_eq!(stored, again);
    let list = ask("GET", MAPS, Value::Null).await.unwrap();
    assert_eq!(list.pointer("/items").unwrap(), &json!([]));
    let log = std::fs::read_to_string(directory.path().join("audit")).unwrap();
    assert_eq!(log.lines().count(), 4, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_is_gone_for_watches_and_pages() {
    let cluster = TestCluster::embedded(Config::default()).await.unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(post(&cluster, MAPS, &map(name)).await.0, 201);
    }
    let page = cluster.live(&format!("{MAPS}?limit=1")).await.unwrap();
    let token = page
        .pointer("/metadata/continue")
        .unwrap()
        .as_str()
        .unwrap();
    let version = page
        .pointer("/metadata/resourceVersion")
        .unwrap()
        .as_str()
        .unwrap();
    post(&cluster, MAPS, &map("d")).await;
    cluster.server().unwrap().compact();
    let get = |path: String| {
        let cluster = &cluster;
        async move {
            cluster
                .request("GET", &path, "application/json", None)
                .await
                .unwrap()
        }
    };
    let (code, body) = get(format!("{MAPS}?limit=1&continue={token}")).await;
    assert_eq!(
        (code, body.pointer("/reason").unwrap()),
        (410, &json!("Expired"))
    );
    let next = body
        .pointer("/metadata/continue")
        .unwrap()
        .as_str()
        .unwrap();
    let (code, rest) = get(format!("{MAPS}?limit=9&continue={next}")).await;
    assert_eq!(
        (code, rest.pointer("/items/2/metadata/name")),
        (200, Some(&json!("d")))
    );
    let (code, event) = get(format!(
        "{MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=1"
    ))
    .await;
    assert_eq!(
        (code, event.pointer("/object/code")),
        (200, Some(&json!(410)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workloads_become_ready_or_fail_and_garbage_goes() {
    let config = Config {
        ready_after: Some(Duration::from_millis(30)),
        ..Config::default()
    };
    let cluster = TestCluster::embedded(config).await.unwrap();
    let namespace = json!({"metadata": {"name": "n"}});
    assert_eq!(
        post(&cluster, "/api/v1/namespaces", &namespace).await.0,
        201
    );
    let deployments = "/apis/apps/v1/namespaces/n/deployments";
    for (name, image) in [("good", "x:1"), ("bad", "x:broken")] {
        let body = json!({"metadata": {"name": name}, "spec": {"replicas": 2,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": image}]}}}});
        assert_eq!(post(&cluster, deployments, &body).await.0, 201);
    }
    let good = format!("{deployments}/good");
    until(&cluster, &good, "/status/readyReplicas", &json!(2)).await;
    let bad = format!("{deployments}/bad");
    let reason = json!("ProgressDeadlineExceeded");
    until(&cluster, &bad, "/status/conditions/1/reason", &reason).await;
    let service = json!({"metadata": {"name": "lb"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    post(&cluster, "/api/v1/namespaces/n/services", &service).await;
    let path = "/api/v1/namespaces/n/services/lb";
    until(
        &cluster,
        path,
        "/status/loadBalancer/ingress/0/ip",
        &json!("192.0.2.10"),
    )
    .await;
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    post(
        &cluster,
        "/api/v1/namespaces/n/persistentvolumeclaims",
        &claim,
    )
    .await;
    let path = "/api/v1/namespaces/n/persistentvolumeclaims/c";
    until(&cluster, path, "/status/phase", &json!("Bound")).await;

    let live = cluster.live(&good).await.unwrap();
    let mut owned = map("owned");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment",
        "name": "good", "uid": live.pointer("/metadata/uid").unwrap()}]);
    assert_eq!(
        post(&cluster, "/api/v1/namespaces/n/configmaps", &owned)
            .await
            .0,
        201
    );
    let gone = |path: &'static str| {
        let cluster = &cluster;
        async move {
            eventually(&format!("{path} is gone"), LIMIT, || async {
                cluster.live(path).await.is_none().then_some(())
            })
            .await
            .unwrap();
        }
    };
    let foreground = json!({"propagationPolicy": "Foreground"});
    let delete = cluster.request("DELETE", &good, "application/json", Some(&foreground));
    assert_eq!(delete.await.unwrap().0, 200);
    gone("/apis/apps/v1/namespaces/n/deployments/good").await;
    gone("/api/v1/namespaces/n/configmaps/owned").await;

    let mut held = map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&cluster, "/api/v1/namespaces/n/configmaps", &held).await;
    let delete = cluster.request("DELETE", "/api/v1/namespaces/n", "application/json", None);
    let (_, body) = delete.await.unwrap();
    assert_eq!(body.pointer("/status/phase").unwrap(), "Terminating");
    gone("/apis/apps/v1/namespaces/n/deployments/bad").await;
    let path = "/api/v1/namespaces/n/configmaps/held";
    assert!(cluster.live("/api/v1/namespaces/n").await.is_some());
    let free = json!({"metadata": {"finalizers": null}});
    let patch = "application/merge-patch+json";
    cluster
        .request("PATCH", path, patch, Some(&free))
        .await
        .unwrap();
    gone("/api/v1/namespaces/n").await;
}
