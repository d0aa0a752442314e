//! `/healthz`, `/readyz` and `/metrics`, for the kubelet and Prometheus. Nothing here changes state or
//! reveals a secret.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How the agent is, as probes see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// Whether it can continue its work at all; an unready pod still reconciles its last assignment.
    pub ready: bool,
    /// For a person.
    pub message: String,
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    readiness: watch::Receiver<Readiness>,
}

/// Serves until stopped. Returns the bound address.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(
    address: SocketAddr,
    metrics: Metrics,
    readiness: watch::Receiver<Readiness>,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(text))
        .with_state(Shared { metrics, readiness })
        .layer(tower::limit::ConcurrencyLimitLayer::new(16));
    tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        if let Err(error) = served.await {
            tracing::warn!(%error, "metrics are no longer served");
        }
    });
    Ok(bound)
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    let readiness = shared.readiness.borrow().clone();
    let code = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, format!("{}\n", readiness.message))
}

async fn text(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.encode())
}
