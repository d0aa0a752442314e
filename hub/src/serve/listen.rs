//! The listener: TCP, TLS with a time-out, and an accept loop that survives running out of files.
//!
//! The limits here are in `connection_limits.rs` and `connection.rs` (catalogue H1 to H6), and the kernel's buffer for
//! a connection before it is read.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::identity::PeerCertificate;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::caller::Caller;
use super::certificates::Certificates;
use super::connection::{Connection, Ingress};
use super::connection_limits::{ConnectionLimits, Limits};
use super::peer::Peer;
use super::rate::source;

/// Bytes that the kernel may buffer for one connection before they are read. The default is megabytes, which no limit
/// counts, for a sender that is faster than the reader.
const UNREAD: usize = 64 << 10;

/// Accepts connections until the receiver is dropped.
#[must_use]
pub fn accept(
    listener: Arc<TcpListener>,
    certificates: Arc<Certificates>,
    limits: Limits,
) -> mpsc::Receiver<Box<Connection>> {
    let (sender, receiver) = mpsc::channel(64);
    let bounds = ConnectionLimits::new(limits);
    let ingress = Ingress::new();
    // Accepted connections inherit the option.
    if let Err(error) = SockRef::from(&*listener).set_recv_buffer_size(UNREAD) {
        tracing::warn!(%error, "cannot limit the receive buffer of connections");
    }
    tokio::spawn(async move {
        loop {
            let places = async {
                let connection = Arc::clone(&bounds.connections).acquire_owned().await;
                let handshake = Arc::clone(&bounds.handshakes).acquire_owned().await;
                (connection, handshake)
            };
            let (Ok(connection), Ok(handshake)) = places.await else {
                return;
            };
            let (tcp, address) = tokio::select! {
                accepted = next(&listener) => accepted,
                () = sender.closed() => return,
            };
            let Some(share) = bounds.handshake(source(address.ip())) else {
                tracing::debug!(%address, "too many handshakes from one source");
                continue;
            };
            let (bounds, ingress, sender) = (bounds.clone(), ingress.clone(), sender.clone());
            let acceptor = TlsAcceptor::from(certificates.server());
            tokio::spawn(async move {
                let source = source(address.ip());
                let wait = bounds.penalties.wait(source, Instant::now());
                if !wait.is_zero() {
                    tracing::debug!(%address, ?wait, "delaying a handshake: its source broke rules");
                    tokio::time::sleep(wait).await;
                }
                let shaken = establish(acceptor, tcp, address.ip());
                let shaken = tokio::time::timeout(bounds.limits.handshake, shaken).await;
                drop((handshake, share));
                let (stream, peer) = match shaken {
                    Ok(Ok(shaken)) => shaken,
                    Ok(Err(error)) => {
                        if let Some(what) = flotilla_shared::dial::clock(&error) {
                            tracing::warn!(%address, "a client's certificate is {what} by this hub's clock");
                        }
                        tracing::debug!(%error, %address, "TLS handshake failed");
                        return;
                    }
                    Err(_) => {
                        tracing::debug!(%address, "TLS handshake timed out");
                        return;
                    }
                };
                let caller = Caller::of(&peer);
                let Some(places) = bounds.admit(connection, caller.as_ref()) else {
                    tracing::warn!(%address, "too many connections from one caller");
                    return;
                };
                let ingress = caller.map(|caller| (ingress, caller));
                let connection = Box::new(Connection::new(
                    stream,
                    peer,
                    ingress,
                    bounds.penalties.clone(),
                    places,
                ));
                let _ = sender.send(connection).await;
            });
        }
    });
    receiver
}

/// Returns the next connection; errors before it are skipped.
pub(super) async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Most likely out of file descriptors: other connections will be closed in time.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
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
        // A certificate of the hub's own authority without one of its identities is an error, not an anonymous caller.
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
