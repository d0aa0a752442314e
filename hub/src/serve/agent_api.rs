//! The stream of one agent, from hello to goodbye.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::agent_service_server::AgentService;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::identity::Identity;
use flotilla_shared::problem::Problem;
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::wire::{
    MAX_TOKEN_BYTES, PROTOCOL, WireError, assignment_ref_from_wire, decode_report,
    digest_from_wire, reason_from_wire, timestamp_from_wire, timestamp_to_wire,
};
use jiff::Timestamp;
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::rate::{Bucket, Rate};
use super::relay::AgentFeatures;
use super::{Context, HEARTBEAT_SECONDS, peer};
use crate::driver::Stopped;
use crate::fleet::{ClusterRecord, Event, Hello, SessionId, former_message};
use crate::outbox::{Messages, Outbox};

/// Time in which an agent has to send its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without a message after which a stream is closed; the agent reconnects.
const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT_SECONDS as u64 + 5);

/// Rate limit for messages of one stream. A busy agent reports some times a second.
const MESSAGES: Rate = Rate {
    per_second: 20.0,
    burst: 200.0,
};

pub struct Agents(pub Arc<Context>);

fn invalid(error: &WireError) -> Status {
    Status::invalid_argument(error.to_string())
}

#[tonic::async_trait]
impl AgentService for Agents {
    type ConnectStream = Messages;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let cluster = peer::cluster(&request)?;
        let identity = Identity::Cluster(cluster.clone());
        if !self.0.rates.streams.allow(&identity, Instant::now()) {
            return Err(Status::resource_exhausted(format!(
                "{cluster} opens streams too often; are two agents using its identity?"
            )));
        }
        let counter = peer::counter(&request);
        let serial = peer::serial(&request);
        let key = peer::key(&request);
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(HELLO_TIMEOUT, inbound.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello within 10 seconds"))??;
        let Some(v1::agent_message::Body::Hello(hello)) = first.and_then(|first| first.body) else {
            return Err(Status::invalid_argument("the first message must be hello"));
        };
        let protocol = negotiate(&hello)?;
        let (known, former) = {
            let name = cluster.clone();
            self.0
                .handle
                .query(move |fleet| {
                    let cluster = fleet.clusters().get(&name);
                    let record = cluster.map(|cluster| &*cluster.record);
                    let former = record.filter(|record| record.credential.is_former(counter));
                    let former = former.map(|record| former_message(&name, record, &key));
                    (cluster.is_some(), former)
                })
                .await?
        };
        if let Some(message) = former {
            return Err(Status::permission_denied(message));
        }
        if !known && !self.0.certificates.authority().issues() {
            // An external authority enrols this cluster; an operator has to accept it here, as always (E5).
            let record = ClusterRecord {
                created_at: Timestamp::now(),
                pending: Some(serial),
                ..ClusterRecord::default()
            };
            let event = Event::ClusterPut(cluster.clone(), record);
            self.0.handle.event(event).await?;
        } else if !known {
            return Err(Status::permission_denied(format!(
                "this hub has no record of cluster {cluster}: it was removed, or the hub lost \
                 its store; to enrol it again, give its agent a new token (flotilla cluster \
                 join-manifest {cluster}, or flotilla token create --cluster {cluster})"
            )));
        }
        let understands = AgentFeatures::of(&hello.features);
        let mut hello = hello_from_wire(&hello).map_err(|error| invalid(&error))?;
        hello.counter = counter;
        let welcome = v1::Welcome {
            protocol,
            hub_version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.0.epoch.0,
            heartbeat_seconds: HEARTBEAT_SECONDS,
            now: Some(timestamp_to_wire(Timestamp::now())),
            cluster: cluster.to_string(),
        };
        let outbox = Outbox::new(welcome);
        let session = self
            .0
            .handle
            .register(cluster.clone(), Arc::clone(&outbox))
            .await?;
        tracing::info!(%cluster, session = session.0, "agent connected");
        self.0.metrics.stream_opened();
        self.0
            .handle
            .event(Event::Connected(cluster.clone(), session, hello))
            .await?;
        let context = Arc::clone(&self.0);
        let relay = &self.0.relay;
        let asked = relay.open(&cluster, Arc::clone(&outbox), understands);
        let messages = Messages::of(&outbox);
        tokio::spawn(async move {
            let ended = read(&context, &cluster, session, &mut inbound, &outbox).await;
            context.relay.close(&cluster, asked);
            match ended {
                Ok(()) => outbox.finish(),
                Err(status) => outbox.fail(status),
            }
            let _ = context
                .handle
                .event(Event::Disconnected(cluster.clone(), session))
                .await;
            context.metrics.stream_ended();
            tracing::info!(%cluster, session = session.0, "agent disconnected");
        });
        Ok(Response::new(messages))
    }
}

fn negotiate(hello: &v1::Hello) -> Result<u32, Status> {
    let highest = hello.protocol_max.min(*PROTOCOL.end());
    if highest < hello.protocol_min.max(*PROTOCOL.start()) {
        return Err(Status::failed_precondition(format!(
            "this hub speaks protocol {} to {}, the agent {} to {}: upgrade the older one",
            PROTOCOL.start(),
            PROTOCOL.end(),
            hello.protocol_min,
            hello.protocol_max
        )));
    }
    Ok(highest)
}

fn hello_from_wire(hello: &v1::Hello) -> Result<Hello, WireError> {
    let token = |text: &str| plain_line(text, MAX_TOKEN_BYTES);
    Ok(Hello {
        accepted: assignment_ref_from_wire(hello.accepted.as_ref())?,
        agent_version: token(&hello.agent_version),
        instance: token(&hello.instance),
        cluster_uid: token(&hello.cluster_uid),
        kubernetes_version: token(&hello.kubernetes_version),
        // Set from the certificate, not from the agent's message.
        counter: 0,
    })
}

async fn read(
    context: &Context,
    cluster: &ClusterName,
    session: SessionId,
    inbound: &mut Streaming<v1::AgentMessage>,
    outbox: &Outbox,
) -> Result<(), Status> {
    let mut pace = Bucket::full(MESSAGES, Instant::now());
    loop {
        // Unread messages are not buffered, so the limit slows down only this agent (H16).
        let wait = pace.take(MESSAGES, 1.0, Instant::now());
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = context.stop.cancelled() => {}
                () = outbox.gone() => return Ok(()),
            }
        }
        // The values of one message are dropped with this block: otherwise ten thousand idle streams would keep room
        // for them.
        let told = {
            let next = tokio::select! {
                next = tokio::time::timeout(SILENCE, inbound.message()) => next
                    .map_err(|_| Status::deadline_exceeded("no heartbeat for three intervals"))??,
                () = context.stop.cancelled() => {
                    return Err(Status::unavailable("the hub is stopping"));
                }
                // The driver closed this stream: later messages do not count.
                () = outbox.gone() => return Ok(()),
            };
            let Some(message) = next else {
                return Ok(());
            };
            take(context, cluster, session, message)?
        };
        if let Some(told) = told {
            told.await?;
        }
    }
}

/// Returns the event that follows from a message; none: nothing follows.
fn take<'a>(
    context: &'a Context,
    cluster: &ClusterName,
    session: SessionId,
    message: v1::AgentMessage,
) -> Result<Option<impl Future<Output = Result<(), Stopped>> + Send + use<'a>>, Status> {
    if let Some(v1::agent_message::Body::PlanResult(result)) = message.body {
        context.relay.answer(cluster, result);
        return Ok(None);
    }
    // None: a body that this version does not know.
    let event = event(cluster, session, message).map_err(|error| invalid(&error))?;
    Ok(event.map(|event| context.handle.event(event)))
}

fn event(
    cluster: &ClusterName,
    session: SessionId,
    message: v1::AgentMessage,
) -> Result<Option<Event>, WireError> {
    use v1::agent_message::Body;
    let cluster = cluster.clone();
    Ok(match message.body {
        // An answer to a plan goes to the requester, and does not change the fleet.
        None | Some(Body::PlanResult(_)) => None,
        Some(Body::Hello(_)) => {
            return Err(WireError::Invalid {
                field: "body",
                why: "a second hello".to_owned(),
            });
        }
        Some(Body::Ack(ack)) => {
            let refused = ack.verdict() != v1::Verdict::Accepted;
            let reason =
                reason_from_wire(&ack.reason).unwrap_or(flotilla_shared::reason::Reason::Other);
            Some(Event::Acked {
                cluster,
                session,
                assignment: assignment_ref_from_wire(ack.assignment.as_ref())?,
                refusal: refused
                    .then(|| Problem::new(reason, plain_line(&ack.message, MAX_MESSAGE_BYTES))),
                accepted: assignment_ref_from_wire(ack.accepted.as_ref())?,
            })
        }
        Some(Body::Report(report)) => {
            let digest = Digest::of(&report.encode_to_vec());
            Some(Event::Reported(
                cluster,
                session,
                decode_report(&report)?,
                digest,
            ))
        }
        Some(Body::Heartbeat(heartbeat)) => Some(Event::Heartbeat {
            cluster,
            session,
            accepted: assignment_ref_from_wire(heartbeat.accepted.as_ref())?,
            report: digest_from_wire("report_digest", &heartbeat.report_digest)?,
            clock: timestamp_from_wire(heartbeat.now.as_ref()),
        }),
    })
}
