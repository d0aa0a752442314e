//! The caller at the other end of a connection, for limits.

use std::net::IpAddr;

use flotilla_shared::identity::Identity;

use super::peer::Peer;
use super::rate::source;

/// Key of a caller whose input is limited. Usage on one connection counts on the next, so that reconnecting after a
/// violation gives no new allowance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// A caller with a certificate.
    Known(Identity),
    /// A caller without a certificate, by address.
    Stranger(IpAddr),
}

impl Caller {
    /// Returns the key; none: another process of the hub, which forwards messages of many agents.
    pub(super) fn of(peer: &Peer) -> Option<Self> {
        match &peer.certificate {
            Some(certificate) if certificate.identity == Identity::Hub => None,
            Some(certificate) => Some(Self::Known(certificate.identity.clone())),
            None => Some(Self::Stranger(source(peer.address))),
        }
    }
}
