//! Questions to agents, and their answers: the one thing that operators ask of a cluster itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::id::ClusterName;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tonic::Status;

use crate::outbox::Outbox;

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// No agent is connected.
    Away,
    /// As many questions wait for it as may.
    Full,
    /// Its stream ended before it answered.
    Lost,
    /// It took too long.
    Late,
}

#[derive(Default)]
struct Inner {
    streams: HashMap<ClusterName, (u64, Arc<Outbox>)>,
    waiting: HashMap<u64, Waiting>,
}

struct Waiting {
    cluster: ClusterName,
    /// The stream that the question went to.
    stream: u64,
    reply: oneshot::Sender<v1::PlanResult>,
}

/// Questions under way. Bounded by the streams: each takes few at once, and each question has its time.
#[derive(Default)]
pub struct Relay {
    inner: Mutex<Inner>,
    next: AtomicU64,
}

impl Relay {
    /// A stream is open; the one before it gets no more questions.
    pub(super) fn open(&self, cluster: &ClusterName, outbox: Arc<Outbox>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        inner.streams.insert(cluster.clone(), (id, outbox));
        id
    }

    /// A stream is closed.
    pub(super) fn close(&self, cluster: &ClusterName, id: u64) {
        let mut inner = self.inner.lock();
        if inner
            .streams
            .get(cluster)
            .is_some_and(|(own, _)| *own == id)
        {
            inner.streams.remove(cluster);
        }
        // What this stream was asked is answered by no other one.
        inner.waiting.retain(|_, asked| asked.stream != id);
    }

    /// An agent's answer; one that was not asked for, or of another cluster, is dropped.
    pub(super) fn answer(&self, cluster: &ClusterName, result: v1::PlanResult) {
        let mut inner = self.inner.lock();
        let is_asked = inner
            .waiting
            .get(&result.request)
            .is_some_and(|asked| asked.cluster == *cluster);
        if is_asked && let Some(asked) = inner.waiting.remove(&result.request) {
            let _ = asked.reply.send(result);
        }
    }

    /// Asks a cluster's agent what a turn would do now, and waits for its answer.
    pub(super) async fn ask(
        &self,
        cluster: &ClusterName,
        application: String,
        removal: bool,
    ) -> Result<v1::PlanResult, Status> {
        let question = v1::PlanRequest {
            application,
            removal,
            ..v1::PlanRequest::default()
        };
        match self.question(cluster, question, TIMEOUT).await {
            Ok(result) if result.error.is_empty() => Ok(result),
            Ok(result) => Err(Status::unavailable(result.error)),
            Err(Unanswered::Away) => Err(Status::unavailable(format!(
                "cluster {cluster} is not connected to this hub; its agent alone can look"
            ))),
            Err(Unanswered::Full) => Err(Status::resource_exhausted(format!(
                "cluster {cluster} has questions waiting"
            ))),
            Err(Unanswered::Lost) => Err(Status::unavailable(format!(
                "the agent of {cluster} went away before it answered"
            ))),
            Err(Unanswered::Late) => Err(Status::deadline_exceeded(format!(
                "the agent of {cluster} did not answer within 30 seconds (an older one may not know the \
                 question)"
            ))),
        }
    }

    /// Asks a cluster's agent anything, and waits for its answer.
    pub(super) async fn question(
        &self,
        cluster: &ClusterName,
        question: v1::PlanRequest,
        longest: Duration,
    ) -> Result<v1::PlanResult, Unanswered> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        {
            let mut inner = self.inner.lock();
            let Some((stream, outbox)) = inner.streams.get(cluster) else {
                return Err(Unanswered::Away);
            };
            let stream = *stream;
            let question = v1::PlanRequest {
                request,
                ..question
            };
            if !outbox.ask(question) {
                return Err(Unanswered::Full);
            }
            let waiting = Waiting {
                cluster: cluster.clone(),
                stream,
                reply,
            };
            inner.waiting.insert(request, waiting);
        }
        let given_up = GivenUp {
            relay: self,
            request,
        };
        let answer = tokio::time::timeout(longest, answer).await;
        drop(given_up);
        match answer {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(Unanswered::Lost),
            Err(_) => Err(Unanswered::Late),
        }
    }
}

/// Nobody waits for an answer any more, however that came.
struct GivenUp<'a> {
    relay: &'a Relay,
    request: u64,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.relay.inner.lock().waiting.remove(&self.request);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connected(cluster: &ClusterName) -> (Arc<Relay>, u64) {
        let relay = Arc::new(Relay::default());
        let stream = relay.open(cluster, Outbox::new(v1::Welcome::default()));
        (relay, stream)
    }

    async fn asked(
        relay: &Arc<Relay>,
        cluster: &ClusterName,
    ) -> tokio::task::JoinHandle<Result<v1::PlanResult, Unanswered>> {
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
        // Another stream came first, which is how an agent comes back.
        relay.open(&cluster, Outbox::new(v1::Welcome::default()));
        relay.close(&cluster, stream);
        assert_eq!(question.await.unwrap(), Err(Unanswered::Lost));
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
        assert_eq!(away.await, Err(Unanswered::Away));
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
}
