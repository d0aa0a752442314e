//! Rotation of the authority with a real hub and a real agent.

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

async fn online(operator: &mut Operator, name: &str, what: &str) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let cluster = operator.cluster(name).await;
        if cluster.is_some_and(|cluster| cluster.connection() == v1::Connection::Online) {
            return;
        }
        let is_in_time = tokio::time::Instant::now() < deadline;
        assert!(is_in_time, "{what}: {name} is not online");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn behind(installation: &Installation) -> String {
    let arguments = ["ca", "status", "--data-dir", "hub"];
    let (code, text) = installation.hub_command(&arguments).await.unwrap();
    assert_eq!(code, 0, "{text}");
    text
}

/// Runs a command of the authority; returns whether it succeeded, and its output.
async fn ca(installation: &Installation, words: &[&str]) -> (bool, String) {
    let arguments: Vec<&str> = ["ca", "rotate", "--data-dir", "hub"]
        .iter()
        .chain(words)
        .copied()
        .collect();
    let (code, text) = installation.hub_command(&arguments).await.unwrap();
    (code == 0, text)
}

/// Waits until exactly these clusters still have a certificate of another root.
async fn are_behind(installation: &Installation, names: &[&str]) {
    let count = match names.len() {
        1 => "1 cluster with".to_owned(),
        count => format!("{count} clusters with"),
    };
    eventually(&format!("only {names:?} are behind"), LIMIT, || async {
        let text = behind(installation).await;
        let is_it = text.contains(&count) && names.iter().all(|name| text.contains(name));
        is_it.then_some(())
    })
    .await
    .unwrap();
}

/// An operator with a new certificate, made on the hub's host.
async fn new_operator(installation: &Installation) -> Operator {
    std::fs::remove_file(installation.root().join("hub/operator/admin.yaml")).unwrap();
    let init = ["init", "--data-dir", "hub"];
    assert_eq!(installation.hub_command(&init).await.unwrap().0, 0);
    eventually("the hub takes the new operator", LIMIT, || async {
        let mut operator = installation.operator().await.ok()?;
        operator.cluster("c1").await.map(|_| operator)
    })
    .await
    .unwrap()
}

/// Four clusters, two of them offline: connected ones renew by themselves, one returns between the two steps and one
/// after both, and none has to enrol again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_half_the_fleet_is_away_while_the_authority_changes_and_recovers() {
    let installation = Installation::new(&[(
        "app/config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    )])
    .await
    .unwrap();
    let _hub = installation.hub().unwrap();
    let mut operator = installation.operator().await.unwrap();
    installation.invite(&mut operator).await.unwrap();
    let mut agents = vec![installation.agent("agent", &[]).unwrap()];
    let mut others = Vec::new();
    for name in ["c2", "c3", "c4"] {
        let another = installation.another(name, &mut operator).await.unwrap();
        agents.push(installation.agent_of(&another).unwrap());
        others.push(another);
    }
    for name in ["c1", "c2", "c3", "c4"] {
        online(&mut operator, name, "at first").await;
    }
    for mut away in agents.split_off(2) {
        away.kill().await.unwrap();
    }

    let (done, text) = ca(&installation, &[]).await;
    assert!(done, "{text}");
    are_behind(&installation, &["c3", "c4"]).await;
    let (done, text) = ca(&installation, &["--finish"]).await;
    assert!(!done, "two are behind: {text}");
    assert!(text.contains("c3") && text.contains("c4"), "{text}");
    agents.push(installation.agent_of(&others[1]).unwrap());
    are_behind(&installation, &["c4"]).await;
    let (done, text) = ca(&installation, &["--finish", "--force"]).await;
    assert!(done, "{text}");
    let mut operator = new_operator(&installation).await;
    for name in ["c1", "c2", "c3"] {
        online(&mut operator, name, "after the change").await;
    }
    agents.push(installation.agent_of(&others[2]).unwrap());
    are_behind(&installation, &[]).await;
    online(&mut operator, "c4", "after it was left behind").await;
    for agent in &mut agents {
        let ended = agent.try_wait().unwrap();
        assert!(ended.is_none(), "an agent ended: {ended:?}");
    }
    assert_eq!(installation.deleted(), Vec::<String>::new());
    for another in &others {
        assert_eq!(another.deleted(), Vec::<String>::new(), "{}", another.name);
    }
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
    online(&mut operator, "c1", "at first").await;

    // In the wrong order, the commands are refused.
    let (code, text) = installation.hub_command(&finish).await.unwrap();
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("nothing to finish"), "{text}");
    let (code, text) = installation.hub_command(&rotate).await.unwrap();
    assert_eq!(code, 0, "{text}");
    let (code, text) = installation.hub_command(&rotate).await.unwrap();
    assert_ne!(code, 0, "{text}");

    // Connected agents renew by themselves and without a restart.
    eventually("the agent has a new certificate", LIMIT, || async {
        let text = behind(&installation).await;
        text.contains("0 clusters with").then_some(())
    })
    .await
    .unwrap();
    let (code, text) = installation.hub_command(&finish).await.unwrap();
    assert_eq!(code, 0, "{text}");
    // The operator's certificate is signed by the old root; `init` on the hub's host makes a new one.
    std::fs::remove_file(installation.root().join("hub/operator/admin.yaml")).unwrap();
    let init = ["init", "--data-dir", "hub"];
    assert_eq!(installation.hub_command(&init).await.unwrap().0, 0);
    let mut operator = installation.operator().await.unwrap();
    online(&mut operator, "c1", "after the first change").await;
    agent.kill().await.unwrap();

    // An absent cluster is only left behind with `--force`, and rejoins with its key.
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
    online(&mut operator, "c1", "after it was left behind").await;
    assert!(behind(&installation).await.contains("0 clusters with"));
    assert_eq!(installation.deleted(), Vec::<String>::new());
}
