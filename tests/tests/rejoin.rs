//! Agents that return: a cluster that was removed and rejoins, and one whose certificate expired without renewal.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use flotilla_hub::authority::{Authority, Request};
use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::fleet::Operator;
use flotilla_tests::installation::Installation;
use jiff::{SignedDuration, Timestamp};

const LIMIT: Duration = Duration::from_secs(60);

async fn is(operator: &Operator, expected: v1::Connection) {
    eventually(expected.as_str_name(), LIMIT, || {
        let mut api = operator.api.clone();
        async move {
            let request = v1::GetClusterRequest {
                name: "c1".to_owned(),
            };
            let cluster = api.get_cluster(request).await.ok()?.into_inner().cluster?;
            (cluster.connection() == expected).then_some(())
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e05_a_removed_cluster_comes_back_with_a_new_token_and_no_restart() {
    let installation = Installation::new(&[(
        "app/config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n",
    )])
    .await
    .unwrap();
    let _hub = installation.hub().unwrap();
    let mut operator = installation.operator().await.unwrap();
    installation.invite(&mut operator).await.unwrap();
    let _agent = installation.agent("agent", &[]).unwrap();
    is(&operator, v1::Connection::Online).await;
    let first = std::fs::read(installation.root().join("agent/identity/tls.key")).unwrap();
    let remove = v1::RemoveClusterRequest {
        name: "c1".to_owned(),
        reason: "by mistake".to_owned(),
    };
    operator.api.remove_cluster(remove).await.unwrap();
    // The old token is used up, so the cluster stays away until an operator gives it a new one.
    eventually("it is gone", LIMIT, || {
        let mut api = operator.api.clone();
        async move {
            let request = v1::GetClusterRequest {
                name: "c1".to_owned(),
            };
            api.get_cluster(request).await.err()
        }
    })
    .await
    .unwrap();
    installation.invite(&mut operator).await.unwrap();
    is(&operator, v1::Connection::Online).await;
    eventually("it has its assignment again", LIMIT, || {
        let mut api = operator.api.clone();
        async move {
            let request = v1::GetClusterRequest {
                name: "c1".to_owned(),
            };
            let cluster = api.get_cluster(request).await.ok()?.into_inner().cluster?;
            (cluster.sync() == v1::Sync::Synced && !cluster.applications.is_empty()).then_some(())
        }
    })
    .await
    .unwrap();
    let second = std::fs::read(installation.root().join("agent/identity/tls.key")).unwrap();
    assert_eq!(first, second, "the key is the same");
    assert_eq!(installation.deleted(), Vec::<String>::new());
}

const CONFIG: &str = "/api/v1/namespaces/default/configmaps/a";

async fn ask(world: &Installation, method: &str, body: &str) -> Option<serde_json::Value> {
    // Edits as `kubectl-edit`: an agent that was killed before it recorded its first pass takes a change by an unknown
    // manager for that manager's own field.
    let request = axum::http::Request::builder()
        .method(method)
        .uri(format!("{CONFIG}?fieldManager=kubectl-edit"))
        .header("content-type", "application/merge-patch+json")
        .body(axum::body::Body::from(body.to_owned()))
        .unwrap();
    world.ask(request).await.unwrap()
}

async fn is_as_in_git(world: &Installation) {
    eventually("it is as in Git", LIMIT, || async {
        let live = ask(world, "GET", "").await?;
        (live.pointer("/data/value")? == "1").then_some(())
    })
    .await
    .unwrap_or_else(|error| {
        let log = world.root().join("flotilla-agent.log");
        panic!(
            "{error}; the agent says {}",
            std::fs::read_to_string(log).unwrap()
        );
    });
}

/// Writes an identity into the mounted directory, like an external issuer.
fn issue(world: &Installation, seconds: i64, counter: u64) -> Timestamp {
    let authority = Authority::open(&world.root().join("hub")).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default();
    let request = request.serialize_request(&key).unwrap();
    let request = Request::from_der(request.der()).unwrap();
    let cluster = "spiffe://flotilla/cluster/c1".parse().unwrap();
    let life = SignedDuration::from_secs(seconds);
    let issued = authority.sign(&cluster, &request, life, counter, Timestamp::now());
    let issued = issued.unwrap();
    let directory = world.root().join("mounted");
    std::fs::create_dir_all(&directory).unwrap();
    for (name, content) in [
        ("ca.crt", authority.trust_bundle()),
        ("tls.key", &key.serialize_pem()),
        ("tls.crt", &issued.chain_pem),
    ] {
        std::fs::write(directory.join(name), content).unwrap();
    }
    issued.expires_at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_an_ended_certificate_stops_no_reconciling_and_the_next_is_taken_by_itself() {
    let installation = Installation::new(&[(
        "app/config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {value: '1'}\n",
    )])
    .await
    .unwrap();
    let mut hub = installation.hub().unwrap();
    let mut operator = installation.operator().await.unwrap();
    installation.invite(&mut operator).await.unwrap();
    let mut enrolled = installation.agent("agent", &[]).unwrap();
    is(&operator, v1::Connection::Online).await;
    is_as_in_git(&installation).await;
    enrolled.kill().await.unwrap();
    let end = issue(&installation, 30, 50);
    let _agent = installation
        .agent("agent", &["--identity-dir", "mounted"])
        .unwrap();
    let log = || std::fs::read_to_string(installation.root().join("flotilla-agent.log")).unwrap();
    eventually("it connects with what is mounted", LIMIT, || async {
        (log().matches("connected").count() >= 2).then_some(())
    })
    .await
    .unwrap();
    hub.kill().await.unwrap();
    eventually("the certificate ends", LIMIT, || async {
        (Timestamp::now() > end).then_some(())
    })
    .await
    .unwrap();
    let _hub = installation.hub().unwrap();
    let operator = installation.operator().await.unwrap();
    // The certificate was not renewed: the hub does not see the agent, which nevertheless keeps the cluster in sync.
    for value in ["2", "3"] {
        let edit = format!(r#"{{"data":{{"value":"{value}"}}}}"#);
        ask(&installation, "PATCH", &edit).await.unwrap();
        is_as_in_git(&installation).await;
    }
    let request = v1::GetClusterRequest {
        name: "c1".to_owned(),
    };
    let cluster = operator.api.clone().get_cluster(request).await.unwrap();
    let cluster = cluster.into_inner().cluster.unwrap();
    assert_ne!(cluster.connection(), v1::Connection::Online);
    issue(&installation, 3600, 51);
    is(&operator, v1::Connection::Online).await;
    assert_eq!(installation.deleted(), Vec::<String>::new());
}

/// Minutes, hours or days without a hub, with a shifted clock: what runs stays, drift is corrected, and the agent is
/// served again without intervention, with a new certificate for its own key if the old one has expired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p09_e10_a_hub_away_for_a_minute_an_hour_or_a_week_takes_nothing_away() {
    let folders = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let Some(faketime) = libraries.find(|library| library.is_file()) else {
        flotilla_needs::skip("faketime");
        return;
    };
    let mut world = Installation::new(&[(
        "app/config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {value: '1'}\n",
    )])
    .await
    .unwrap();
    let mut hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    let mut agent = world.agent("agent", &[]).unwrap();
    is(&operator, v1::Connection::Online).await;
    is_as_in_git(&world).await;
    for away in ["1m", "1h", "7d"] {
        hub.kill().await.unwrap();
        agent.kill().await.unwrap();
        world.live_later(&faketime, away);
        agent = world.agent("agent", &[]).unwrap();
        for value in ["2", "3"] {
            let edit = format!(r#"{{"data":{{"value":"{value}"}}}}"#);
            ask(&world, "PATCH", &edit).await.unwrap();
            is_as_in_git(&world).await;
        }
        hub = world.hub().unwrap();
        let told = eventually("the hub says how the cluster is", LIMIT, || async {
            let (code, text) = world.cli(&["get", "clusters"]).await.ok()?;
            (code != 2 && text.contains("Online")).then_some(text)
        })
        .await;
        told.unwrap_or_else(|error| panic!("{away}: {error}"));
    }
    let log = std::fs::read_to_string(world.root().join("flotilla-agent.log")).unwrap();
    assert!(
        log.contains("the certificate has expired"),
        "it was a week: {log}"
    );
    assert_eq!(world.deleted(), Vec::<String>::new());
}
