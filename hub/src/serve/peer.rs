//! Who is calling: the client certificate alone says so.

use flotilla_shared::id::{ClusterName, OperatorName};
use flotilla_shared::identity::{Identity, PeerCertificate};
use tonic::{Request, Status};

/// What the listener knows of a connection; every request on it carries this.
#[derive(Debug, Clone)]
pub struct Peer {
    /// None: no client certificate.
    pub certificate: Option<PeerCertificate>,
}

fn identity<T>(request: &Request<T>) -> Option<&Identity> {
    let peer = request.extensions().get::<Peer>()?;
    peer.certificate
        .as_ref()
        .map(|certificate| &certificate.identity)
}

/// The calling agent's cluster.
///
/// # Errors
/// When the caller is not an agent.
pub fn cluster<T>(request: &Request<T>) -> Result<ClusterName, Status> {
    match identity(request) {
        Some(Identity::Cluster(name)) => Ok(name.clone()),
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
    match identity(request) {
        Some(Identity::Operator(name)) => Ok(name.clone()),
        Some(_) => Err(Status::permission_denied("this method is for operators")),
        None => Err(Status::unauthenticated(
            "an operator's client certificate is needed",
        )),
    }
}
