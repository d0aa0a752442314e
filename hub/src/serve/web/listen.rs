//! The listener of pages: TLS by files that are read again when they change, HTTP/1 and HTTP/2, with the limits of the
//! other listeners: connections, handshakes, rate for each source, and how long answers may stay unread.

use std::net::IpAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use flotilla_shared::tls::{self, TlsIdentity};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::login::SourceAddress;
use super::{PagesSetup, ServingError};
use crate::serve::caller::Caller;
use crate::serve::connection::{Connection, Ingress};
use crate::serve::connection_limits::{ConnectionLimits, Limits};
use crate::serve::listen::next;
use crate::serve::peer::Peer;
use crate::serve::rate::source;

/// Highest number of connections.
const CONNECTIONS: usize = 2048;
/// Highest number of connections of one source, where it is not a proxy.
const OF_SOURCE: usize = 64;
/// Time limit from one request's end to the head of the next.
const HEAD: Duration = Duration::from_secs(60);
/// Largest head of a request, bytes.
const MAX_HEAD: usize = 16 << 10;
/// Highest number of parallel calls on one connection.
const MAX_STREAMS: u32 = 64;
/// Time after which a client is disconnected that reads nothing of its answers.
const UNREAD: Duration = Duration::from_secs(30);
/// Interval at which certificate files are read.
const LOOK: Duration = Duration::from_secs(1);
/// How long connections may take to end when the hub stops.
const GRACE: Duration = Duration::from_secs(1);

/// Where TLS ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    Nothing,
    /// A proxy: all connections come from there.
    Proxy,
}

/// Reads certificate and key.
fn read(chain: &Path, key: &Path) -> Result<TlsIdentity, ServingError> {
    let text = |path: &Path| {
        std::fs::read_to_string(path).map_err(|cause| ServingError::File {
            path: path.to_owned(),
            cause,
        })
    };
    Ok(TlsIdentity {
        chain_pem: text(chain)?,
        key_pem: text(key)?,
    })
}

fn config(identity: &TlsIdentity) -> Result<Arc<ServerConfig>, ServingError> {
    tls::browser_config(identity)
        .map(Arc::new)
        .map_err(ServingError::Certificate)
}

/// Serves until stopped.
pub(super) async fn serve(
    serving: PagesSetup,
    router: Router,
    stop: CancellationToken,
) -> Result<(), ServingError> {
    let PagesSetup {
        listener,
        config: own,
        ..
    } = serving;
    let acceptor = match &own.certificate {
        None => None,
        Some((chain, key)) => {
            let identity = read(chain, key)?;
            Some(Arc::new(ArcSwap::new(config(&identity)?)))
        }
    };
    let follow = match (&acceptor, &own.certificate) {
        (Some(in_force), Some((chain, key))) => {
            let (chain, key) = (chain.clone(), key.clone());
            let in_force = Arc::clone(in_force);
            Some(tokio::spawn(async move {
                follow(&chain, &key, &in_force).await;
            }))
        }
        _ => None,
    };
    let front = match own.behind_proxy {
        true => Front::Proxy,
        false => Front::Nothing,
    };
    accept(&listener, acceptor, front, router, stop).await;
    if let Some(follow) = follow {
        follow.abort();
    }
    Ok(())
}

/// Puts a changed certificate in force; an invalid one leaves the last one in force.
async fn follow(chain: &Path, key: &Path, in_force: &ArcSwap<ServerConfig>) {
    let mut before = read(chain, key).ok();
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(found) = read(chain, key) else {
            continue;
        };
        let is_same = before.as_ref().is_some_and(|before| {
            before.chain_pem == found.chain_pem && before.key_pem == found.key_pem
        });
        if is_same {
            continue;
        }
        match config(&found) {
            Ok(config) => {
                tracing::info!("the pages' certificate changed");
                in_force.store(config);
            }
            Err(error) => {
                let error = error.to_string();
                tracing::warn!(error, "the last certificate stays in force");
            }
        }
        before = Some(found);
    }
}

async fn accept(
    listener: &TcpListener,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    front: Front,
    router: Router,
    stop: CancellationToken,
) {
    let bounds = ConnectionLimits::new(Limits {
        connections: CONNECTIONS,
        strangers: CONNECTIONS,
        strangers_of_source: match front {
            Front::Nothing => OF_SOURCE,
            Front::Proxy => CONNECTIONS,
        },
        ..Limits::default()
    });
    let ingress = Ingress::new();
    let tracker = TaskTracker::new();
    loop {
        // Connections above the limit wait in the kernel's queue.
        let places = async {
            let connection = Arc::clone(&bounds.connections).acquire_owned().await;
            let handshake = Arc::clone(&bounds.handshakes).acquire_owned().await;
            (connection, handshake, next(listener).await)
        };
        let (connection, handshake, (tcp, address)) = tokio::select! {
            () = stop.cancelled() => break,
            places = places => places,
        };
        let (Ok(connection), Ok(handshake)) = (connection, handshake) else {
            break;
        };
        let from = address.ip();
        let share = bounds.handshake(source(from));
        let (bounds, ingress, router) = (bounds.clone(), ingress.clone(), router.clone());
        let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(tls.load_full()));
        let stop = stop.clone();
        tracker.spawn(async move {
            let Some(share) = share else { return };
            if front == Front::Nothing {
                tokio::time::sleep(bounds.penalties.wait(source(from), Instant::now())).await;
            }
            let shaken = tokio::time::timeout(bounds.limits.handshake, establish(acceptor, tcp));
            let Ok(Ok(stream)) = shaken.await else {
                tracing::debug!(%address, "a browser's handshake failed");
                return;
            };
            drop((handshake, share));
            let caller = Caller::Stranger(source(from));
            let Some(places) = bounds.admit(connection, Some(&caller)) else {
                tracing::warn!(%address, "too many connections of one source to the pages");
                return;
            };
            let peer = Peer {
                address: from,
                certificate: None,
            };
            let ingress = (front == Front::Nothing).then_some((ingress, caller));
            let penalties = bounds.penalties.clone();
            let stream = Connection::new(stream, peer, ingress, penalties.clone(), places);
            if let Err(error) = converse(Patient::new(stream, UNREAD), router, from, stop).await {
                tracing::debug!(%error, %address, "a browser's connection failed");
                if let Some(error) = error.downcast_ref::<hyper::Error>() {
                    penalties.note(source(from), error, Instant::now());
                }
            }
        });
    }
    tracker.close();
    let _ = tokio::time::timeout(GRACE, tracker.wait()).await;
}

/// A connection's transport: TLS, or the plain one from a proxy.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn establish(
    acceptor: Option<TlsAcceptor>,
    tcp: TcpStream,
) -> std::io::Result<Box<dyn Stream>> {
    tcp.set_nodelay(true)?;
    Ok(match acceptor {
        Some(acceptor) => Box::new(acceptor.accept(tcp).await?),
        None => Box::new(tcp),
    })
}

/// Serves one connection until its end.
async fn converse(
    stream: impl Stream + 'static,
    router: Router,
    from: IpAddr,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(SourceAddress(from));
        router.clone().call(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD)
        .keep_alive_timeout(UNREAD)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(16 << 10)
        .max_send_buf_size(64 << 10);
    let mut conversation = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = conversation.as_mut() => return ended,
        () = stop.cancelled() => {}
    }
    conversation.as_mut().graceful_shutdown();
    // A followed page never ends by itself.
    let _ = tokio::time::timeout(GRACE, conversation).await;
    Ok(())
}

/// Disconnects a client that reads nothing: an unread stream occupies a slot and memory.
struct Patient<S> {
    stream: S,
    patience: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            stuck: None,
        }
    }

    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<std::io::Result<T>>,
    ) -> Poll<std::io::Result<T>> {
        if done.is_ready() {
            self.stuck = None;
            return done;
        }
        let patience = self.patience;
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stuck.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(std::io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.stream).poll_write(cx, buffer);
        this.judge(cx, done)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.stream).poll_flush(cx);
        this.judge(cx, done)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::Patient;

    #[tokio::test]
    async fn who_reads_nothing_is_cut_off_and_who_reads_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut patient = Patient::new(ours, Duration::from_secs(1));
        let reader = tokio::spawn(async move {
            let mut some = [0; 128];
            theirs.read_exact(&mut some).await.unwrap();
            theirs
        });
        patient.write_all(&[1; 128]).await.unwrap();
        let theirs = reader.await.unwrap();
        let error = patient.write_all(&[1; 256]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
