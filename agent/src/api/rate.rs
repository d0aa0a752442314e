//! A limit on requests, so that an agent never asks more of its API server than its owner
//! allows.

use std::time::Duration;

use flotilla_shared::rate::{self, Bucket};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Requests a second, with a burst of as many.
#[derive(Debug)]
pub(crate) struct Rate {
    rate: rate::Rate,
    bucket: Mutex<Bucket>,
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        let rate = rate::Rate {
            per_second,
            burst: per_second,
        };
        Self {
            rate,
            bucket: Mutex::new(Bucket::full(rate, Instant::now())),
        }
    }

    /// Takes one token, and returns how long its request has to wait.
    fn take(&self, now: Instant) -> Duration {
        self.bucket.lock().take(self.rate, 1.0, now)
    }

    pub(crate) async fn wait(&self) {
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_is_spread() {
        let rate = Rate::new(10);
        let now = Instant::now();
        let waits: Vec<u128> = (0..13).map(|_| rate.take(now).as_millis()).collect();
        assert!(waits[..10].iter().all(|wait| *wait == 0), "{waits:?}");
        assert_eq!(waits[10..], [100, 200, 300]);
        assert_eq!(rate.take(now + Duration::from_secs(60)), Duration::ZERO);
    }
}
