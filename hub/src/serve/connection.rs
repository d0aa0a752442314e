//! A connection after its handshake, with the rate limit of its caller.
//!
//! Bytes are counted by caller, over all its connections and across reconnects, which bounds the work that any flood of
//! frames can cause; and no connection is read for long at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use super::caller::Caller;
use super::connection_limits::ConnectionSlots;
use super::peer::Peer;
use super::penalties::Penalties;
use super::rate::{Buckets, Rate};

/// Rate at which one caller is read. An agent sends some hundred bytes each ten seconds, and now and then a report of
/// at most 4 MiB, which may take some seconds.
const INGRESS: Rate = Rate {
    per_second: 512.0 * 1024.0,
    // The burst bounds the work that a flood causes before it is slowed down: some milliseconds for all other callers.
    burst: 64.0 * 1024.0,
};

/// Highest number of callers whose usage is remembered.
const CALLERS: usize = 65_536;

/// Number of bytes that are read from one connection before it yields: small frames cost the most work per byte, and
/// nothing else runs on the worker meanwhile.
const READ_QUANTUM: usize = 8 << 10;

/// The remaining allowance of each caller.
#[derive(Debug, Clone)]
pub(super) struct Ingress(Arc<Buckets<Caller>>);

impl Ingress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Buckets::new(INGRESS, CALLERS)))
    }
}

/// A connection after its handshake. It is boxed, because it is moved often, and each future that it passes through
/// would otherwise keep room for all of it.
pub struct Connection<S = TlsStream<TcpStream>> {
    stream: S,
    peer: Arc<Peer>,
    ingress: Option<(Ingress, Caller)>,
    penalties: Penalties,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Bytes that were read since the connection last yielded.
    in_quantum: usize,
    _places: ConnectionSlots,
}

impl<S> Connection<S> {
    pub(super) fn new(
        stream: S,
        peer: Peer,
        ingress: Option<(Ingress, Caller)>,
        penalties: Penalties,
        places: ConnectionSlots,
    ) -> Self {
        Self {
            stream,
            peer: Arc::new(peer),
            ingress,
            penalties,
            waiting: None,
            in_quantum: 0,
            _places: places,
        }
    }

    /// Returns the record of callers that broke a rule.
    pub(super) fn penalties(&self) -> Penalties {
        self.penalties.clone()
    }

    /// Returns the peer of the connection.
    pub(super) fn peer(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if let Some(sleep) = &mut this.waiting {
            ready!(sleep.as_mut().poll(cx));
            this.waiting = None;
        }
        if std::mem::take(&mut this.in_quantum) >= READ_QUANTUM {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        this.in_quantum += read;
        if let Some((Ingress(buckets), caller)) = &this.ingress {
            let read = u32::try_from(read).unwrap_or(u32::MAX);
            let wait = buckets.take(caller, f64::from(read), Instant::now());
            if !wait.is_zero() {
                this.waiting = Some(Box::pin(tokio::time::sleep(wait)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
