//! Messages that wait for one agent's stream. Everything in it is replaced by or merged with later messages, so that an
//! agent that does not read costs no more than one that does (H7); and it is one small allocation, since most of ten
//! thousand agents have no waiting messages.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flotilla_proto::v1;
use flotilla_proto::v1::hub_message::Body;
use flotilla_shared::gate_job::GateJob;
use flotilla_shared::problem::Problem;
use flotilla_shared::wire::{DecodedAssignment, gate_jobs_to_wire};
use futures::Stream;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tonic::Status;

/// Highest number of questions that wait for one agent.
const QUESTIONS: usize = 2;

/// A message to a stream other than an assignment.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// Request the full report.
    RequestReport,
    /// Run these gate Jobs, and no others.
    AskJobs(Arc<Vec<GateJob>>),
    /// Renew the certificate within a number of seconds.
    Renew(u32),
    Close(Problem),
}

#[derive(Default)]
struct OutboxState {
    welcome: Option<Box<v1::Welcome>>,
    goodbye: Option<Box<v1::Goodbye>>,
    assignment: Option<Arc<DecodedAssignment>>,
    questions: Vec<v1::PlanRequest>,
    jobs: Option<Arc<Vec<GateJob>>>,
    renew_within: Option<u32>,
    report: bool,
    /// Whether it takes no more messages.
    is_over: bool,
    error: Option<Box<Status>>,
}

impl OutboxState {
    fn next(&mut self) -> Option<Body> {
        if let Some(welcome) = self.welcome.take() {
            return Some(Body::Welcome(*welcome));
        }
        if let Some(goodbye) = self.goodbye.take() {
            *self = Self {
                is_over: true,
                ..Self::default()
            };
            return Some(Body::Goodbye(*goodbye));
        }
        if let Some(decoded) = self.assignment.take() {
            return Some(Body::Assignment(v1::Assignment {
                content: decoded.content.clone(),
                digest: decoded.reference.digest.as_bytes().to_vec(),
            }));
        }
        if let Some(question) = self.questions.pop() {
            return Some(Body::PlanRequest(question));
        }
        if let Some(jobs) = self.jobs.take() {
            return Some(Body::GateJobs(gate_jobs_to_wire(&jobs)));
        }
        if let Some(within_seconds) = self.renew_within.take() {
            return Some(Body::RenewalRequest(v1::RenewalRequest { within_seconds }));
        }
        std::mem::take(&mut self.report).then_some(Body::ReportRequest(v1::ReportRequest {}))
    }
}

/// The outbox of one stream.
#[derive(Default)]
pub struct Outbox {
    waiting: Mutex<OutboxState>,
    waker: AtomicWaker,
    gone: Notify,
}

impl Outbox {
    /// Makes an outbox that begins with a welcome.
    #[must_use]
    pub fn new(welcome: v1::Welcome) -> Arc<Self> {
        let outbox = Self::default();
        outbox.waiting.lock().welcome = Some(Box::new(welcome));
        Arc::new(outbox)
    }

    fn change(&self, change: impl FnOnce(&mut OutboxState)) {
        change(&mut self.waiting.lock());
        self.waker.wake();
    }

    /// Replaces the waiting assignment.
    pub fn assign(&self, assignment: Arc<DecodedAssignment>) {
        self.change(|waiting| waiting.assignment = Some(assignment));
    }

    /// Adds a control message.
    pub fn control(&self, control: Control) {
        self.change(|waiting| match control {
            Control::RequestReport => waiting.report = true,
            Control::AskJobs(jobs) => waiting.jobs = Some(jobs),
            Control::Renew(within) => waiting.renew_within = Some(within),
            Control::Close(problem) => {
                waiting.goodbye = Some(Box::new(v1::Goodbye {
                    reason: problem.reason.to_string(),
                    message: problem.message,
                    retry_after_seconds: 0,
                }));
            }
        });
    }

    /// Adds a question; false: too many questions are waiting.
    #[must_use]
    pub fn ask(&self, question: v1::PlanRequest) -> bool {
        let mut is_taken = false;
        self.change(|waiting| {
            is_taken = waiting.questions.len() < QUESTIONS && !waiting.is_over;
            if is_taken {
                waiting.questions.insert(0, question);
            }
        });
        is_taken
    }

    /// Ends the stream after the waiting messages are sent.
    pub fn finish(&self) {
        self.change(|waiting| waiting.is_over = true);
    }

    /// Ends the stream with an error at once.
    pub fn fail(&self, status: Status) {
        self.change(|waiting| {
            *waiting = OutboxState {
                is_over: true,
                error: Some(Box::new(status)),
                ..OutboxState::default()
            };
        });
    }

    /// Waits until the stream no longer takes messages: it was finished, or its agent is disconnected.
    pub async fn gone(&self) {
        self.gone.notified().await;
    }
}

/// The stream of an outbox's messages.
pub struct Messages(Arc<Outbox>);

impl Messages {
    /// Makes the stream of an outbox, which has exactly one.
    #[must_use]
    pub fn of(outbox: &Arc<Outbox>) -> Self {
        Self(Arc::clone(outbox))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}

impl Stream for Messages {
    type Item = Result<v1::HubMessage, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Registered before looking, so that a message in between wakes the task.
        self.0.waker.register(cx.waker());
        let mut waiting = self.0.waiting.lock();
        if let Some(body) = waiting.next() {
            return Poll::Ready(Some(Ok(v1::HubMessage { body: Some(body) })));
        }
        if !waiting.is_over {
            return Poll::Pending;
        }
        let error = waiting.error.take();
        drop(waiting);
        self.0.gone.notify_one();
        Poll::Ready(error.map(|status| Err(*status)))
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::assignment::Assignment;
    use flotilla_shared::id::Generation;
    use flotilla_shared::reason::Reason;
    use futures::StreamExt as _;
    use jiff::Timestamp;

    use super::*;

    fn assignment(generation: u64) -> Arc<DecodedAssignment> {
        let assignment = Assignment {
            generation: Generation(generation),
            ..Assignment::empty(
                "c".parse().unwrap(),
                "e".parse().unwrap(),
                Timestamp::UNIX_EPOCH,
            )
        };
        Arc::new(DecodedAssignment::of(assignment).unwrap())
    }

    #[tokio::test]
    async fn h07_what_comes_later_replaces_what_waits() {
        let outbox = Outbox::new(v1::Welcome::default());
        for generation in 1..1000 {
            outbox.assign(assignment(generation));
            outbox.control(Control::RequestReport);
            outbox.control(Control::AskJobs(Arc::default()));
            outbox.control(Control::Renew(7));
        }
        let question = |request| v1::PlanRequest {
            request,
            ..v1::PlanRequest::default()
        };
        assert!(outbox.ask(question(1)) && outbox.ask(question(2)));
        assert!(!outbox.ask(question(3)), "there is an end to questions");
        outbox.finish();
        let newest = assignment(999);
        let all: Vec<Body> = Messages::of(&outbox)
            .map(|message| message.unwrap().body.unwrap())
            .collect()
            .await;
        let want = [
            Body::Welcome(v1::Welcome::default()),
            Body::Assignment(v1::Assignment {
                content: newest.content.clone(),
                digest: newest.reference.digest.as_bytes().to_vec(),
            }),
            Body::PlanRequest(question(1)),
            Body::PlanRequest(question(2)),
            Body::GateJobs(v1::GateJobs::default()),
            Body::RenewalRequest(v1::RenewalRequest { within_seconds: 7 }),
            Body::ReportRequest(v1::ReportRequest {}),
        ];
        assert_eq!(all, want);
        outbox.gone().await;
    }

    #[tokio::test]
    async fn a_goodbye_is_the_last_word_and_an_error_the_only_one() {
        let outbox = Outbox::new(v1::Welcome::default());
        outbox.assign(assignment(1));
        let problem = Problem::new(Reason::NotAssigned, "text");
        outbox.control(Control::Close(problem));
        let mut messages = Messages::of(&outbox);
        messages.next().await.unwrap().unwrap();
        let last = messages.next().await.unwrap().unwrap().body;
        assert!(matches!(last, Some(Body::Goodbye(_))), "{last:?}");
        assert!(messages.next().await.is_none());
        outbox.gone().await;

        let outbox = Outbox::new(v1::Welcome::default());
        let mut messages = Messages::of(&outbox);
        outbox.fail(Status::unavailable("stopping"));
        assert!(messages.next().await.unwrap().is_err());
        assert!(messages.next().await.is_none());
        drop(messages);
        outbox.gone().await;
    }
}
