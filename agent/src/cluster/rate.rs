//! A token bucket over requests, so that an agent never asks more of its API server than its owner
//! allows.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Requests a second, with a burst of as many.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    state: Mutex<(f64, Instant)>,
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self {
            per_second,
            state: Mutex::new((per_second, Instant::now())),
        }
    }

    /// Takes one token, and returns how long its request has to wait.
    fn take(&self, now: Instant) -> Duration {
        let mut state = self.state.lock();
        let (tokens, at) = *state;
        let refilled = now.saturating_duration_since(at).as_secs_f64() * self.per_second;
        let tokens = (tokens + refilled).min(self.per_second) - 1.0;
        *state = (tokens, now);
        if tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-tokens / self.per_second)
        }
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
