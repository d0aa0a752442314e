//! A cluster that was removed and is wanted back: what the hub's refusal says to do has to work.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::fleet::Operator;
use flotilla_tests::installation::Installation;

const LIMIT: Duration = Duration::from_secs(60);

async fn is(operator: &Operator, wanted: v1::Connection) {
    eventually(wanted.as_str_name(), LIMIT, || {
        let mut api = operator.api.clone();
        async move {
            let request = v1::GetClusterRequest {
                name: "c1".to_owned(),
            };
            let cluster = api.get_cluster(request).await.ok()?.into_inner().cluster?;
            (cluster.connection() == wanted).then_some(())
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
    // Its old token is spent, so that it stays away until somebody gives it another.
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
