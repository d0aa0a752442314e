//! The stream to the hub: dial, hello, take assignments, send reports; come back with jitter.
//!
//! Level-triggered both ways: one slot for the newest accepted assignment, one for the newest report.
//! Nothing here decides what runs.

mod certificate;
mod cut;
mod gate_jobs;
mod pace;
mod questions;
mod stream;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::agent_message::Body as Out;
use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::clock::far_apart;
use flotilla_shared::dial::DialError;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::tls::TlsError;
use flotilla_shared::wire::{
    DecodedAssignment, PROTOCOL, assignment_ref_to_wire, decode_assignment, features,
    timestamp_from_wire,
};
use flotilla_shared::words::without_numbers;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterFacts};
use crate::events::Event;
use crate::failpoint;
use crate::fence::Fence;
use crate::identity::{CertifiedIdentity, IdentityFiles};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::policy::{Refusal, admit};
use crate::reconcile::{Question, RequestedJobs};

pub use pace::Pace;

/// Longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Number of failed streams in a row after which the agent checks whether the hub still accepts its certificate.
const ATTEMPTS: u32 = 3;

/// Connection to the hub.
pub struct Connection {
    /// `host:port`.
    pub hub: String,
    /// Key and certificate.
    pub identity: IdentityFiles,
    /// File of a new token, used when the hub no longer knows this agent.
    pub token: Option<PathBuf>,
    /// The newest certificate.
    pub certified: CertifiedIdentity,
    /// Identity of the cluster.
    pub facts: ClusterFacts,
    /// Random id of this process.
    pub instance: String,
    /// Ledger of accepted assignments.
    pub ledger: Ledger,
    /// The newest accepted assignment; this room is its only writer.
    pub accepted: watch::Sender<Option<Arc<DecodedAssignment>>>,
    /// The newest report.
    pub reports: watch::Receiver<Option<Arc<Report>>>,
    /// Whether a stream is open, for readiness and metrics.
    pub connected: Arc<watch::Sender<bool>>,
    /// Changes whenever the certificate was renewed.
    pub renewed: watch::Sender<u64>,
    /// Number of the last renewal that was copied to all pods. None: this process is the only one.
    pub kept: Option<watch::Receiver<u64>>,
    /// A certificate that is not shown yet, with its renewal: the hub takes an older one for a clone
    /// as soon as a newer one was shown, so the other pods must have the newer one first (E7).
    pub next: Option<(u64, CertifiedIdentity)>,
    /// Questions that the hub passes on.
    pub questions: mpsc::Sender<Question>,
    /// Jobs of gates that the hub asks for.
    pub gate_jobs: watch::Sender<RequestedJobs>,
    /// The agent's metrics.
    pub metrics: Metrics,
    /// Whether this pod leads.
    pub fence: Fence,
    /// The cluster, for Events about refused assignments.
    pub cluster: Cluster,
    /// Rate limit of assignments.
    pub pace: Pace,
}

/// Reason why a stream ended.
#[derive(Debug)]
enum StreamEnd {
    /// The stream broke, or could not be opened; it is dialled again.
    Failed(StreamError),
    /// The certificate was renewed: come back with the new one at once.
    Renewed,
    /// The agent's key waits to be accepted, which was logged.
    Waits,
}

/// Reason why there is no stream to the hub.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The hub, or what is in front of it, did not open it.
    #[error("{0}")]
    Refused(String),
    /// Error of the hub or the connection in place of a message.
    #[error("{0}")]
    Broken(String),
    #[error("the hub closed the stream")]
    ClosedByHub,
    #[error("the hub ended the stream: {0}")]
    Goodbye(String),
    /// It does not accept messages.
    #[error("the stream is closed")]
    Closed,
    #[error("the agent is stopping")]
    Stopping,
}

/// Whether the agent's key waits to be accepted by an operator, which was logged; until then the certificate
/// is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acceptance {
    Awaited,
    NotAwaited,
}

impl Connection {
    /// Keeps a stream open until cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut failures, mut acceptance) = (0u32, Acceptance::NotAwaited);
        let mut backoff = Backoff::new(Duration::from_secs(1), MAX_BACKOFF);
        loop {
            // Only the leader dials: two pods would take the stream from each other in turns.
            tokio::select! {
                () = self.fence.held() => {}
                () = stop.cancelled() => return,
            }
            let started = tokio::time::Instant::now();
            let ended = tokio::select! {
                ended = self.stream(failures, &mut acceptance) => ended,
                () = stop.cancelled() => return,
            };
            self.connected.send_replace(false);
            self.metrics.connected(false);
            match ended {
                StreamEnd::Renewed => {
                    failures = 0;
                    continue;
                }
                StreamEnd::Waits => {}
                StreamEnd::Failed(why) => {
                    failures = failures.saturating_add(1);
                    let why = why.to_string();
                    tracing::warn!(
                        why,
                        "not connected to the hub; continuing with the last assignment"
                    );
                }
            }
            if started.elapsed() > MAX_BACKOFF {
                failures = 0;
                backoff.reset();
            }
            let delay = backoff.next_delay(&mut rand::rng());
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn accepted_ref(&self) -> AssignmentRef {
        self.accepted
            .borrow()
            .as_ref()
            .map(|accepted| accepted.reference)
            .unwrap_or_default()
    }

    async fn stream(&mut self, failures: u32, acceptance: &mut Acceptance) -> StreamEnd {
        self.show_next();
        let due = *acceptance == Acceptance::Awaited
            || self.has_expired()
            || failures % ATTEMPTS == ATTEMPTS - 1;
        if self.next.is_none() && due {
            *acceptance = self.recover(*acceptance).await;
            if *acceptance == Acceptance::Awaited {
                return StreamEnd::Waits;
            }
        }
        match self.try_stream().await {
            Ok(ended) => ended,
            Err(why) => StreamEnd::Failed(why),
        }
    }

    fn hello(&self) -> v1::Hello {
        v1::Hello {
            protocol_min: *PROTOCOL.start(),
            protocol_max: *PROTOCOL.end(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.clone(),
            accepted: Some(assignment_ref_to_wire(self.accepted_ref())),
            cluster_uid: self.facts.uid.clone(),
            kubernetes_version: self.facts.kubernetes_version.clone(),
            features: features().map(str::to_owned).collect(),
        }
    }

    fn welcome(&self, welcome: &v1::Welcome) {
        self.connected.send_replace(true);
        self.metrics.connected(true);
        tracing::info!(hub = self.hub, epoch = welcome.epoch, "connected");
        if let Some(theirs) = timestamp_from_wire(welcome.now.as_ref()) {
            let ahead = Timestamp::now().duration_since(theirs).as_secs();
            if let Some(seconds) = far_apart(ahead) {
                tracing::warn!(
                    seconds,
                    "this node's clock and the hub's are far apart: check both clocks"
                );
            }
        }
    }

    /// Judges an assignment, stores it durably, and only then puts it in force.
    fn take(&self, wire: &v1::Assignment) -> v1::Ack {
        let before = self.accepted_ref();
        let verdict = decode_assignment(wire)
            .map_err(|error| {
                let reason = match error {
                    flotilla_shared::wire::WireError::Digest => Reason::DigestMismatch,
                    _ => Reason::MalformedAssignment,
                };
                (
                    AssignmentRef::default(),
                    Refusal {
                        reason,
                        message: error.to_string(),
                    },
                )
            })
            .and_then(|offered| {
                let reference = offered.reference;
                admit(&offered, before, &self.certified.cluster)
                    .and_then(|()| {
                        if reference == before {
                            return Ok(());
                        }
                        failpoint::reach("offered");
                        self.ledger.store(&offered).map_err(|error| Refusal {
                            reason: Reason::LedgerUnavailable,
                            message: without_numbers(&error.to_string()),
                        })?;
                        failpoint::reach("stored");
                        Ok(())
                    })
                    .map(|()| offered)
                    .map_err(|refusal| (reference, refusal))
            });
        match verdict {
            Ok(offered) => {
                let reference = offered.reference;
                tracing::info!(generation = reference.generation.0, "assignment accepted");
                self.accepted.send_replace(Some(Arc::new(offered)));
                v1::Ack {
                    assignment: Some(assignment_ref_to_wire(reference)),
                    verdict: v1::Verdict::Accepted.into(),
                    reason: String::new(),
                    message: String::new(),
                    accepted: Some(assignment_ref_to_wire(reference)),
                }
            }
            Err((reference, refusal)) => {
                let reason = refusal.reason;
                tracing::warn!(%reason, message = refusal.message, "assignment refused");
                let message = format!("the hub's assignment is refused: {}", refusal.message);
                self.cluster.tell("", Event::warning(reason, &message));
                v1::Ack {
                    assignment: Some(assignment_ref_to_wire(reference)),
                    verdict: v1::Verdict::Refused.into(),
                    reason: reason.to_string(),
                    message: refusal.message,
                    accepted: Some(assignment_ref_to_wire(before)),
                }
            }
        }
    }
}

async fn send(outbound: &mpsc::Sender<v1::AgentMessage>, body: Out) -> Result<(), StreamError> {
    outbound
        .send(v1::AgentMessage { body: Some(body) })
        .await
        .map_err(|_| StreamError::Closed)
}
