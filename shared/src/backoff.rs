//! Exponential backoff with full jitter, so that a fleet does not reconnect all at once.

use std::time::Duration;

use rand::Rng;

/// Exponential backoff with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog):
/// each delay is uniform between zero and a ceiling that doubles up to `max`.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts at a ceiling of `base` and grows to `max`.
    #[must_use]
    pub fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            attempt: 0,
        }
    }

    /// Returns the delay before the next attempt.
    pub fn next_delay(&mut self, rng: &mut impl Rng) -> Duration {
        let ceiling = self
            .base
            .saturating_mul(1 << self.attempt.min(20))
            .min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        // A floor of a tenth keeps an unlucky draw from becoming a busy loop.
        let floor = ceiling / 10;
        floor + (ceiling - floor).mul_f64(rng.random::<f64>())
    }

    /// Failures since the last success.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// To be called after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn delays_grow_and_stay_under_the_ceiling() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for attempt in 0..100u32 {
            let ceiling = Duration::from_secs(1 << attempt.min(6)).min(Duration::from_secs(60));
            let delay = backoff.next_delay(&mut rng);
            assert!(
                delay <= ceiling && delay >= ceiling / 10,
                "{attempt}: {delay:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next_delay(&mut rng) <= Duration::from_secs(1));
    }
}
