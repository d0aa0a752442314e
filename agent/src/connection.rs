//! The stream to the hub: dial, hello, take assignments, send reports; come back with jitter.
//!
//! Level-triggered both ways: one slot for the newest accepted assignment, one for the newest report.
//! Nothing here decides what runs.

mod certificate;
mod cut;
mod gate_jobs;
mod pace;
mod questions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::agent_message::Body as Out;
use flotilla_proto::v1::agent_service_client::AgentServiceClient;
use flotilla_proto::v1::hub_message::Body as In;
use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::clock::far_apart;
use flotilla_shared::dial::dial;
use flotilla_shared::digest::Digest;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::tls;
use flotilla_shared::wire::{
    DecodedAssignment, FEATURES, MAX_MESSAGE_BYTES, PROTOCOL, assignment_ref_to_wire,
    decode_assignment, digest_to_wire, encode_report, timestamp_from_wire, timestamp_to_wire,
};
use flotilla_shared::words::without_numbers;
use jiff::Timestamp;
use prost::Message as _;
use rand::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Facts};
use crate::events::Event;
use crate::failpoint;
use crate::fence::Fence;
use crate::identity::{Certified, IdentityFiles, renew_after};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::policy::{Refusal, admit};
use crate::reconcile::{Asked, Question};

pub use pace::Pace;

/// Longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// So many failed streams in a row are a reason to ask whether our certificate is still taken.
const ATTEMPTS: u32 = 3;

/// Between two tries to renew.
const RETRY: Duration = Duration::from_secs(60);

/// Longest span over which a hub may spread renewals, seconds.
const MAX_SPREAD: u32 = 3600;

/// What the connection needs.
pub struct Connection {
    /// `host:port`.
    pub hub: String,
    /// Key and certificate.
    pub identity: IdentityFiles,
    /// Where a new token may be found when the hub knows us no more.
    pub token: Option<PathBuf>,
    /// The newest certificate.
    pub certified: Certified,
    /// What identifies the cluster.
    pub facts: Facts,
    /// Random id of this process.
    pub instance: String,
    /// Where accepted assignments are kept.
    pub ledger: Ledger,
    /// The newest accepted assignment; this room is its only writer.
    pub accepted: watch::Sender<Option<Arc<DecodedAssignment>>>,
    /// The newest report.
    pub reports: watch::Receiver<Option<Arc<Report>>>,
    /// Whether a stream is open, for readiness and metrics.
    pub connected: Arc<watch::Sender<bool>>,
    /// Changes whenever the certificate was renewed.
    pub renewed: watch::Sender<u64>,
    /// The last renewal of which all pods of the cluster have a copy; none: this process is alone.
    pub kept: Option<watch::Receiver<u64>>,
    /// A certificate that is not shown yet, with its renewal: the hub takes an older one for a clone
    /// as soon as a newer one was shown, so the other pods must have the newer one first (E7).
    pub next: Option<(u64, Certified)>,
    /// Questions that the hub passes on.
    pub questions: mpsc::Sender<Question>,
    /// Jobs of gates that the hub asks for.
    pub gate_jobs: watch::Sender<Asked>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether this pod leads.
    pub fence: Fence,
    /// Where the cluster's own people hear of what is refused.
    pub cluster: Cluster,
    /// How often an assignment is taken.
    pub pace: Pace,
}

/// Why a stream ended.
#[derive(Debug)]
enum Ended {
    /// Try again.
    Failed(String),
    /// The certificate was renewed: come back with the new one at once.
    Renewed,
    /// Our key waits to be accepted, which was said.
    Waits,
}

impl Connection {
    /// Keeps a stream open until cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut failures, mut waits) = (0u32, false);
        let mut backoff = Backoff::new(Duration::from_secs(1), MAX_BACKOFF);
        loop {
            // Two pods must not take the stream from each other in turns: only the one that leads dials.
            tokio::select! {
                () = self.fence.held() => {}
                () = stop.cancelled() => return,
            }
            let started = tokio::time::Instant::now();
            let ended = tokio::select! {
                ended = self.stream(failures, &mut waits) => ended,
                () = stop.cancelled() => return,
            };
            self.connected.send_replace(false);
            self.metrics.connected(false);
            match ended {
                Ended::Renewed => {
                    failures = 0;
                    continue;
                }
                Ended::Waits => {}
                Ended::Failed(why) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(why, "no stream to the hub; goes on without");
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

    async fn stream(&mut self, failures: u32, waits: &mut bool) -> Ended {
        self.show_next();
        let expired = self.certified.expires_at <= Timestamp::now();
        let due = *waits || expired || failures % ATTEMPTS == ATTEMPTS - 1;
        if self.next.is_none() && due {
            *waits = self.recover(expired, *waits).await;
            if *waits {
                return Ended::Waits;
            }
        }
        match self.try_stream().await {
            Ok(ended) => ended,
            Err(why) => Ended::Failed(why),
        }
    }

    async fn try_stream(&mut self) -> Result<Ended, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let config = tls::client_config(&self.certified.trust_bundle, Some(&self.certified.tls))
            .map_err(|error| text(&error))?;
        let channel = dial(&self.hub, Arc::new(config))
            .await
            .map_err(|error| text(&error))?;
        let (outbound, stream) = mpsc::channel::<v1::AgentMessage>(8);
        send(&outbound, Out::Hello(self.hello())).await?;
        let mut inbound = AgentServiceClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .connect(ReceiverStream::new(stream))
            .await
            .map_err(|status| cut::why(&status))?
            .into_inner();
        let renew = tokio::time::sleep(renew_after(&self.certified, Timestamp::now()));
        let mut renew = std::pin::pin!(renew);
        let mut heartbeat = every(10);
        let mut last_report = Digest::default();
        self.reports.mark_changed();
        let mut kept = self.kept.clone();
        let mut waiting: Option<v1::Assignment> = None;
        loop {
            tokio::select! {
                () = self.pace.permit(), if waiting.is_some() => {
                    if let Some(assignment) = waiting.take() {
                        let ack = self.take(&assignment);
                        send(&outbound, Out::Ack(ack)).await?;
                        failpoint::reach("acked");
                    }
                }
                message = inbound.message() => {
                    let message = message.map_err(|status| status.message().to_owned())?;
                    let Some(message) = message else {
                        return Ok(Ended::Failed("the hub closed the stream".to_owned()));
                    };
                    match message.body {
                        Some(In::Welcome(welcome)) => {
                            self.welcome(&welcome);
                            let seconds = u64::from(welcome.heartbeat_seconds.clamp(1, 300));
                            heartbeat = every(seconds);
                        }
                        // The newest takes the place of one that still waits for its pass.
                        Some(In::Assignment(assignment)) => waiting = Some(assignment),
                        Some(In::RenewalRequest(request)) => {
                            let within = f64::from(request.within_seconds.min(MAX_SPREAD));
                            let wait = Duration::from_secs_f64(
                                within * rand::rng().random_range(0.0..1.0),
                            );
                            renew.as_mut().reset(tokio::time::Instant::now() + wait);
                        }
                        Some(In::GateJobs(jobs)) => gate_jobs::take(jobs, &self.gate_jobs),
                        Some(In::ReportRequest(_)) => self.reports.mark_changed(),
                        Some(In::PlanRequest(request)) => match request.of.clone() {
                            Some(of) => self.foresee(&request, of, &outbound),
                            None => self.preview(request, &outbound),
                        },
                        Some(In::Goodbye(goodbye)) => return Ok(Ended::Failed(format!(
                            "the hub says goodbye: {}", goodbye.message
                        ))),
                        // Of a newer hub.
                        None => {}
                    }
                }
                changed = self.reports.changed() => {
                    changed.map_err(|_| "the agent is stopping".to_owned())?;
                    let newest = self.reports.borrow_and_update().clone();
                    if let Some(report) = newest {
                        let wire = encode_report(&report);
                        last_report = Digest::of(&wire.encode_to_vec());
                        send(&outbound, Out::Report(wire)).await?;
                        failpoint::reach("reported");
                    }
                }
                _ = heartbeat.tick() => {
                    let sequence =
                        self.reports.borrow().as_ref().map_or(0, |report| report.sequence);
                    let beat = v1::Heartbeat {
                        sequence,
                        accepted: Some(assignment_ref_to_wire(self.accepted_ref())),
                        report_digest: digest_to_wire(last_report),
                        now: Some(timestamp_to_wire(Timestamp::now())),
                    };
                    send(&outbound, Out::Heartbeat(beat)).await?;
                }
                () = &mut renew => {
                    let wait = match self.identity.renew(channel.clone()).await {
                        Ok(certified) => {
                            self.set_certified(certified);
                            renew_after(&self.certified, Timestamp::now()).max(RETRY)
                        }
                        Err(error) => {
                            tracing::error!(%error, "cannot renew the certificate; will try again");
                            RETRY
                        }
                    };
                    renew.as_mut().reset(tokio::time::Instant::now() + wait);
                    if self.show_next() {
                        return Ok(Ended::Renewed);
                    }
                }
                () = all_have(&mut kept), if self.next.is_some() => {
                    if self.show_next() {
                        return Ok(Ended::Renewed);
                    }
                }
            }
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
            features: FEATURES
                .iter()
                .map(|feature| (*feature).to_owned())
                .collect(),
        }
    }

    fn welcome(&self, welcome: &v1::Welcome) {
        self.connected.send_replace(true);
        self.metrics.connected(true);
        tracing::info!(hub = self.hub, epoch = welcome.epoch, "connected");
        if let Some(theirs) = timestamp_from_wire(welcome.now.as_ref()) {
            let ahead = Timestamp::now().duration_since(theirs).as_secs();
            if let Some(seconds) = far_apart(ahead) {
                tracing::warn!(seconds, "our clock and the hub's are far apart");
            }
        }
    }

    /// Judges an assignment, keeps it durably, and only then makes it the one in force.
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

/// A heartbeat of so many seconds. What was missed while the machine slept is not made up for at once.
fn every(seconds: u64) -> tokio::time::Interval {
    let mut heartbeat = tokio::time::interval(Duration::from_secs(seconds));
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    heartbeat
}

/// Waits for the next copy that was kept; forever where nothing is copied.
async fn all_have(kept: &mut Option<watch::Receiver<u64>>) {
    if let Some(kept) = kept
        && kept.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

async fn send(outbound: &mpsc::Sender<v1::AgentMessage>, body: Out) -> Result<(), String> {
    outbound
        .send(v1::AgentMessage { body: Some(body) })
        .await
        .map_err(|_| "the stream is closed".to_owned())
}
