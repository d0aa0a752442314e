//! Who is calling: the client certificate alone says so.

use std::net::IpAddr;
use std::sync::Arc;

use flotilla_shared::id::{ClusterName, OperatorName};
use flotilla_shared::identity::{Identity, PeerCertificate, serial_counter};
use tonic::{Request, Status};

/// What the listener knows of a connection; every request on it carries this.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it comes from.
    pub address: IpAddr,
    /// None: no client certificate.
    pub certificate: Option<PeerCertificate>,
}

/// On a request that the hub makes of itself, in this process, to look at its own fleet. No header makes it.
#[derive(Debug, Clone, Copy)]
pub struct Itself;

/// On whose behalf another hub process calls.
pub const BEHALF: &str = "x-flotilla-on-behalf-of";
/// The serial number of that caller's certificate.
pub const BEHALF_SERIAL: &str = "x-flotilla-on-behalf-of-serial";
/// SHA-256 of the public key of that caller's certificate.
pub const BEHALF_KEY: &str = "x-flotilla-on-behalf-of-key";
/// Where that caller calls from.
pub const BEHALF_ADDRESS: &str = "x-flotilla-on-behalf-of-address";
/// In that header: a caller without a certificate.
pub const NOBODY: &str = "nobody";

/// Who calls. Another process of the hub calls for somebody else, and is believed, since only our own
/// authority's hub certificate can say so; from anyone else the header is not even looked at (E8).
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
                Err(Status::permission_denied("no hub speaks on behalf of that"))
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

/// Whether the hub asks itself, or one of its other processes does: on nobody's behalf.
pub fn is_itself<T>(request: &Request<T>) -> bool {
    request.extensions().get::<Itself>().is_some()
        || (is_hub(request) && request.metadata().get(BEHALF).is_none())
}

/// How many certificates the caller has had; 0: not known.
pub fn counter<T>(request: &Request<T>) -> u64 {
    if is_hub(request) {
        return header(request, BEHALF_SERIAL).map_or(0, serial_counter);
    }
    let peer = request.extensions().get::<Arc<Peer>>();
    peer.and_then(|peer| peer.certificate.as_ref())
        .map_or(0, PeerCertificate::counter)
}

/// The serial number of the caller's certificate, hexadecimal; empty: it has none.
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

/// SHA-256 of the public key of the caller's certificate; empty: it has none, or an older process of the hub
/// calls for it.
pub fn key<T>(request: &Request<T>) -> String {
    if is_hub(request) {
        return header(request, BEHALF_KEY).unwrap_or_default().to_owned();
    }
    let peer = request.extensions().get::<Arc<Peer>>();
    peer.and_then(|peer| peer.certificate.as_ref())
        .map(|certificate| certificate.key.clone())
        .unwrap_or_default()
}

/// Where the caller calls from; none: not known.
pub fn address<T>(request: &Request<T>) -> Option<IpAddr> {
    if is_hub(request) {
        return header(request, BEHALF_ADDRESS)?.parse().ok();
    }
    request
        .extensions()
        .get::<Arc<Peer>>()
        .map(|peer| peer.address)
}

/// An issuer's token, from a caller without a certificate. Who has one is who the certificate says,
/// whatever else is sent along.
///
/// # Errors
/// When a hub speaks on behalf of somebody that no hub speaks for.
pub fn token<T>(request: &Request<T>) -> Result<Option<&str>, Status> {
    if identity(request)?.is_some() {
        return Ok(None);
    }
    Ok(header(request, "authorization").and_then(|value| value.strip_prefix("Bearer ")))
}

/// The calling agent's cluster.
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

/// The calling operator.
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
