//! Plain HTTP beside gRPC: probes, metrics and webhooks, each on its own optional listener.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listen;
use super::standby::Forwarder;
use crate::driver::{Handle, Health};
use crate::metrics::Metrics;

/// Content type of OpenMetrics text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Highest number of connections of one listener.
const CONNECTIONS: usize = 256;
/// Time limit from a connection to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time limit of an answer for readiness.
const ANSWER: Duration = Duration::from_secs(4);
/// Largest head of a request; hyper's minimum is 8 KiB.
const MAX_HEAD: usize = 16 << 10;

/// Probes and metrics.
#[derive(Clone)]
pub struct Probe {
    /// Metrics.
    pub metrics: Metrics,
    /// Duty of this process.
    pub duty: Duty,
}

/// Whether this process decides or forwards calls.
#[derive(Clone)]
pub enum Duty {
    /// The fleet, and whether its store works.
    Decides(Handle, Health),
    /// Forwards calls to the deciding process.
    StandsBy(Forwarder),
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

/// Serves a router until stopped: one request for each connection, all of it within [`PATIENCE`].
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let calls = TaskTracker::new();
    loop {
        // Connections above the limit wait in the kernel's queue.
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listen::next(&listener).await)
        };
        let (place, (tcp, _)) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let call = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(MAX_HEAD)
            .keep_alive(false)
            .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router.clone()));
        calls.spawn(async move {
            match tokio::time::timeout(PATIENCE, call).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a plain HTTP connection failed"),
                Err(_) => tracing::debug!("a plain HTTP connection timed out and was closed"),
            }
            drop(place);
        });
    }
    calls.close();
    calls.wait().await;
}

/// Ready means that requests are answered and decisions are stored. A standby forwards requests, so it is ready when
/// the deciding replica can be reached.
async fn ready(State(probe): State<Arc<Probe>>) -> impl IntoResponse {
    match &probe.duty {
        Duty::Decides(handle, health) => {
            match tokio::time::timeout(ANSWER, handle.query(|_| ())).await {
                Ok(Ok(())) if health.is_failing() => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the store fails: no new decisions are made; the log says why\n",
                ),
                Ok(Ok(())) => (StatusCode::OK, "ok\n"),
                _ => (StatusCode::SERVICE_UNAVAILABLE, "the hub does not answer\n"),
            }
        }
        Duty::StandsBy(pass_on) => {
            if tokio::time::timeout(ANSWER, pass_on.answers()).await == Ok(true) {
                (StatusCode::OK, "standing by\n")
            } else {
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "standing by, but the hub process that decides cannot be reached\n",
                )
            }
        }
    }
}

async fn metrics(State(probe): State<Arc<Probe>>) -> impl IntoResponse {
    if let Duty::Decides(handle, _) = &probe.duty {
        let metrics = probe.metrics.clone();
        // Fails only when the hub is stopping.
        let _ = handle
            .query(move |fleet| metrics.look_at(fleet, Timestamp::now()))
            .await;
    }
    ([(header::CONTENT_TYPE, OPEN_METRICS)], probe.metrics.text())
}
