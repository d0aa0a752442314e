//! Changing the authority under a real hub and a real agent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::fleet::Operator;
use flotilla_tests::installation::Installation;

const LIMIT: Duration = Duration::from_secs(60);

async fn online(operator: &mut Operator, what: &str) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let cluster = operator.cluster("c1").await;
        if cluster.is_some_and(|cluster| cluster.connection() == v1::Connection::Online) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: not online");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn behind(installation: &Installation) -> String {
    let arguments = ["ca", "status", "--data-dir", "hub"];
    let (code, text) = installation.hub_command(&arguments).await.unwrap();
    assert_eq!(code, 0, "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_the_authority_changes_under_whoever_is_there_and_whoever_is_not() {
    let rotate = ["ca", "rotate", "--data-dir", "hub"];
    let finish = ["ca", "rotate", "--data-dir", "hub", "--finish"];
    let installation = Installation::new(&[(
        "app/config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    )])
    .await
    .unwrap();
    let _hub = installation.hub().unwrap();
    let mut operator = installation.operator().await.unwrap();
    installation.invite(&mut operator).await.unwrap();
    let mut agent = installation.agent("agent", &[]).unwrap();
    online(&mut operator, "at first").await;

    // The wrong order is refused.
    let (code, text) = installation.hub_command(&finish).await.unwrap();
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("nothing to finish"), "{text}");
    let (code, text) = installation.hub_command(&rotate).await.unwrap();
    assert_eq!(code, 0, "{text}");
    let (code, text) = installation.hub_command(&rotate).await.unwrap();
    assert_ne!(code, 0, "{text}");

    // Who is connected moves without a hand and without a restart.
    eventually("the agent has a new certificate", LIMIT, || async {
        let text = behind(&installation).await;
        text.contains("0 clusters with").then_some(())
    })
    .await
    .unwrap();
    let (code, text) = installation.hub_command(&finish).await.unwrap();
    assert_eq!(code, 0, "{text}");
    // The operator's certificate is of the old root; a new one is made on the hub's host.
    std::fs::remove_file(installation.root().join("hub/operator/admin.yaml")).unwrap();
    let init = ["init", "--data-dir", "hub"];
    assert_eq!(installation.hub_command(&init).await.unwrap().0, 0);
    let mut operator = installation.operator().await.unwrap();
    online(&mut operator, "after the first change").await;
    agent.kill().await.unwrap();

    // Who is away is left behind only when somebody says so, and comes back by its key.
    assert_eq!(installation.hub_command(&rotate).await.unwrap().0, 0);
    let (code, text) = installation.hub_command(&finish).await.unwrap();
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("c1"), "{text}");
    let force = ["ca", "rotate", "--data-dir", "hub", "--finish", "--force"];
    let (code, text) = installation.hub_command(&force).await.unwrap();
    assert_eq!(code, 0, "{text}");
    std::fs::remove_file(installation.root().join("hub/operator/admin.yaml")).unwrap();
    assert_eq!(installation.hub_command(&init).await.unwrap().0, 0);
    let mut operator = eventually("the hub takes the new operator", LIMIT, || async {
        let mut operator = installation.operator().await.ok()?;
        operator.cluster("c1").await.map(|_| operator)
    })
    .await
    .unwrap();
    let offline = eventually("the hub sees that it is away", LIMIT, || {
        let mut api = operator.api.clone();
        async move {
            let request = v1::GetClusterRequest {
                name: "c1".to_owned(),
            };
            let cluster = api.get_cluster(request).await.ok()?.into_inner().cluster?;
            (cluster.connection() == v1::Connection::Offline).then_some(())
        }
    });
    offline.await.unwrap();
    let _agent = installation.agent("agent", &[]).unwrap();
    online(&mut operator, "after it was left behind").await;
    assert!(behind(&installation).await.contains("0 clusters with"));
    assert_eq!(installation.deleted(), Vec::<String>::new());
}
