//! Retries of failed calls, with increasing delays.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_forge::Error;
use flotilla_shared::backoff::Backoff;
use tokio::time::Instant;

/// First delay of retries of a failing call; it increases up to [`RARELY`].
const RETRY: Duration = Duration::from_secs(10);
/// See [`RETRY`].
const RARELY: Duration = Duration::from_secs(900);

/// Failing keys, and when each is retried.
pub(super) struct Waits<K>(BTreeMap<K, (Instant, Backoff)>);

impl<K> Default for Waits<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Waits<K> {
    /// Returns whether it is too soon to retry.
    pub(super) fn holds(&self, key: &K, now: Instant) -> bool {
        self.0.get(key).is_some_and(|(at, _)| *at > now)
    }

    /// Removes an entry that succeeded or is no longer needed.
    pub(super) fn ended(&mut self, key: &K) {
        self.0.remove(key);
    }

    /// Keeps only these entries.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| keep(key));
    }

    /// Notes a failure; returns whether it is the first one in a row, which is logged.
    pub(super) fn failed(&mut self, key: &K, error: &Error, now: Instant) -> bool {
        let before = self.0.remove(key);
        let is_first = before.is_none();
        let mut backoff =
            before.map_or_else(|| Backoff::new(RETRY, RARELY), |(_, backoff)| backoff);
        let mut delay = backoff.next_delay(&mut rand::rng());
        if let Error::RateLimited { wait } = error {
            delay = delay.max(wait.unsigned_abs());
        }
        self.0.insert(key.clone(), (now + delay, backoff));
        is_first
    }
}
