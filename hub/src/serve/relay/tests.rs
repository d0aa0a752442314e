use std::time::Duration;

use super::*;

fn open(relay: &Relay, cluster: &ClusterName, understands: AgentFeatures) -> u64 {
    relay.open(cluster, Outbox::new(v1::Welcome::default()), understands)
}

fn connected(cluster: &ClusterName) -> (Arc<Relay>, u64) {
    let relay = Arc::new(Relay::default());
    let stream = open(&relay, cluster, AgentFeatures::default());
    (relay, stream)
}

async fn asked(
    relay: &Arc<Relay>,
    cluster: &ClusterName,
) -> tokio::task::JoinHandle<Result<v1::PlanResult, RelayError>> {
    let (own, name) = (Arc::clone(relay), cluster.clone());
    let task = tokio::spawn(async move {
        let question = v1::PlanRequest::default();
        own.question(&name, question, Duration::from_secs(60)).await
    });
    while relay.inner.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test]
async fn a_question_ends_with_the_stream_that_it_went_to() {
    let cluster: ClusterName = "eu-1".parse().unwrap();
    let (relay, stream) = connected(&cluster);
    let question = asked(&relay, &cluster).await;
    // The new stream opens before the old one is closed, as when an agent reconnects.
    open(&relay, &cluster, AgentFeatures::default());
    relay.close(&cluster, stream);
    assert_eq!(question.await.unwrap(), Err(RelayError::Lost));
    assert!(relay.inner.lock().waiting.is_empty());
    assert!(relay.inner.lock().streams.contains_key(&cluster));
}

#[tokio::test]
async fn another_cluster_answers_nobody_elses_question() {
    let (cluster, other): (ClusterName, ClusterName) =
        ("eu-1".parse().unwrap(), "eu-2".parse().unwrap());
    let (relay, _) = connected(&cluster);
    let question = asked(&relay, &cluster).await;
    let request = relay.inner.lock().waiting.keys().copied().next();
    let result = v1::PlanResult {
        request: request.unwrap(),
        ..v1::PlanResult::default()
    };
    relay.answer(&other, result.clone());
    assert!(!question.is_finished());
    relay.answer(&cluster, result.clone());
    assert_eq!(question.await.unwrap(), Ok(result));
    let away = relay.question(&other, v1::PlanRequest::default(), Duration::from_secs(1));
    assert_eq!(away.await, Err(RelayError::Away));
}

#[tokio::test]
async fn who_stops_waiting_leaves_nothing_behind() {
    let cluster: ClusterName = "eu-1".parse().unwrap();
    let (relay, _) = connected(&cluster);
    let question = asked(&relay, &cluster).await;
    question.abort();
    assert!(question.await.unwrap_err().is_cancelled());
    assert!(relay.inner.lock().waiting.is_empty());
}

/// An older agent would answer with an ordinary plan, which says for an application in sync that nothing changes.
#[tokio::test]
async fn an_older_agent_is_not_asked_what_a_removal_would_delete() {
    let cluster: ClusterName = "eu-1".parse().unwrap();
    let (relay, _) = connected(&cluster);
    let answer = relay.ask(&cluster, "web".to_owned(), Preview::Removal);
    let refused = answer.await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(refused.message().contains("upgrade it"), "{refused}");
    let features = ["tombstones".to_owned(), "plan-removal".to_owned()];
    open(&relay, &cluster, AgentFeatures::of(&features));
    let question = v1::PlanRequest {
        removal: true,
        ..v1::PlanRequest::default()
    };
    let asked = relay.question(&cluster, question, Duration::from_millis(1));
    assert_eq!(asked.await, Err(RelayError::Late));
}
