//! The listener: TCP, TLS with a time-out, and an accept loop that survives running out of files.
//!
//! What is bounded here (catalogue H1 to H6): handshakes at once, and a fair share of them for each
//! source; connections in all, without a certificate and of each identity; and how fast bytes of one
//! caller are read, over all its connections and also after it came back, which bounds the work that
//! any flood of frames can make.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use flotilla_shared::identity::{Identity, PeerCertificate};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::peer::Peer;
use super::rate::{Buckets, Rate, source};
use super::trust::Trust;

/// How much the listener takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections in all; more wait in the kernel's queue.
    pub connections: usize,
    /// Connections without a client certificate: enrolment, and people who log in.
    pub strangers: usize,
    /// Of those, from one source.
    pub strangers_of_source: usize,
    /// Connections with one certificate's identity. An agent has one, and one more while it renews.
    pub of_identity: usize,
    /// Handshakes at once.
    pub handshakes: usize,
    /// From here on, one source has at most its share of them.
    pub handshakes_unshared: usize,
    /// That share.
    pub handshakes_of_source: usize,
    /// Longest handshake.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 24_000,
            strangers: 1024,
            strangers_of_source: 128,
            of_identity: 32,
            handshakes: 512,
            handshakes_unshared: 256,
            handshakes_of_source: 32,
            handshake: Duration::from_secs(10),
        }
    }
}

/// How fast one caller is read. An agent sends some hundred bytes each ten seconds, and a report of
/// at most 4 MiB now and then, which may take its seconds.
const INGRESS: Rate = Rate {
    per_second: 512.0 * 1024.0,
    // What a flood makes the hub do before it is slowed down: some milliseconds for everybody else.
    burst: 256.0 * 1024.0,
};

/// Callers whose reading is remembered.
const CALLERS: usize = 65_536;

/// Who is read: what it did on one connection counts on the next, so that nobody gets a new allowance
/// by breaking a rule and dialling again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Caller {
    Known(Identity),
    Stranger(IpAddr),
}

impl Caller {
    /// None: another process of the hub.
    fn of(peer: &Peer) -> Option<Self> {
        match &peer.certificate {
            Some(certificate) if certificate.identity == Identity::Hub => None,
            Some(certificate) => Some(Self::Known(certificate.identity.clone())),
            None => Some(Self::Stranger(source(peer.address))),
        }
    }
}

/// A connection after its handshake.
pub struct Connection {
    /// Boxed: the server moves a connection about, and each place that it passes through would keep
    /// room for all of it as long as the connection lives.
    stream: Box<TlsStream<TcpStream>>,
    peer: Peer,
    /// None: another process of the hub, which passes on what many agents say.
    ingress: Option<(Arc<Buckets<Caller>>, Caller)>,
    waiting: Option<Pin<Box<Sleep>>>,
    _places: Places,
}

/// Places that are given back with the connection.
struct Places {
    _connection: OwnedSemaphorePermit,
    _stranger: Option<(OwnedSemaphorePermit, Share<IpAddr>)>,
    _identity: Option<Share<Identity>>,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
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
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *this.stream).poll_read(cx, buffer))?;
        if let Some((buckets, caller)) = &this.ingress {
            let read = u32::try_from(buffer.filled().len() - before).unwrap_or(u32::MAX);
            let wait = buckets.take(caller, f64::from(read), Instant::now());
            if !wait.is_zero() {
                this.waiting = Some(Box::pin(tokio::time::sleep(wait)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut *self.get_mut().stream).poll_write(cx, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(cx)
    }
}

/// How many of something each key has.
#[derive(Debug)]
struct Counts<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One of them, given back when dropped.
#[derive(Debug)]
struct Share<K: Eq + Hash> {
    counts: Counts<K>,
    key: K,
}

impl<K> Clone for Counts<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Clone> Counts<K> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(HashMap::new())))
    }

    fn take(&self, key: K, most: usize) -> Option<Share<K>> {
        let mut counts = self.0.lock();
        let count = counts.entry(key.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Share {
            counts: self.clone(),
            key,
        })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// The places of a listener.
#[derive(Clone)]
struct Doors {
    limits: Limits,
    connections: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    sources: Counts<IpAddr>,
    stranger_sources: Counts<IpAddr>,
    identities: Counts<Identity>,
    ingress: Arc<Buckets<Caller>>,
}

impl Doors {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            connections: Arc::new(Semaphore::new(limits.connections)),
            strangers: Arc::new(Semaphore::new(limits.strangers)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            sources: Counts::new(),
            stranger_sources: Counts::new(),
            identities: Counts::new(),
            ingress: Arc::new(Buckets::new(INGRESS, CALLERS)),
        }
    }

    /// Whether a source may begin a handshake now: under pressure, each has its share, so that who
    /// opens connections and says nothing leaves room for the others.
    fn handshake(&self, from: IpAddr) -> Option<Share<IpAddr>> {
        let busy = self.limits.handshakes - self.handshakes.available_permits();
        let most = if busy > self.limits.handshakes_unshared {
            self.limits.handshakes_of_source
        } else {
            usize::MAX
        };
        self.sources.take(from, most)
    }

    /// A place for who is known now; none: there are enough of them.
    fn admit(&self, connection: OwnedSemaphorePermit, peer: &Peer) -> Option<Places> {
        let mut places = Places {
            _connection: connection,
            _stranger: None,
            _identity: None,
        };
        match &peer.certificate {
            Some(certificate) if certificate.identity == Identity::Hub => {}
            Some(certificate) => {
                let most = self.limits.of_identity;
                let share = self.identities.take(certificate.identity.clone(), most)?;
                places._identity = Some(share);
            }
            None => {
                let permit = Arc::clone(&self.strangers).try_acquire_owned().ok()?;
                let most = self.limits.strangers_of_source;
                let share = self.stranger_sources.take(source(peer.address), most)?;
                places._stranger = Some((permit, share));
            }
        }
        Some(places)
    }
}

/// Accepts connections until the receiver is dropped.
#[must_use]
pub fn accept(
    listener: Arc<TcpListener>,
    trust: Arc<Trust>,
    limits: Limits,
) -> mpsc::Receiver<std::io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(64);
    let doors = Doors::new(limits);
    tokio::spawn(async move {
        loop {
            let places = async {
                let connection = Arc::clone(&doors.connections).acquire_owned().await;
                let handshake = Arc::clone(&doors.handshakes).acquire_owned().await;
                (connection, handshake)
            };
            let (Ok(connection), Ok(handshake)) = places.await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = sender.closed() => return,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: others will be closed in time.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(share) = doors.handshake(source(address.ip())) else {
                tracing::debug!(%address, "too many handshakes of one source");
                continue;
            };
            let (doors, sender) = (doors.clone(), sender.clone());
            let acceptor = TlsAcceptor::from(trust.server());
            tokio::spawn(async move {
                let shaken = establish(acceptor, tcp, address.ip());
                let shaken = tokio::time::timeout(doors.limits.handshake, shaken).await;
                drop((handshake, share));
                let (stream, peer) = match shaken {
                    Ok(Ok(shaken)) => shaken,
                    Ok(Err(error)) => {
                        if let Some(what) = flotilla_shared::dial::clock(&error) {
                            tracing::warn!(%address, "a client's certificate is {what} by our clock");
                        }
                        tracing::debug!(%error, %address, "TLS handshake failed");
                        return;
                    }
                    Err(_) => {
                        tracing::debug!(%address, "TLS handshake took too long");
                        return;
                    }
                };
                let Some(places) = doors.admit(connection, &peer) else {
                    tracing::warn!(%address, "too many connections of one caller");
                    return;
                };
                let caller = Caller::of(&peer);
                let connection = Connection {
                    stream: Box::new(stream),
                    peer,
                    ingress: caller.map(|caller| (Arc::clone(&doors.ingress), caller)),
                    waiting: None,
                    _places: places,
                };
                let _ = sender.send(Ok(connection)).await;
            });
        }
    });
    receiver
}

async fn establish(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    address: IpAddr,
) -> std::io::Result<(TlsStream<TcpStream>, Peer)> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let (_, session) = stream.get_ref();
    let certificate = match session.peer_certificates().and_then(<[_]>::first) {
        // A certificate of our own authority without an identity of ours is nobody's.
        Some(der) => Some(PeerCertificate::from_der(der).map_err(std::io::Error::other)?),
        None => None,
    };
    Ok((
        stream,
        Peer {
            address,
            certificate,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h06_under_pressure_each_source_has_its_share_and_gives_it_back() {
        let doors = Doors::new(Limits {
            handshakes: 10,
            handshakes_unshared: 4,
            handshakes_of_source: 2,
            ..Limits::default()
        });
        let [loud, quiet]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut held = Vec::new();
        let begin = |from| {
            let permit = Arc::clone(&doors.handshakes).try_acquire_owned().ok()?;
            doors.handshake(from).map(|share| (permit, share))
        };
        for _ in 0..20 {
            held.extend(begin(loud));
        }
        assert_eq!(held.len(), 4, "the loud one is held to what is unshared");
        assert!(begin(quiet).is_some(), "there is room for others");
        held.clear();
        assert!(begin(loud).is_some());
        assert!(doors.sources.0.lock().is_empty(), "nothing is remembered");
    }
}
