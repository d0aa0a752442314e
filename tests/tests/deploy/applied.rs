//! API servers accept all manifests, and the agent's rights suffice.

use std::time::Duration;

use clap::Parser as _;
use flotilla_agent::args::{Args, Command};
use flotilla_agent::check;
use flotilla_apiserver::{Config, User};
use flotilla_shared::findings::{Finding, Outcome};
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::eventually;
use serde_json::{Value, json};

use crate::rendered::{OVERLAYS, Objects, charts, ours, with_pages};

pub(crate) const ACCOUNT: &str = "system:serviceaccount:flotilla-system:flotilla-agent";

/// The path of the collection to which an object belongs.
fn collection(value: &Value) -> String {
    let (version, kind) = (value["apiVersion"].as_str(), value["kind"].as_str());
    let (version, kind) = (version.unwrap(), kind.unwrap());
    let root = match version {
        "v1" => "/api/v1".to_owned(),
        version => format!("/apis/{version}"),
    };
    let plural = match kind {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    match value["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    }
}

pub(crate) async fn apply(cluster: &TestCluster, value: &Value) -> Result<(), String> {
    let name = value["metadata"]["name"].as_str().unwrap();
    let path = format!("{}/{name}?fieldManager=test&force=true", collection(value));
    let kind = "application/apply-patch+yaml";
    let answer = cluster.request("PATCH", &path, kind, Some(value)).await;
    let (code, answer) = answer.map_err(|error| error.to_string())?;
    if code < 300 {
        return Ok(());
    }
    Err(format!("{path}: {code} {answer}"))
}

/// The CRDs of the Prometheus operator, as far as an API server needs them.
async fn define(cluster: &TestCluster, kind: &str) {
    let plural = format!("{}s", kind.to_lowercase());
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": schema}}],
        },
    });
    apply(cluster, &definition).await.unwrap();
}

/// A StatefulSet cannot be changed into another form, so it is deleted.
async fn clear(cluster: &TestCluster) {
    for (namespace, name) in [
        ("flotilla-hub", "flotilla-hub"),
        ("flotilla-system", "flotilla-agent"),
    ] {
        for plural in ["statefulsets", "daemonsets"] {
            let path = format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}");
            let answer = cluster
                .request("DELETE", &path, "application/json", None)
                .await;
            answer.unwrap();
            let gone = "the workload is gone";
            let limit = Duration::from_secs(60);
            let look = async || cluster.live(&path).await.is_none().then_some(());
            eventually(gone, limit, look).await.unwrap();
        }
    }
}

/// Applies namespaces first, and retries, because a new definition is only served after a moment.
async fn apply_all(cluster: &TestCluster, name: &str, objects: &Objects) {
    clear(cluster).await;
    let is_namespace = |key: &&String| key.starts_with("Namespace ");
    let (first, rest): (Vec<_>, Vec<_>) = objects.keys().partition(is_namespace);
    for key in first.into_iter().chain(rest) {
        let what = format!("{name}: {key} is taken");
        let mut last = String::new();
        let limit = Duration::from_secs(60);
        let taken = eventually(&what, limit, async || {
            apply(cluster, &objects[key]).await.ok()
        })
        .await;
        if taken.is_err() {
            last = apply(cluster, &objects[key])
                .await
                .err()
                .unwrap_or_default();
        }
        assert!(taken.is_ok(), "{what}: {last}");
    }
}

/// Stands in for the controller that aggregates the role.
pub(crate) async fn aggregate(cluster: &TestCluster) {
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let builtin = cluster
        .live(&format!("{path}/flotilla-agent-builtin"))
        .await;
    let mut role = cluster
        .live(&format!("{path}/flotilla-agent"))
        .await
        .unwrap();
    role["rules"] = builtin.unwrap()["rules"].clone();
    let path = format!("{path}/flotilla-agent");
    let answer = cluster
        .request("PUT", &path, "application/json", Some(&role))
        .await;
    let (code, answer) = answer.unwrap();
    assert_eq!(code, 200, "{answer}");
}

async fn everything_is_taken(cluster: &TestCluster) {
    define(cluster, "PodMonitor").await;
    define(cluster, "PrometheusRule").await;
    // The bases last, because the rights are checked as they leave them.
    for (name, ..) in OVERLAYS.iter().rev() {
        apply_all(cluster, name, &ours(name)).await;
    }
    for (chart, more) in [
        ("flotilla-hub", with_pages("hub-web")),
        ("flotilla-hub", with_pages("hub-web-behind-proxy")),
        ("flotilla-hub", json!({})),
        ("flotilla-agent", json!({})),
    ] {
        apply_all(cluster, chart, &charts(chart, &more).unwrap()).await;
    }
}

/// Runs `flotilla-agent check` with the rights of the service account, for each kind of the built-in role.
async fn rights_suffice(cluster: &TestCluster) {
    aggregate(cluster).await;
    let kinds = [
        "ConfigMap",
        "Secret",
        "Service",
        "Deployment.apps",
        "StatefulSet.apps",
        "CronJob.batch",
    ];
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("policy.yaml");
    std::fs::write(&policy, json!({"kinds": kinds}).to_string()).unwrap();
    let groups = [
        "system:serviceaccounts",
        "system:serviceaccounts:flotilla-system",
    ];
    let kubeconfig = cluster.kubeconfig_of(&User::new(ACCOUNT, &groups)).unwrap();
    let look = async || {
        let arguments = [
            "flotilla-agent",
            "check",
            "--policy",
            policy.to_str().unwrap(),
        ];
        let kubeconfig = ["--kubeconfig", kubeconfig.to_str().unwrap()];
        let args = Args::try_parse_from(arguments.into_iter().chain(kubeconfig)).unwrap();
        let Command::Check(args) = args.command else {
            panic!("it is a check");
        };
        let findings = check::look(&args).await;
        let rights = findings
            .groups
            .iter()
            .filter(|group| group.name == "rights");
        let rights: Vec<Finding> = rights.flat_map(|group| &group.findings).cloned().collect();
        (findings.exit_code(), rights)
    };
    let (code, findings) = look().await;
    assert_eq!(findings.len(), kinds.len() + 3, "{findings:#?}");
    for finding in &findings {
        assert_eq!(finding.outcome, Outcome::Well, "{finding:?}");
    }
    assert_eq!(code, 0);
    // For a kind outside the built-in role, the finding says what to do.
    std::fs::write(&policy, json!({"kinds": ["Node"]}).to_string()).unwrap();
    let (code, findings) = look().await;
    let wrong = findings
        .iter()
        .find(|finding| finding.outcome == Outcome::Wrong);
    let wrong = wrong.unwrap_or_else(|| panic!("{findings:#?}"));
    assert!(
        wrong.text.starts_with("applying nodes: missing"),
        "{wrong:?}"
    );
    assert!(wrong.hint.contains("agent-may-apply"), "{wrong:?}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn the_embedded_api_server_takes_everything_and_the_agents_rights_suffice() {
    let cluster = TestCluster::embedded(Config::default()).await.unwrap();
    everything_is_taken(&cluster).await;
    rights_suffice(&cluster).await;
}

#[tokio::test]
async fn a_real_api_server_takes_everything_and_the_agents_rights_suffice() {
    let Some(cluster) = TestCluster::real().await.unwrap() else {
        flotilla_needs::skip("apiserver");
        return;
    };
    everything_is_taken(&cluster).await;
    rights_suffice(&cluster).await;
}
