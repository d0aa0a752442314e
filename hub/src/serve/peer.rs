//! The caller of a request: the client certificate alone determines it.

use std::net::IpAddr;
use std::sync::Arc;

use flotilla_shared::id::{ClusterName, OperatorName};
use flotilla_shared::identity::{Identity, PeerCertificate, serial_counter};
use tonic::{Request, Status};

/// Peer of a connection, as the listener found it; every request on the connection carries it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The remote address.
    pub address: IpAddr,
    /// The client certificate; none: it has none.
    pub certificate: Option<PeerCertificate>,
}

/// Marks a request of the hub to itself, in this process, to read its own fleet. No header can set it.
#[derive(Debug, Clone, Copy)]
pub struct OwnCall;

/// Header with the caller on whose behalf another hub process calls.
pub const BEHALF: &str = "x-flotilla-on-behalf-of";
/// Header with the serial number of that caller's certificate.
pub const BEHALF_SERIAL: &str = "x-flotilla-on-behalf-of-serial";
/// Header with SHA-256 of the public key of that caller's certificate.
pub const BEHALF_KEY: &str = "x-flotilla-on-behalf-of-key";
/// Header with that caller's address.
pub const BEHALF_ADDRESS: &str = "x-flotilla-on-behalf-of-address";
/// Value of that header for a caller without a certificate.
pub const NOBODY: &str = "nobody";

/// Returns the caller. Another process of the hub calls on behalf of others, and is trusted, since only a hub
/// certificate of the hub's own authority allows that; from any other caller the header is ignored (E8).
fn identity<T>(request: &Request<T>) -> Result<Option<Identity>, Status> {
    let Some(certificate) = request
        .extensions()
        .get::<Arc<Peer>>()
        .and_then(|peer| peer.certificate.as_ref())
    else {
        return Ok(None);
    };
    if certificate.identity != Identity::Hub {
        return Ok(Some(certificate.identity.clone()));
    }
    let behalf = request
        .metadata()
        .get(BEHALF)
        .and_then(|value| value.to_str().ok());
    match behalf {
        None => Ok(Some(Identity::Hub)),
        Some(NOBODY) => Ok(None),
        Some(uri) => match uri.parse() {
            Ok(Identity::Hub) | Err(_) => {
                Err(Status::permission_denied("a hub cannot act on its behalf"))
            }
            Ok(identity) => Ok(Some(identity)),
        },
    }
}

fn is_hub<T>(request: &Request<T>) -> bool {
    let peer = request.extensions().get::<Arc<Peer>>();
    peer.and_then(|peer| peer.certificate.as_ref())
        .is_some_and(|certificate| certificate.identity == Identity::Hub)
}

fn header<'r, T>(request: &'r Request<T>, name: &str) -> Option<&'r str> {
    let value = request.metadata().get(name)?;
    value.to_str().ok()
}

/// Returns whether the caller is the hub itself, or another process of it, without acting for another caller.
pub fn is_itself<T>(request: &Request<T>) -> bool {
    request.extensions().get::<OwnCall>().is_some()
        || (is_hub(request) && request.metadata().get(BEHALF).is_none())
}

/// Returns the number of certificates that the caller has had; 0: not known.
pub fn counter<T>(request: &Request<T>) -> u64 {
    if is_hub(request) {
        return header(request, BEHALF_SERIAL).map_or(0, serial_counter);
    }
    let peer = request.extensions().get::<Arc<Peer>>();
    peer.and_then(|peer| peer.certificate.as_ref())
        .map_or(0, PeerCertificate::counter)
}

/// Returns the serial number of the caller's certificate, hexadecimal; empty: it has none.
pub fn serial<T>(request: &Request<T>) -> String {
    if is_hub(request) {
        return header(request, BEHALF_SERIAL)
            .unwrap_or_default()
            .to_owned();
    }
    let peer = request.extensions().get::<Arc<Peer>>();
    peer.and_then(|peer| peer.certificate.as_ref())
        .map(|certificate| certificate.serial.clone())
        .unwrap_or_default()
}

/// Returns SHA-256 of the public key of the caller's certificate; empty: it has none, or an older process of the hub
/// calls on its behalf.
pub fn key<T>(request: &Request<T>) -> String {
    if is_hub(request) {
        return header(request, BEHALF_KEY).unwrap_or_default().to_owned();
    }
    let peer = request.extensions().get::<Arc<Peer>>();
    peer.and_then(|peer| peer.certificate.as_ref())
        .map(|certificate| certificate.key.clone())
        .unwrap_or_default()
}

/// Returns the caller's address; none: not known.
pub fn address<T>(request: &Request<T>) -> Option<IpAddr> {
    if is_hub(request) {
        return header(request, BEHALF_ADDRESS)?.parse().ok();
    }
    request
        .extensions()
        .get::<Arc<Peer>>()
        .map(|peer| peer.address)
}

/// Returns the issuer's token of a caller without a certificate. With a certificate, the certificate determines the
/// caller, and a token is ignored.
///
/// # Errors
/// When a hub calls on behalf of an identity that hubs do not act for.
pub fn token<T>(request: &Request<T>) -> Result<Option<&str>, Status> {
    if identity(request)?.is_some() {
        return Ok(None);
    }
    Ok(header(request, "authorization").and_then(|value| value.strip_prefix("Bearer ")))
}

/// Returns the calling agent's cluster.
///
/// # Errors
/// When the caller is not an agent.
pub fn cluster<T>(request: &Request<T>) -> Result<ClusterName, Status> {
    match identity(request)? {
        Some(Identity::Cluster(name)) => Ok(name),
        Some(_) => Err(Status::permission_denied("this method is for agents")),
        None => Err(Status::unauthenticated(
            "a client certificate is needed: enrol first",
        )),
    }
}

/// Returns the calling operator.
///
/// # Errors
/// When the caller is not an operator.
pub fn operator<T>(request: &Request<T>) -> Result<OperatorName, Status> {
    match identity(request)? {
        Some(Identity::Operator(name)) => Ok(name),
        Some(_) => Err(Status::permission_denied("this method is for operators")),
        None => Err(Status::unauthenticated(
            "an operator's client certificate is needed",
        )),
    }
}
