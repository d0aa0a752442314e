//! The gRPC server with its bounds.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1::agent_service_server::AgentServiceServer;
use flotilla_proto::v1::enrollment_service_server::EnrollmentServiceServer;
use flotilla_proto::v1::fleet_service_server::FleetServiceServer;
use flotilla_proto::v1::login_service_server::LoginServiceServer;
use flotilla_shared::wire::MAX_MESSAGE_BYTES;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::Context;
use super::agent_api::Agents;
use super::doors::Limits;
use super::enroll::Enrollment;
use super::fleet_api::Operators;
use super::listen;
use super::login::Login;

/// Streams of one connection. An agent has one; a replica that passes calls on has one for each of its
/// agents, on connections of its own.
const MAX_STREAMS: u32 = 64;
/// What may be in flight towards us on one stream: what a slow hub holds in memory for it.
const WINDOW: u32 = 64 << 10;
/// After this a connection is closed in good order, so that none lives as long as the process.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// A server with its bounds.
#[must_use]
pub fn builder() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 << 10)
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(64))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .concurrency_limit_per_connection(MAX_STREAMS as usize)
        .load_shed(true)
        .max_connection_age(MAX_AGE)
        .max_connection_age_grace(Duration::from_secs(60))
}

/// Serves everything until stopped.
pub async fn serve(
    context: Arc<Context>,
    listener: Arc<TcpListener>,
    limits: Limits,
    stop: CancellationToken,
) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AgentServiceServer<Agents>>().await;
    health.set_serving::<FleetServiceServer<Operators>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(flotilla_proto::FILE_DESCRIPTOR_SET)
        .build_v1();
    let agents = AgentServiceServer::new(Agents(Arc::clone(&context)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let enrollment = EnrollmentServiceServer::new(Enrollment::new(Arc::clone(&context)))
        .max_decoding_message_size(64 << 10);
    let trust = Arc::clone(&context.trust);
    let login = LoginServiceServer::new(Login(Arc::clone(&context)));
    let operators = FleetServiceServer::new(Operators(context))
        .max_decoding_message_size(64 << 10)
        .max_encoding_message_size(64 << 20);
    let server = builder()
        .add_service(health_service)
        .add_optional_service(reflection.ok())
        .add_service(agents)
        .add_service(enrollment)
        .add_service(login)
        .add_service(operators);
    let incoming = ReceiverStream::new(listen::accept(listener, trust, limits));
    let served = server
        .serve_with_incoming_shutdown(incoming, stop.cancelled())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the server ended");
    }
}
