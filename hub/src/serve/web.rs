//! The hub's own pages, for persons of an issuer: a listener of its own, sessions in the store, and the Fleet API in
//! this process (or that of the deciding replica) called with each reader's own token.
//!
//! ```text
//! browser --TLS--> listen --> entrance (cookie -> store -> token) --> flotilla-web's pages
//!                                                                        | as the reader
//!                               Fleet API of this process, or Forwarder <-+
//! ```

mod entrance;
mod listen;
mod login;
mod place;
mod session;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_proto::v1::fleet_service_server::FleetServiceServer;
use flotilla_shared::tls::TlsError;
use flotilla_web::follow::{Snapshot, follow};
use flotilla_web::mirror::Mirror;
use flotilla_web::serve::Site;
use flotilla_web::{Api, Carrier};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

pub use place::PublicAddress;

use super::Context;
use super::fleet_api::Operators;
use super::oidc::Oidc;
use super::peer::OwnCall;
use super::standby::Forwarder;
use crate::store::Store;

/// Number of pages that are followed at once.
const STREAMS: usize = 512;
/// Largest answer of the Fleet API, bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// Configuration of the pages.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Address to listen on.
    pub listen: String,
    /// Public URL, such as `https://flotilla.example.org`; empty: the loopback address that was bound.
    pub url: String,
    /// Certificate chain and key, PEM; none: plain HTTP.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether a proxy in front terminates TLS.
    pub behind_proxy: bool,
}

/// Why pages are not served: they would be unencrypted, or unreachable.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    #[error(
        "--web-behind-proxy is for plain HTTP: leave out --web-certificate-file and --web-key-file"
    )]
    TlsTwice,
    #[error(
        "pages on {0} need TLS: give --web-certificate-file and --web-key-file, or \
         --web-behind-proxy where a proxy terminates TLS"
    )]
    NoTls(SocketAddr),
    #[error("give --web-url: the public URL of the pages, such as https://flotilla.example.org")]
    NoUrl,
    #[error("--web-url {0:?} is not an https URL")]
    NotHttp(String),
    #[error("--web-url {0:?} must be a scheme and a host, such as https://flotilla.example.org")]
    NotHost(String),
    #[error(
        "--web-url {0:?} needs TLS: give --web-certificate-file and --web-key-file, or \
         --web-behind-proxy"
    )]
    PromisesTls(String),
    #[error("--web-url {0:?} must begin with https://")]
    NotHttps(String),
    /// The certificate or its key cannot be used.
    #[error("{path}: {cause}")]
    File {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("the pages' certificate: {0}")]
    Certificate(TlsError),
}

/// Setup of the pages.
pub struct PagesSetup {
    /// Address that it listens on.
    pub listener: Arc<TcpListener>,
    pub config: Config,
    /// Public address of the pages.
    pub place: PublicAddress,
    pub oidc: Arc<Oidc>,
    /// The store of sessions.
    pub store: Store,
    /// Carries calls to the Fleet API.
    pub carrier: Carrier,
}

/// Returns the Fleet API of this process.
#[must_use]
pub fn in_process(context: Arc<Context>) -> Carrier {
    let service = FleetServiceServer::new(Operators(context))
        .max_decoding_message_size(64 << 10)
        .max_encoding_message_size(MAX_MESSAGE);
    let service = ServiceBuilder::new()
        .map_err(|never: std::convert::Infallible| match never {})
        .service(service);
    Carrier::new(service)
}

/// Returns the Fleet API of the deciding replica.
#[must_use]
pub fn passed_on(pass_on: Forwarder) -> Carrier {
    let service = ServiceBuilder::new()
        .map_err(|never: std::convert::Infallible| match never {})
        .service(pass_on);
    Carrier::new(service)
}

/// Returns the Fleet API, with `change` applied to each request.
fn api<F>(carrier: &Carrier, change: F) -> Api
where
    F: Fn(&mut http::Request<tonic::body::Body>) + Clone + Send + Sync + 'static,
{
    let service = ServiceBuilder::new()
        .map_request(move |mut request: http::Request<tonic::body::Body>| {
            change(&mut request);
            request
        })
        .service(carrier.clone());
    FleetServiceClient::new(Carrier::new(service)).max_decoding_message_size(MAX_MESSAGE)
}

/// Serves until stopped.
pub async fn serve(serving: PagesSetup, stop: CancellationToken) {
    let itself = api(&serving.carrier, |request| {
        request.extensions_mut().insert(OwnCall);
    });
    let unknown = flotilla_proto::v1::GetHubResponse::default();
    let (sender, seen) = watch::channel(Arc::new(Snapshot {
        mirror: Mirror::default(),
        hub: Arc::new(flotilla_status::Hub::from(&unknown)),
    }));
    let following = tokio::spawn(follow(itself, sender));
    let entrance = Arc::new(entrance::Sessions::new(&serving));
    let ways_in = login::router(Arc::clone(&entrance));
    let router = Site::new(entrance, seen, STREAMS).router(ways_in);
    if let Err(error) = listen::serve(serving, router, stop).await {
        tracing::error!(error = error.to_string(), "the pages are not served");
    }
    following.abort();
}
