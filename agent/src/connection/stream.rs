//! One stream to the hub, from the dial to its end: messages in both directions, and renewal of the certificate.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::agent_message::Body as Out;
use flotilla_proto::v1::agent_service_client::AgentServiceClient;
use flotilla_proto::v1::hub_message::Body as In;
use flotilla_shared::dial::dial;
use flotilla_shared::digest::Digest;
use flotilla_shared::report::Report;
use flotilla_shared::tls;
use flotilla_shared::wire::{
    MAX_MESSAGE_BYTES, assignment_ref_to_wire, digest_to_wire, encode_report, timestamp_to_wire,
};
use jiff::Timestamp;
use prost::Message as _;
use rand::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, Sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::{Connection, StreamEnd, StreamError, cut, gate_jobs, send};
use crate::failpoint;
use crate::identity::renew_after;

/// Between two tries to renew.
const RETRY: Duration = Duration::from_secs(60);

/// Longest span over which a hub may spread renewals, seconds.
const MAX_SPREAD: u32 = 3600;

/// An open stream, with state that is useless once it has ended.
struct Stream {
    /// The newest assignment, until there is a pass for it.
    waiting: Option<v1::Assignment>,
    /// Digest of the last report.
    last_report: Digest,
    heartbeat: Interval,
    /// Until the certificate is renewed.
    renew: Pin<Box<Sleep>>,
    inbound: Streaming<v1::HubMessage>,
    outbound: mpsc::Sender<v1::AgentMessage>,
    channel: Channel,
}

impl Stream {
    /// Sends a report; heartbeats have its digest from then on.
    async fn report(&mut self, report: &Report) -> Result<(), StreamError> {
        let wire = encode_report(report);
        self.last_report = Digest::of(&wire.encode_to_vec());
        send(&self.outbound, Out::Report(wire)).await?;
        failpoint::reach("reported");
        Ok(())
    }

    /// Puts the renewal at some moment of so many seconds from now, so that agents do not all come at once.
    fn spread_renewal(&mut self, within_seconds: u32) {
        let within = f64::from(within_seconds.min(MAX_SPREAD));
        let wait = Duration::from_secs_f64(within * rand::rng().random_range(0.0..1.0));
        self.renew_in(wait);
    }

    /// Sets the renewal to this time from now, in place of the earlier one.
    fn renew_in(&mut self, wait: Duration) {
        let at = tokio::time::Instant::now() + wait;
        self.renew.as_mut().reset(at);
    }
}

impl Connection {
    /// Opens a stream and serves it until it ends.
    pub(super) async fn try_stream(&mut self) -> Result<StreamEnd, StreamError> {
        let mut stream = self.open().await?;
        self.reports.mark_changed();
        let mut kept = self.kept.clone();
        loop {
            tokio::select! {
                () = self.pace.permit(), if stream.waiting.is_some() => {
                    if let Some(assignment) = stream.waiting.take() {
                        let ack = self.take(&assignment);
                        send(&stream.outbound, Out::Ack(ack)).await?;
                        failpoint::reach("acked");
                    }
                }
                message = stream.inbound.message() => {
                    let broken = |status: Status| StreamError::Broken(status.message().to_owned());
                    let message = message.map_err(broken)?.ok_or(StreamError::ClosedByHub)?;
                    self.hear(message.body, &mut stream)?;
                }
                changed = self.reports.changed() => {
                    changed.map_err(|_| StreamError::Stopping)?;
                    let newest = self.reports.borrow_and_update().clone();
                    if let Some(report) = newest {
                        stream.report(&report).await?;
                    }
                }
                _ = stream.heartbeat.tick() => {
                    let beat = self.beat(stream.last_report);
                    send(&stream.outbound, Out::Heartbeat(beat)).await?;
                }
                () = &mut stream.renew => {
                    self.renew_certificate(&mut stream).await;
                    if self.show_next() {
                        return Ok(StreamEnd::Renewed);
                    }
                }
                () = all_have(&mut kept), if self.next.is_some() => {
                    if self.show_next() {
                        return Ok(StreamEnd::Renewed);
                    }
                }
            }
        }
    }

    /// Dials and sends hello; returns when the hub has opened the stream.
    async fn open(&self) -> Result<Stream, StreamError> {
        let config = tls::client_config(&self.certified.trust_bundle, Some(&self.certified.tls))?;
        let channel = dial(&self.hub, Arc::new(config)).await?;
        let (outbound, stream) = mpsc::channel::<v1::AgentMessage>(8);
        send(&outbound, Out::Hello(self.hello())).await?;
        let inbound = AgentServiceClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .connect(ReceiverStream::new(stream))
            .await
            .map_err(|status| StreamError::Refused(cut::why(&status)))?
            .into_inner();
        let renew = tokio::time::sleep(renew_after(&self.certified, Timestamp::now()));
        Ok(Stream {
            waiting: None,
            last_report: Digest::default(),
            heartbeat: every(10),
            renew: Box::pin(renew),
            inbound,
            outbound,
            channel,
        })
    }

    /// Handles a message of the hub; an error ends the stream.
    fn hear(&mut self, message: Option<In>, stream: &mut Stream) -> Result<(), StreamError> {
        match message {
            Some(In::Welcome(welcome)) => {
                self.welcome(&welcome);
                let seconds = u64::from(welcome.heartbeat_seconds.clamp(1, 300));
                stream.heartbeat = every(seconds);
            }
            // The newest assignment replaces one that still waits for its pass.
            Some(In::Assignment(assignment)) => stream.waiting = Some(assignment),
            Some(In::RenewalRequest(request)) => stream.spread_renewal(request.within_seconds),
            Some(In::GateJobs(jobs)) => gate_jobs::take(jobs, &self.gate_jobs),
            Some(In::ReportRequest(_)) => self.reports.mark_changed(),
            Some(In::PlanRequest(request)) => match request.of.clone() {
                Some(of) => self.foresee(&request, of, &stream.outbound),
                None => self.preview(request, &stream.outbound),
            },
            Some(In::Goodbye(goodbye)) => return Err(StreamError::Goodbye(goodbye.message)),
            // A message of a newer hub.
            None => {}
        }
        Ok(())
    }

    /// Returns a heartbeat with the agent's current state.
    fn beat(&self, last_report: Digest) -> v1::Heartbeat {
        let sequence = self
            .reports
            .borrow()
            .as_ref()
            .map_or(0, |report| report.sequence);
        v1::Heartbeat {
            sequence,
            accepted: Some(assignment_ref_to_wire(self.accepted_ref())),
            report_digest: digest_to_wire(last_report),
            now: Some(timestamp_to_wire(Timestamp::now())),
        }
    }

    /// Gets the next certificate, not yet to be shown, and sets when to ask again.
    async fn renew_certificate(&mut self, stream: &mut Stream) {
        let wait = match self.identity.renew(stream.channel.clone()).await {
            Ok(certified) => {
                self.set_certified(certified);
                renew_after(&self.certified, Timestamp::now()).max(RETRY)
            }
            Err(error) => {
                tracing::error!(%error, "cannot renew the certificate; will retry");
                RETRY
            }
        };
        stream.renew_in(wait);
    }
}

/// A heartbeat every so many seconds. Beats that were missed while the machine slept are not made up for at
/// once.
fn every(seconds: u64) -> Interval {
    let mut heartbeat = tokio::time::interval(Duration::from_secs(seconds));
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    heartbeat
}

/// Waits until the next copy has been stored; forever where nothing is copied.
async fn all_have(kept: &mut Option<watch::Receiver<u64>>) {
    if let Some(kept) = kept
        && kept.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
