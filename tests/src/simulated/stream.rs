//! An open stream between a simulated agent and a hub.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::wire::{assignment_ref_to_wire, decode_assignment};
use rand::Rng as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval};
use tonic::Streaming;

use super::{Agent, FleetState, State, message};

/// An open stream.
pub(super) struct OpenStream<'a> {
    pub(super) agent: &'a Agent,
    pub(super) state: &'a mut State,
    pub(super) seen: &'a FleetState,
    /// When the agent first tried to connect.
    pub(super) since: Instant,
    pub(super) outbound: mpsc::Sender<v1::AgentMessage>,
    pub(super) welcomed: bool,
    /// When the assignment will have been applied.
    pub(super) due: Option<Instant>,
}

impl OpenStream<'_> {
    /// Runs until either side ends the stream.
    pub(super) async fn serve(&mut self, inbound: &mut Streaming<v1::HubMessage>) {
        let mut beat = tokio::time::interval_at(
            Instant::now() + Duration::from_secs(10).mul_f64(rand::rng().random_range(0.1..1.0)),
            Duration::from_secs(10),
        );
        while self.step(inbound, &mut beat).await.is_continue() {}
    }

    /// Handles the next event: a message of the hub, a heartbeat, or a report of finished work.
    async fn step(
        &mut self,
        inbound: &mut Streaming<v1::HubMessage>,
        beat: &mut Interval,
    ) -> ControlFlow<()> {
        let timer = self
            .due
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            next = inbound.message() => match next {
                Ok(Some(next)) => self.hear(next.body).await,
                Ok(None) | Err(_) => ControlFlow::Break(()),
            },
            _ = beat.tick() => self.send_heartbeat().await,
            () = tokio::time::sleep_until(timer), if self.due.is_some() => {
                self.due = None;
                self.finish_work().await
            }
        }
    }

    async fn hear(&mut self, body: Option<v1::hub_message::Body>) -> ControlFlow<()> {
        match body {
            Some(v1::hub_message::Body::Welcome(_)) => {
                self.be_welcomed();
                ControlFlow::Continue(())
            }
            Some(v1::hub_message::Body::Assignment(wire)) => self.take(&wire).await,
            Some(v1::hub_message::Body::ReportRequest(_)) => self.send_report().await,
            Some(v1::hub_message::Body::PlanRequest(request)) => {
                match self.agent.planned(request, self.seen) {
                    Some(result) => self.send(v1::agent_message::Body::PlanResult(result)).await,
                    None => ControlFlow::Continue(()),
                }
            }
            Some(v1::hub_message::Body::Goodbye(_)) | None => ControlFlow::Break(()),
            // Simulated agents do not answer other messages.
            Some(_) => ControlFlow::Continue(()),
        }
    }

    fn be_welcomed(&mut self) {
        self.welcomed = true;
        if self.state.assignment.is_some() && !self.state.reported {
            self.due = Some(Instant::now() + self.agent.work);
        }
        self.seen.connected.fetch_add(1, Ordering::Relaxed);
        let mut slowest = self.seen.slowest_connect.lock();
        *slowest = (*slowest).max(self.since.elapsed());
    }

    /// Accepts an assignment unless a newer one has been accepted, and acknowledges it.
    async fn take(&mut self, wire: &v1::Assignment) -> ControlFlow<()> {
        self.seen
            .delivered
            .lock()
            .insert(self.agent.name.clone(), Instant::now());
        let Ok(decoded) = decode_assignment(wire) else {
            return ControlFlow::Break(());
        };
        let applications = decoded.assignment.applications.values();
        let paths = applications.map(|app| app.path.to_string()).collect();
        self.seen
            .paths
            .lock()
            .insert(self.agent.name.clone(), paths);
        let reference = decoded.reference;
        let stale = reference.place() < self.state.accepted.place();
        if !stale {
            self.state.accepted = reference;
            self.state.assignment = Some(decoded.assignment);
            self.state.reported = false;
            self.due = Some(Instant::now() + self.agent.work);
        }
        let ack = v1::Ack {
            assignment: Some(assignment_ref_to_wire(reference)),
            verdict: if stale {
                v1::Verdict::Refused
            } else {
                v1::Verdict::Accepted
            }
            .into(),
            accepted: Some(assignment_ref_to_wire(self.state.accepted)),
            ..v1::Ack::default()
        };
        self.send(v1::agent_message::Body::Ack(ack)).await
    }

    async fn send_heartbeat(&self) -> ControlFlow<()> {
        let heartbeat = v1::Heartbeat {
            sequence: 1,
            accepted: Some(assignment_ref_to_wire(self.state.accepted)),
            report_digest: self.state.digest(),
            now: None,
        };
        self.send(v1::agent_message::Body::Heartbeat(heartbeat))
            .await
    }

    async fn finish_work(&mut self) -> ControlFlow<()> {
        let seen = self.seen;
        let failing = seen.failing.load(Ordering::Relaxed);
        let (bad_path, object) = (seen.bad_path.lock().clone(), seen.object.lock().clone());
        self.state.finish(failing, &bad_path, &object);
        self.send_report().await
    }

    async fn send_report(&self) -> ControlFlow<()> {
        let body = v1::agent_message::Body::Report(self.state.report.clone());
        self.send(body).await
    }

    /// Ends the stream if nothing can be sent.
    async fn send(&self, body: v1::agent_message::Body) -> ControlFlow<()> {
        match self.outbound.send(message(body)).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
