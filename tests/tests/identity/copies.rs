//! One identity in two places (clones).

use crate::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e06_one_kubernetes_cluster_does_not_join_under_two_names() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    hub.joined("c1", &key).await;
    let token = hub.token(v1::CreateTokenRequest::default()).await;
    let other = rcgen::KeyPair::generate().unwrap();
    assert_eq!(
        hub.enroll(&token, "c1-copy", &other).await,
        Err(Code::AlreadyExists)
    );
    let audit = hub
        .operator()
        .await
        .list_audit(v1::ListAuditRequest::default())
        .await
        .unwrap()
        .into_inner();
    let refused = audit.entries.iter().find(|e| e.action == "cluster refuse");
    assert_eq!(refused.unwrap().clusters, ["c1-copy", "c1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e07_a_copied_identity_is_noticed_within_one_renewal_and_locked() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let first = hub.joined("c1", &key).await;
    assert!(hub.first_word(&first).await.is_ok());
    // If the answer is lost, the agent renews again with its old certificate. That is not a clone.
    hub.renew(&first, &key).await.unwrap();
    let second = hub.renew(&first, &key).await.unwrap();
    assert!(hub.first_word(&first).await.is_ok(), "not shown yet");
    // Other pods of the DaemonSet use the same certificate.
    for _ in 0..3 {
        assert!(hub.first_word(&second).await.is_ok());
    }
    assert_eq!(hub.cluster("c1").await.locked, "");
    // A copy connects: it gets at most a welcome, and is then disconnected.
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        let Ok(mut stream) = connect(hub.channel(Some(&first)).await).await else {
            return;
        };
        while let Ok(Some(message)) = stream.message().await {
            use v1::hub_message::Body::{Goodbye, Welcome};
            let is_no_work = matches!(message.body, Some(Welcome(_) | Goodbye(_)));
            assert!(is_no_work, "{message:?}");
        }
    });
    ended.await.expect("the stream of the copy ends");
    let locked = eventually("it is locked", Duration::from_secs(10), || async {
        Some(hub.cluster("c1").await.locked).filter(|text| !text.is_empty())
    });
    let why = locked.await.unwrap();
    assert!(why.contains("used twice"), "{why}");
    // Both are refused new certificates, and nothing is removed.
    for with in [&first, &second] {
        assert_eq!(
            hub.renew(with, &key).await.err(),
            Some(Code::PermissionDenied)
        );
    }
    assert_eq!(hub.recover(&key).await.err(), Some(Code::PermissionDenied));
    let unlock = || v1::UnlockClusterRequest {
        name: "c1".to_owned(),
        reason: "the copy was switched off".to_owned(),
    };
    let mut operator = hub.operator().await;
    operator.unlock_cluster(unlock()).await.unwrap();
    assert_eq!(hub.cluster("c1").await.locked, "");
    assert!(hub.first_word(&second).await.is_ok());
    assert!(hub.renew(&second, &key).await.is_ok());
    assert_eq!(
        operator.unlock_cluster(unlock()).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    // A renewal exposes the clone as well as a stream does.
    assert!(hub.renew(&first, &key).await.is_err());
    assert!(!hub.cluster("c1").await.locked.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e07_an_identity_in_another_kubernetes_cluster_is_locked() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let identity = hub.joined("c1", &key).await;
    let hello = v1::Hello {
        protocol_min: 1,
        protocol_max: 1,
        cluster_uid: "another".to_owned(),
        ..v1::Hello::default()
    };
    let message = v1::AgentMessage {
        body: Some(v1::agent_message::Body::Hello(hello)),
    };
    let outbound =
        futures::StreamExt::chain(futures::stream::iter([message]), futures::stream::pending());
    let _stream = AgentServiceClient::new(hub.channel(Some(&identity)).await)
        .connect(outbound)
        .await
        .unwrap();
    let locked = eventually("it is locked", Duration::from_secs(10), || async {
        Some(hub.cluster("c1").await.locked).filter(|text| !text.is_empty())
    });
    assert!(locked.await.unwrap().contains("another"));
}
