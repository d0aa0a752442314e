//! Rate limits of callers: token buckets, in a limited number. Pure but for the lock around them.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use flotilla_shared::identity::Identity;
pub use flotilla_shared::rate::{Bucket, Rate};
use parking_lot::Mutex;
use tokio::time::Instant;

/// A token bucket for each key.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    most: usize,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    /// Makes the buckets; at most `most` keys are remembered.
    #[must_use]
    pub fn new(rate: Rate, most: usize) -> Self {
        Self {
            rate,
            most,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Returns whether the bucket of `key` is empty.
    pub fn is_spent(&self, key: &K, now: Instant) -> bool {
        let buckets = self.buckets.lock();
        buckets.get(key).is_some_and(|bucket| {
            let mut copy = *bucket;
            !copy.try_take(self.rate, now)
        })
    }

    /// Returns how long until `key` is out of debt.
    pub fn owed(&self, key: &K, now: Instant) -> Duration {
        let buckets = self.buckets.lock();
        buckets.get(key).map_or(Duration::ZERO, |bucket| {
            let mut copy = *bucket;
            copy.take(self.rate, 0.0, now)
        })
    }

    /// Takes `amount`, even beyond the content; returns how long to wait until the debt is paid.
    pub fn take(&self, key: &K, amount: f64, now: Instant) -> Duration {
        // A caller that cannot be remembered gets an empty bucket.
        let mut forgotten = Bucket::empty(now);
        self.with(key, now, |bucket| {
            bucket
                .unwrap_or(&mut forgotten)
                .take(self.rate, amount, now)
        })
    }

    /// Takes one from the bucket of `key`; returns whether there was one.
    pub fn allow(&self, key: &K, now: Instant) -> bool {
        self.with(key, now, |bucket| {
            bucket.is_some_and(|bucket| bucket.try_take(self.rate, now))
        })
    }

    /// Calls `act` with the bucket of `key`; with none where no more can be remembered.
    fn with<R>(&self, key: &K, now: Instant, act: impl FnOnce(Option<&mut Bucket>) -> R) -> R {
        let rate = self.rate;
        let mut buckets = self.buckets.lock();
        if let Some(bucket) = buckets.get_mut(key) {
            return act(Some(bucket));
        }
        if buckets.len() >= self.most {
            // A full bucket is the same as none, so quiet callers are forgotten.
            buckets.retain(|_, bucket| !bucket.is_full(rate, now));
            if buckets.len() >= self.most {
                return act(None);
            }
        }
        let bucket = buckets.entry(key.clone());
        act(Some(bucket.or_insert_with(|| Bucket::full(rate, now))))
    }
}

/// All rate limits of a hub.
#[derive(Debug)]
pub struct Rates {
    /// Calls of each operator and agent. Tools of operators poll; nothing needs more.
    pub calls: Buckets<String>,
    /// Streams and renewals of each cluster: two agents that compete for one identity cost little.
    pub streams: Buckets<Identity>,
    /// Failed attempts without a certificate, by source (E3).
    pub guesses: Buckets<IpAddr>,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |per_second: f64, burst: f64| Rate { per_second, burst };
        Self {
            calls: Buckets::new(rate(100.0, 400.0), 65_536),
            streams: Buckets::new(rate(1.0, 20.0), 65_536),
            guesses: Buckets::new(rate(0.5, 20.0), 16_384),
        }
    }
}

/// Returns the source of an address: IPv6 gives each site a /64, which counts as one source.
#[must_use]
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst of four, and two more each second.
    fn buckets(most: usize) -> Buckets<i32> {
        let (per_second, burst) = (2.0, 4.0);
        Buckets::new(Rate { per_second, burst }, most)
    }

    #[test]
    fn h01_what_a_caller_used_up_stays_used_up_when_it_dials_again() {
        let start = Instant::now();
        let buckets = buckets(2);
        assert_eq!(buckets.take(&1, 4.0, start), Duration::ZERO);
        assert_eq!(buckets.take(&1, 2.0, start), Duration::from_secs(1));
        assert_eq!(
            buckets.take(&2, 4.0, start),
            Duration::ZERO,
            "others are others"
        );
        let wait = buckets.take(&3, 2.0, start);
        assert_eq!(wait, Duration::from_secs(1), "no room: nothing in hand");
        let later = start + Duration::from_secs(60);
        assert_eq!(buckets.take(&3, 4.0, later), Duration::ZERO);
        assert_eq!(buckets.buckets.lock().len(), 1);
    }

    #[test]
    fn e03_memory_is_bounded_and_whoever_is_quiet_is_forgotten() {
        let start = Instant::now();
        let buckets = buckets(3);
        assert!((0..3).all(|key| buckets.allow(&key, start)));
        assert!(!buckets.allow(&9, start), "no room, and nobody is quiet");
        let later = start + Duration::from_secs(60);
        assert!(buckets.allow(&9, later));
        assert_eq!(buckets.buckets.lock().len(), 1);
    }

    #[test]
    fn e03_a_site_of_ipv6_is_one_source() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
