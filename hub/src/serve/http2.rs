//! HTTP/2 over what the listener lets in, with its bounds (RFC 9113).
//!
//! This uses hyper itself: tonic's own server needs some KiB more for each connection, to support HTTP/1 as well and to
//! pass requests through layers that are not needed here, and there are ten thousand connections. Of those layers, the
//! limit of parallel calls is here one of streams, and a call's deadline is its caller's.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tower::Service as _;

use super::connection::Connection;
use super::rate::source;

/// Highest number of streams of one connection. An agent has one; a replica that forwards calls has one for each of its
/// agents, on connections of its own.
const MAX_STREAMS: u32 = 64;
/// Bytes in flight to the hub on one stream, which bounds the memory of a slow hub.
const WINDOW: u32 = 64 << 10;
/// Time without an answer to a ping after which a connection is closed; pings are sent as often.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Age at which a connection is closed gracefully, so that none lives as long as the process.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// Time after that at which it is closed in any case.
const GRACE: Duration = Duration::from_secs(60);

/// Answers requests on all connections until stopped, or until no more come; ends when all have ended.
pub async fn serve(
    routes: Routes,
    mut incoming: mpsc::Receiver<Box<Connection>>,
    stop: CancellationToken,
) {
    let routes = routes.prepare();
    let connections = TaskTracker::new();
    while let Some(connection) = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        connection = incoming.recv() => connection,
    } {
        connections.spawn(converse(connection, routes.clone(), stop.clone()));
    }
    // No further connections are accepted.
    drop(incoming);
    connections.close();
    connections.wait().await;
}

/// Serves one connection until its end.
async fn converse(connection: Box<Connection>, routes: Routes, stop: CancellationToken) {
    let peer = connection.peer();
    let (penalties, source) = (connection.penalties(), source(peer.address));
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&peer));
        routes.clone().call(request)
    });
    let mut conversation = pin!(builder().serve_connection(TokioIo::new(connection), service));
    // Boxed, because a timer is large.
    let mut age = Box::pin(tokio::time::sleep(MAX_AGE));
    let ended = tokio::select! {
        ended = conversation.as_mut() => Some(ended),
        () = stop.cancelled() => None,
        () = age.as_mut() => None,
    };
    let ended = match ended {
        Some(ended) => Some(ended),
        None => {
            conversation.as_mut().graceful_shutdown();
            age.as_mut().reset(Instant::now() + GRACE);
            tokio::select! {
                ended = conversation => Some(ended),
                () = age => None,
            }
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::debug!(%error, "a connection failed");
            penalties.note(source, &error, Instant::now());
        }
        None => tracing::debug!("a connection did not end in time and was closed"),
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_header_list_size(16 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW);
    builder
}
