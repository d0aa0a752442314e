//! The hub's gRPC server.

use std::sync::Arc;

use flotilla_proto::v1::agent_service_server::AgentServiceServer;
use flotilla_proto::v1::enrollment_service_server::EnrollmentServiceServer;
use flotilla_proto::v1::fleet_service_server::FleetServiceServer;
use flotilla_proto::v1::login_service_server::LoginServiceServer;
use flotilla_shared::wire::MAX_MESSAGE_BYTES;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::Context;
use super::agent_api::Agents;
use super::connection_limits::Limits;
use super::enroll::Enrollment;
use super::fleet_api::Operators;
use super::http2;
use super::listen;
use super::login::Login;

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
    let certificates = Arc::clone(&context.certificates);
    let login = LoginServiceServer::new(Login(Arc::clone(&context)));
    let operators = FleetServiceServer::new(Operators(context))
        .max_decoding_message_size(64 << 10)
        .max_encoding_message_size(64 << 20);
    let mut routes = Routes::new(health_service)
        .add_service(agents)
        .add_service(enrollment)
        .add_service(login)
        .add_service(operators);
    match reflection {
        Ok(reflection) => routes = routes.add_service(reflection),
        Err(error) => tracing::error!(%error, "gRPC reflection is not available"),
    }
    http2::serve(routes, listen::accept(listener, certificates, limits), stop).await;
}
