//! Who is at the other end of a connection, as far as limits go.

use std::net::IpAddr;

use flotilla_shared::identity::Identity;

use super::peer::Peer;
use super::rate::source;

/// Who is read: what it did on one connection counts on the next, so that nobody gets a new allowance
/// by breaking a rule and dialling again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// With a certificate.
    Known(Identity),
    /// Somebody without a certificate, by address.
    Stranger(IpAddr),
}

impl Caller {
    /// None: another process of the hub, which passes on what many agents say.
    pub(super) fn of(peer: &Peer) -> Option<Self> {
        match &peer.certificate {
            Some(certificate) if certificate.identity == Identity::Hub => None,
            Some(certificate) => Some(Self::Known(certificate.identity.clone())),
            None => Some(Self::Stranger(source(peer.address))),
        }
    }
}
