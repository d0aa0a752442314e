//! Questions to agents, and their answers: the only requests of operators that are passed to a cluster.

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

/// Time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RelayError {
    /// No agent is connected.
    Away,
    /// Its limit of waiting questions is reached.
    Full,
    /// Its stream ended before it answered.
    Lost,
    /// It took too long.
    Late,
    /// The agent is older than the question.
    Older,
}

/// Subject of a question to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preview {
    /// A reconcile pass of the assignment.
    Assigned,
    /// A pass that removes the application.
    Removal,
}

/// Questions that an agent supports; an older agent would answer a different question instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AgentFeatures {
    /// Whether it supports the removal of an application.
    pub(super) removal: bool,
}

impl AgentFeatures {
    /// Returns this by the features of its hello.
    pub(super) fn of(features: &[String]) -> Self {
        Self {
            removal: features.iter().any(|feature| feature == "plan-removal"),
        }
    }
}

/// The stream that gets the questions to a cluster.
struct Stream {
    id: u64,
    outbox: Arc<Outbox>,
    understands: AgentFeatures,
}

#[derive(Default)]
struct Inner {
    streams: HashMap<ClusterName, Stream>,
    waiting: HashMap<u64, PendingQuestion>,
}

struct PendingQuestion {
    cluster: ClusterName,
    /// The stream that got the question.
    stream: u64,
    reply: oneshot::Sender<v1::PlanResult>,
}

/// Questions in progress. Bounded by the streams: each accepts few at a time, and each question has a time limit.
#[derive(Default)]
pub struct Relay {
    inner: Mutex<Inner>,
    next: AtomicU64,
}

impl Relay {
    /// Notes an opened stream; the one before it gets no more questions.
    pub(super) fn open(
        &self,
        cluster: &ClusterName,
        outbox: Arc<Outbox>,
        understands: AgentFeatures,
    ) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let stream = Stream {
            id,
            outbox,
            understands,
        };
        self.inner.lock().streams.insert(cluster.clone(), stream);
        id
    }

    /// Notes a closed stream.
    pub(super) fn close(&self, cluster: &ClusterName, id: u64) {
        let mut inner = self.inner.lock();
        if inner
            .streams
            .get(cluster)
            .is_some_and(|stream| stream.id == id)
        {
            inner.streams.remove(cluster);
        }
        // Questions to this stream are not answered by another one.
        inner.waiting.retain(|_, asked| asked.stream != id);
    }

    /// Passes on an agent's answer; an answer without a question, or from another cluster, is dropped.
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

    /// Asks a cluster's agent what a reconcile pass would do now, and waits for the answer.
    pub(super) async fn ask(
        &self,
        cluster: &ClusterName,
        application: String,
        preview: Preview,
    ) -> Result<v1::PlanResult, Status> {
        let question = v1::PlanRequest {
            application,
            removal: preview == Preview::Removal,
            ..v1::PlanRequest::default()
        };
        match self.question(cluster, question, TIMEOUT).await {
            Ok(result) if result.error.is_empty() => Ok(result),
            Ok(result) => Err(Status::unavailable(result.error)),
            Err(RelayError::Away) => Err(Status::unavailable(format!(
                "cluster {cluster} is not connected to this hub; only its agent can answer"
            ))),
            Err(RelayError::Full) => Err(Status::resource_exhausted(format!(
                "cluster {cluster} has too many unanswered questions; try again"
            ))),
            Err(RelayError::Lost) => Err(Status::unavailable(format!(
                "the agent of {cluster} disconnected before it answered"
            ))),
            Err(RelayError::Late) => Err(Status::deadline_exceeded(format!(
                "the agent of {cluster} did not answer within 30 seconds (an older agent may \
                 not support the question)"
            ))),
            Err(RelayError::Older) => Err(Status::failed_precondition(format!(
                "the agent of {cluster} is too old to tell what a removal would delete; upgrade \
                 it"
            ))),
        }
    }

    /// Asks a cluster's agent a question, and waits for the answer.
    pub(super) async fn question(
        &self,
        cluster: &ClusterName,
        question: v1::PlanRequest,
        longest: Duration,
    ) -> Result<v1::PlanResult, RelayError> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        {
            let mut inner = self.inner.lock();
            let Some(stream) = inner.streams.get(cluster) else {
                return Err(RelayError::Away);
            };
            if question.removal && !stream.understands.removal {
                return Err(RelayError::Older);
            }
            let (stream, outbox) = (stream.id, Arc::clone(&stream.outbox));
            let question = v1::PlanRequest {
                request,
                ..question
            };
            if !outbox.ask(question) {
                return Err(RelayError::Full);
            }
            let waiting = PendingQuestion {
                cluster: cluster.clone(),
                stream,
                reply,
            };
            inner.waiting.insert(request, waiting);
        }
        let given_up = QuestionGuard {
            relay: self,
            request,
        };
        let answer = tokio::time::timeout(longest, answer).await;
        drop(given_up);
        match answer {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(RelayError::Lost),
            Err(_) => Err(RelayError::Late),
        }
    }
}

/// Removes a question when it is dropped, for any reason.
struct QuestionGuard<'a> {
    relay: &'a Relay,
    request: u64,
}

impl Drop for QuestionGuard<'_> {
    fn drop(&mut self) {
        self.relay.inner.lock().waiting.remove(&self.request);
    }
}

#[cfg(test)]
mod tests;
