//! A stolen hub: it has the authority's key, so agents trust it, and sends whatever a test wants.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flotilla_hub::authority::{Authority, Request as KeyRequest};
use flotilla_proto::v1;
use flotilla_proto::v1::agent_service_server::{AgentService, AgentServiceServer};
use flotilla_proto::v1::enrollment_service_server::{EnrollmentService, EnrollmentServiceServer};
use flotilla_shared::digest::Digest;
use flotilla_shared::identity::Identity;
use flotilla_shared::tls;
use futures::Stream;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::eventually;

/// How long an agent may take to answer.
const LIMIT: Duration = Duration::from_secs(30);

type Outbound = mpsc::Sender<Result<v1::HubMessage, Status>>;

/// What agents have sent, and the streams to them.
#[derive(Default)]
struct State {
    outbound: Mutex<Option<Outbound>>,
    acks: Mutex<Vec<v1::Ack>>,
    report: Mutex<Option<v1::Report>>,
    plans: Mutex<Vec<v1::PlanResult>>,
    /// The bytes of everything that agents have sent.
    heard: Mutex<Vec<u8>>,
    streams: Mutex<usize>,
}

/// The stolen hub; it stops when dropped.
pub struct RedHub {
    /// `host:port`.
    pub address: String,
    /// Its roots, PEM.
    pub trust_bundle: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for RedHub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Service {
    state: Arc<State>,
    authority: Arc<Authority>,
}

impl RedHub {
    /// Starts on loopback, with its own authority in `directory`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        tls::install_provider();
        std::fs::create_dir_all(directory)?;
        let authority = Arc::new(Authority::init(directory, Timestamp::now())?);
        let trust_bundle = authority.trust_bundle().to_owned();
        let identity = authority.hub(&["127.0.0.1".to_owned()], Timestamp::now())?;
        let config = tls::server_config(&identity, &trust_bundle)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let state = Arc::new(State::default());
        let service = || Service {
            state: Arc::clone(&state),
            authority: Arc::clone(&authority),
        };
        let (connections, accepted) = mpsc::channel(16);
        let router = tonic::transport::Server::builder()
            .add_service(AgentServiceServer::new(service()).max_encoding_message_size(1 << 31))
            .add_service(EnrollmentServiceServer::new(service()));
        let task = tokio::spawn(async move {
            let accept = async {
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, connections) = (acceptor.clone(), connections.clone());
                    tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            // Ends with the server.
                            let _ = connections.send(Ok::<_, std::io::Error>(stream)).await;
                        }
                    });
                }
            };
            tokio::select! {
                () = accept => {}
                _ = router.serve_with_incoming(ReceiverStream::new(accepted)) => {}
            }
        });
        Ok(Self {
            address,
            trust_bundle,
            state,
            task,
        })
    }

    /// Sends anything to the connected agent.
    ///
    /// # Errors
    /// When none is connected for a while.
    pub async fn say(&self, body: v1::hub_message::Body) -> anyhow::Result<()> {
        let outbound = eventually("an agent is connected", LIMIT, || async {
            let outbound = self.state.outbound.lock().clone();
            outbound.filter(|outbound| !outbound.is_closed())
        })
        .await?;
        outbound
            .send(Ok(v1::HubMessage { body: Some(body) }))
            .await
            .map_err(|_| anyhow::anyhow!("the agent has gone"))
    }

    /// Sends an assignment and waits for the agent's verdict on it.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn assign(&self, assignment: v1::Assignment) -> anyhow::Result<v1::Ack> {
        let before = self.state.acks.lock().len();
        self.say(v1::hub_message::Body::Assignment(assignment))
            .await?;
        eventually("a verdict", LIMIT, || async {
            self.state.acks.lock().get(before).cloned()
        })
        .await
    }

    /// The number of verdicts received.
    #[must_use]
    pub fn verdicts(&self) -> usize {
        self.state.acks.lock().len()
    }

    /// The newest report.
    #[must_use]
    pub fn report(&self) -> Option<v1::Report> {
        self.state.report.lock().clone()
    }

    /// The plans that agents have sent.
    #[must_use]
    pub fn plans(&self) -> Vec<v1::PlanResult> {
        self.state.plans.lock().clone()
    }

    /// Whether these bytes were in anything that an agent has sent.
    #[must_use]
    pub fn heard(&self, secret: &[u8]) -> bool {
        let heard = self.state.heard.lock();
        heard.windows(secret.len()).any(|window| window == secret)
    }

    /// The number of streams that were opened.
    #[must_use]
    pub fn streams(&self) -> usize {
        *self.state.streams.lock()
    }
}

/// A content with its correct digest.
#[must_use]
pub fn sealed(content: Vec<u8>) -> v1::Assignment {
    v1::Assignment {
        digest: Digest::of(&content).as_bytes().to_vec(),
        content: content.into(),
    }
}

#[tonic::async_trait]
impl AgentService for Service {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<v1::HubMessage, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut inbound = request.into_inner();
        let (outbound, stream) = mpsc::channel(4);
        let welcome = v1::Welcome {
            protocol: 1,
            heartbeat_seconds: 1,
            epoch: 1,
            cluster: "c1".to_owned(),
            ..v1::Welcome::default()
        };
        let body = Some(v1::hub_message::Body::Welcome(welcome));
        // The channel is new and empty.
        let _ = outbound.try_send(Ok(v1::HubMessage { body }));
        *self.state.outbound.lock() = Some(outbound);
        *self.state.streams.lock() += 1;
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            use v1::agent_message::Body;
            while let Ok(Some(message)) = inbound.message().await {
                state.heard.lock().extend(message.encode_to_vec());
                match message.body {
                    Some(Body::Ack(ack)) => state.acks.lock().push(ack),
                    Some(Body::Report(report)) => *state.report.lock() = Some(report),
                    Some(Body::PlanResult(plan)) => state.plans.lock().push(plan),
                    _ => {}
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

impl Service {
    fn certify(&self, csr: &[u8]) -> Result<(String, Option<prost_types::Timestamp>), Status> {
        let internal = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
        let request = KeyRequest::from_der(csr).map_err(|error| internal(&error))?;
        let cluster = "c1".parse().map_err(|error| internal(&error))?;
        let issued = self
            .authority
            .sign(
                &Identity::Cluster(cluster),
                &request,
                SignedDuration::from_hours(24),
                1,
                Timestamp::now(),
            )
            .map_err(|error| internal(&error))?;
        let expires_at = flotilla_shared::wire::timestamp_to_wire(issued.expires_at);
        Ok((issued.chain_pem, Some(expires_at)))
    }
}

#[tonic::async_trait]
impl EnrollmentService for Service {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let (certificate_chain, expires_at) = self.certify(&request.get_ref().csr)?;
        Ok(Response::new(v1::EnrollResponse {
            state: v1::EnrollmentState::Accepted.into(),
            cluster: "c1".to_owned(),
            certificate_chain,
            trust_bundle: self.authority.trust_bundle().to_owned(),
            expires_at,
            ..v1::EnrollResponse::default()
        }))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let (certificate_chain, expires_at) = self.certify(&request.get_ref().csr)?;
        Ok(Response::new(v1::RenewResponse {
            certificate_chain,
            trust_bundle: self.authority.trust_bundle().to_owned(),
            expires_at,
            ..v1::RenewResponse::default()
        }))
    }

    async fn recover(
        &self,
        _: Request<v1::RecoverRequest>,
    ) -> Result<Response<v1::RecoverResponse>, Status> {
        Err(Status::unimplemented("a red hub does not help"))
    }
}
