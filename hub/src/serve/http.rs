//! Plain HTTP beside gRPC: probes, metrics and webhooks, each on a listener that somebody asked for.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::driver::Handle;
use crate::metrics::Metrics;

/// What OpenMetrics text is called (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Probes and metrics.
#[derive(Clone)]
pub struct Probe {
    /// What is measured.
    pub metrics: Metrics,
    /// The fleet; none: this process stands by.
    pub handle: Option<Handle>,
}

/// Serves probes and metrics until stopped.
pub async fn probes(listener: TcpListener, probe: Probe, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(probe));
    serve(listener, router, stop).await;
}

/// Serves a router until stopped.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "an HTTP listener ended");
    }
}

/// Ready is: what is asked is answered. A process that stands by passes questions on, so it is ready.
async fn ready(State(probe): State<Arc<Probe>>) -> impl IntoResponse {
    let Some(handle) = &probe.handle else {
        return (StatusCode::OK, "standing by\n");
    };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(5), handle.query(|_| ()));
    match answer.await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the hub does not answer\n"),
    }
}

async fn metrics(State(probe): State<Arc<Probe>>) -> impl IntoResponse {
    if let Some(handle) = &probe.handle {
        let metrics = probe.metrics.clone();
        // A hub that stops has nothing more to tell.
        let _ = handle
            .query(move |fleet| metrics.look_at(fleet, Timestamp::now()))
            .await;
    }
    ([(header::CONTENT_TYPE, OPEN_METRICS)], probe.metrics.text())
}
