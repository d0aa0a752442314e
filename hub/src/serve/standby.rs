//! A replica that does not decide forwards every call unchanged to the one that does: agents and operators may connect
//! to any replica.
//!
//! Connections between replicas use mTLS with the hub's own identity, and only that identity may call on behalf of
//! others.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{HeaderValue, Request, Response};
use flotilla_shared::dial::{NOT_PASSED_ON, dial};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

use super::certificates::Certificates;
use super::peer::{BEHALF, BEHALF_ADDRESS, BEHALF_KEY, BEHALF_SERIAL, NOBODY, OwnCall, Peer};

/// Forwarding of calls to the deciding replica.
#[derive(Clone)]
pub struct Forwarder {
    certificates: Arc<Certificates>,
    /// Address of the deciding process, and the channel to it.
    target: Arc<Mutex<(String, Option<Channel>)>>,
}

impl Forwarder {
    /// Makes it without a target.
    #[must_use]
    pub fn new(certificates: Arc<Certificates>) -> Self {
        Self {
            certificates,
            target: Arc::default(),
        }
    }

    /// Sets the address that calls are forwarded to; empty: no process decides. True: it changed.
    pub fn aim(&self, address: &str) -> bool {
        let mut target = self.target.lock();
        let is_new = target.0 != address;
        if is_new {
            tracing::info!(address, "forwarding calls");
            *target = (address.to_owned(), None);
        }
        is_new
    }

    /// Returns whether the deciding process answers.
    pub async fn answers(&self) -> bool {
        use tonic_health::pb::HealthCheckRequest;
        use tonic_health::pb::health_client::HealthClient;
        let mut client = HealthClient::new(self.clone());
        client.check(HealthCheckRequest::default()).await.is_ok()
    }

    async fn channel(&self) -> Result<Channel, Status> {
        let (address, channel) = self.target.lock().clone();
        if let Some(channel) = channel {
            return Ok(channel);
        }
        if address.is_empty() {
            return Err(not_passed_on("no hub process currently decides; try again"));
        }
        let made = dial(&address, self.certificates.client())
            .await
            .map_err(|error| {
                tracing::warn!(%error, "cannot reach the hub process that decides");
                not_passed_on("the hub process that decides cannot be reached; try again")
            })?;
        let mut target = self.target.lock();
        if target.0 == address {
            target.1 = Some(made.clone());
        }
        Ok(made)
    }

    async fn pass(&self, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let address = peer.as_ref().map(|peer| peer.address.to_string());
        let certificate = peer.as_ref().and_then(|peer| peer.certificate.as_ref());
        let (behalf, serial, key) = match certificate {
            Some(certificate) => (
                certificate.identity.to_string(),
                certificate.serial.clone(),
                certificate.key.clone(),
            ),
            None => (NOBODY.to_owned(), String::new(), String::new()),
        };
        let ours = request.extensions().get::<OwnCall>().is_some();
        // Headers from the caller are overwritten.
        for (name, value) in [
            (BEHALF, behalf),
            (BEHALF_SERIAL, serial),
            (BEHALF_KEY, key),
            (BEHALF_ADDRESS, address.unwrap_or_default()),
        ] {
            if ours {
                request.headers_mut().remove(name);
                continue;
            }
            let value = HeaderValue::from_str(&value)
                .map_err(|_| Status::internal("an identity that is not a valid header"))?;
            request.headers_mut().insert(name, value);
        }
        let mut channel = self.channel().await?;
        std::future::poll_fn(|cx| channel.poll_ready(cx))
            .await
            .map_err(|_| not_passed_on("the hub process that decides stopped; try again"))?;
        channel
            .call(request)
            .await
            .map_err(|_| Status::unavailable("the hub process that decides stopped; try again"))
    }
}

/// Returns the error of a call that was not forwarded, so that it may be retried, whatever it is.
fn not_passed_on(text: &str) -> Status {
    let mut status = Status::unavailable(text);
    let mark = tonic::metadata::MetadataValue::from_static("1");
    status.metadata_mut().insert(NOT_PASSED_ON, mark);
    status
}

impl Service<Request<Body>> for Forwarder {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(match this.pass(request).await {
                Ok(response) => response,
                Err(status) => status.into_http(),
            })
        })
    }
}
