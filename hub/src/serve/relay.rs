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

#[derive(Default)]
struct Inner {
    streams: HashMap<ClusterName, (u64, Arc<Outbox>)>,
    waiting: HashMap<u64, (ClusterName, oneshot::Sender<v1::PlanResult>)>,
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
    }

    /// An agent's answer; one that was not asked for, or of another cluster, is dropped.
    pub(super) fn answer(&self, cluster: &ClusterName, result: v1::PlanResult) {
        let mut inner = self.inner.lock();
        let is_asked = inner
            .waiting
            .get(&result.request)
            .is_some_and(|(asked, _)| asked == cluster);
        if is_asked && let Some((_, reply)) = inner.waiting.remove(&result.request) {
            let _ = reply.send(result);
        }
    }

    /// Asks a cluster's agent, and waits for its answer.
    pub(super) async fn ask(
        &self,
        cluster: &ClusterName,
        application: String,
        removal: bool,
    ) -> Result<v1::PlanResult, Status> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        {
            let mut inner = self.inner.lock();
            let Some((_, stream)) = inner.streams.get(cluster) else {
                return Err(Status::unavailable(format!(
                    "cluster {cluster} is not connected to this hub; its agent alone can look"
                )));
            };
            let question = v1::PlanRequest {
                request,
                application,
                removal,
            };
            if !stream.ask(question) {
                return Err(Status::resource_exhausted(format!(
                    "cluster {cluster} has questions waiting"
                )));
            }
            inner.waiting.insert(request, (cluster.clone(), reply));
        }
        let answer = tokio::time::timeout(TIMEOUT, answer).await;
        self.inner.lock().waiting.remove(&request);
        match answer {
            Ok(Ok(result)) if result.error.is_empty() => Ok(result),
            Ok(Ok(result)) => Err(Status::unavailable(result.error)),
            Ok(Err(_)) | Err(_) => Err(Status::deadline_exceeded(format!(
                "the agent of {cluster} did not answer within 30 seconds (an older one may not know the \
                 question)"
            ))),
        }
    }
}
