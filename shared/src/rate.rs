//! Rate limits of hub and agent: a token bucket. Pure: the caller passes the time.

use std::time::{Duration, Instant};

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    left: f64,
    at: Instant,
}

/// Fill rate and size of a bucket.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Tokens per second.
    pub per_second: f64,
    /// Size of the bucket, in tokens.
    pub burst: f64,
}

impl Rate {
    /// Returns the time to fill so many tokens, an hour at most.
    fn fills(self, amount: f64) -> Duration {
        if amount <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((amount / self.per_second).min(3600.0))
    }
}

impl Bucket {
    /// Creates a full bucket.
    #[must_use]
    pub fn full(rate: Rate, now: impl Into<Instant>) -> Self {
        Self {
            left: rate.burst,
            at: now.into(),
        }
    }

    /// Creates an empty bucket.
    #[must_use]
    pub fn empty(now: impl Into<Instant>) -> Self {
        Self {
            left: 0.0,
            at: now.into(),
        }
    }

    /// Takes `amount` tokens, going into debt if necessary; returns the time to wait until the debt is paid.
    pub fn take(&mut self, rate: Rate, amount: f64, now: impl Into<Instant>) -> Duration {
        self.fill(rate, now.into());
        self.left -= amount;
        rate.fills(-self.left)
    }

    /// Takes one token if there is one.
    pub fn try_take(&mut self, rate: Rate, now: impl Into<Instant>) -> bool {
        self.fill(rate, now.into());
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }

    /// Returns when the next token is available, if none is taken before: not before the last use.
    #[must_use]
    pub fn ready(&self, rate: Rate) -> Instant {
        self.at + rate.fills(1.0 - self.left)
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate.per_second).min(rate.burst);
        self.at = now;
    }

    /// Whether the bucket is full, so that its owner was idle.
    #[must_use]
    pub fn is_full(&self, rate: Rate, now: impl Into<Instant>) -> bool {
        let mut copy = *self;
        copy.fill(rate, now.into());
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

    #[test]
    fn it_says_when_one_is_there() {
        let start = Instant::now();
        let mut bucket = Bucket::full(RATE, start);
        for _ in 0..4 {
            assert_eq!(bucket.ready(RATE), start);
            assert!(bucket.try_take(RATE, start));
        }
        let due = start + Duration::from_millis(500);
        assert_eq!(bucket.ready(RATE), due);
        let mut early = bucket;
        assert!(!early.try_take(RATE, due - Duration::from_millis(1)));
        assert!(bucket.try_take(RATE, due));
    }
}
