//! A connection after its handshake, and how fast its caller is read.
//!
//! Bytes are counted by caller, over all its connections and also after it came back, which bounds the
//! work that any flood of frames can make; and no connection is read for long at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use super::caller::Caller;
use super::connection_limits::Places;
use super::peer::Peer;
use super::penalties::Penalties;
use super::rate::{Buckets, Rate};

/// How fast one caller is read. An agent sends some hundred bytes each ten seconds, and a report of
/// at most 4 MiB now and then, which may take its seconds.
const INGRESS: Rate = Rate {
    per_second: 512.0 * 1024.0,
    // What a flood makes the hub do before it is slowed down: some milliseconds for everybody else.
    burst: 64.0 * 1024.0,
};

/// Callers whose reading is remembered.
const CALLERS: usize = 65_536;

/// What is read of one connection before others have their turn: small frames are the most work for a
/// byte, and nothing else runs on a worker meanwhile.
const READ_QUANTUM: usize = 8 << 10;

/// What each caller may still send.
#[derive(Debug, Clone)]
pub(super) struct Ingress(Arc<Buckets<Caller>>);

impl Ingress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Buckets::new(INGRESS, CALLERS)))
    }
}

/// A connection after its handshake. Handed on in a box: it is moved about, and each place that it passes
/// through would keep room for all of it as long as it lives.
pub struct Connection<S = TlsStream<TcpStream>> {
    stream: S,
    peer: Arc<Peer>,
    ingress: Option<(Ingress, Caller)>,
    penalties: Penalties,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Read since others last had their turn.
    in_quantum: usize,
    _places: Places,
}

impl<S> Connection<S> {
    pub(super) fn new(
        stream: S,
        peer: Peer,
        ingress: Option<(Ingress, Caller)>,
        penalties: Penalties,
        places: Places,
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

    /// Where it is noted that the other end broke a rule.
    pub(super) fn penalties(&self) -> Penalties {
        self.penalties.clone()
    }

    /// Who is at the other end.
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
