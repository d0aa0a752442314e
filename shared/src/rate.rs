//! How often something may be done: a token bucket, the one of hub and agent. Pure: time comes in.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    left: f64,
    at: Instant,
}

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// In a second.
    pub per_second: f64,
    /// At once.
    pub burst: f64,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self {
            left: rate.burst,
            at: now,
        }
    }

    /// An empty one.
    #[must_use]
    pub fn empty(now: Instant) -> Self {
        Self { left: 0.0, at: now }
    }

    /// Takes out `amount`, also what is not there; gives how long to wait until it is.
    pub fn take(&mut self, rate: Rate, amount: f64, now: Instant) -> Duration {
        self.fill(rate, now);
        self.left -= amount;
        if self.left >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((-self.left / rate.per_second).min(3600.0))
    }

    /// Takes one out if it is there.
    pub fn try_take(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate.per_second).min(rate.burst);
        self.at = now;
    }

    /// Whether it holds all that it can: whoever has it was quiet.
    #[must_use]
    pub fn is_full(&self, rate: Rate, now: Instant) -> bool {
        let mut copy = *self;
        copy.fill(rate, now);
        copy.left >= rate.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 2.0,
        burst: 4.0,
    };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(RATE, start);
        let taken = (0..10).filter(|_| bucket.try_take(RATE, start)).count();
        assert_eq!(taken, 4);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..10).filter(|_| bucket.try_take(RATE, later)).count(), 2);
        let mut bucket = Bucket::full(RATE, start);
        assert_eq!(bucket.take(RATE, 4.0, start), Duration::ZERO);
        assert_eq!(bucket.take(RATE, 6.0, start), Duration::from_secs(3));
    }
}
