//! Limits of connections: of handshakes at once, with a fair share for each source; and of connections in total,
//! without a certificate, and for each identity.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::identity::Identity;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::Caller;
use super::penalties::Penalties;

/// Limits of the listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Highest number of connections; more wait in the kernel's queue.
    pub connections: usize,
    /// Connections without a client certificate: enrolments and logins.
    pub strangers: usize,
    /// Those of them from one source.
    pub strangers_of_source: usize,
    /// Connections with one certificate's identity. An agent has one, and a second one while it renews.
    pub of_identity: usize,
    /// Highest number of handshakes at once.
    pub handshakes: usize,
    /// Number of handshakes above which one source gets at most its share.
    pub handshakes_unshared: usize,
    pub handshakes_of_source: usize,
    /// Time limit of a handshake.
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

/// Places that are released with the connection.
pub(super) struct ConnectionSlots {
    _connection: OwnedSemaphorePermit,
    _stranger: Option<(OwnedSemaphorePermit, Share<IpAddr>)>,
    _identity: Option<Share<Identity>>,
}

/// Counts by key.
#[derive(Debug)]
pub(super) struct Counts<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One counted place, released when dropped.
#[derive(Debug)]
pub(super) struct Share<K: Eq + Hash> {
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
pub(super) struct ConnectionLimits {
    pub(super) limits: Limits,
    pub(super) connections: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    pub(super) handshakes: Arc<Semaphore>,
    sources: Counts<IpAddr>,
    stranger_sources: Counts<IpAddr>,
    identities: Counts<Identity>,
    pub(super) penalties: Penalties,
}

impl ConnectionLimits {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            connections: Arc::new(Semaphore::new(limits.connections)),
            strangers: Arc::new(Semaphore::new(limits.strangers)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            sources: Counts::new(),
            stranger_sources: Counts::new(),
            identities: Counts::new(),
            penalties: Penalties::new(),
        }
    }

    /// Admits a handshake of a source: under load, each source has its share, so that a source that opens connections
    /// and sends nothing leaves room for the others.
    pub(super) fn handshake(&self, from: IpAddr) -> Option<Share<IpAddr>> {
        let busy = self.limits.handshakes - self.handshakes.available_permits();
        let most = if busy > self.limits.handshakes_unshared {
            self.limits.handshakes_of_source
        } else {
            usize::MAX
        };
        self.sources.take(from, most)
    }

    /// Admits a caller after its handshake (none: another process of the hub); none: there are too many.
    pub(super) fn admit(
        &self,
        connection: OwnedSemaphorePermit,
        caller: Option<&Caller>,
    ) -> Option<ConnectionSlots> {
        let mut places = ConnectionSlots {
            _connection: connection,
            _stranger: None,
            _identity: None,
        };
        match caller {
            None => {}
            Some(Caller::Known(identity)) => {
                let most = self.limits.of_identity;
                places._identity = Some(self.identities.take(identity.clone(), most)?);
            }
            Some(Caller::Stranger(source)) => {
                let permit = Arc::clone(&self.strangers).try_acquire_owned().ok()?;
                let most = self.limits.strangers_of_source;
                let share = self.stranger_sources.take(*source, most)?;
                places._stranger = Some((permit, share));
            }
        }
        Some(places)
    }
}

#[cfg(test)]
mod tests;
