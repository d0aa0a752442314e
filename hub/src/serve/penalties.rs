//! Slows down callers that break the rules of HTTP/2 and reconnect: a handshake takes a millisecond, which a flood that
//! is cut off would cost the hub again and again. Pure but for the lock around it.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::rate::{Buckets, Rate};

/// Number of connections of one source that may break a rule before its next ones wait.
const VIOLATIONS: Rate = Rate {
    per_second: 2.0,
    burst: 10.0,
};
/// Longest wait: other callers behind the same address wait as well.
const LONGEST: Duration = Duration::from_secs(5);
/// Highest number of sources that are remembered.
const SOURCES: usize = 16_384;

/// Violations of each source that still count.
#[derive(Debug, Clone)]
pub(super) struct Penalties(Arc<Buckets<IpAddr>>);

impl Penalties {
    pub(super) fn new() -> Self {
        Self(Arc::new(Buckets::new(VIOLATIONS, SOURCES)))
    }

    /// Returns how long a source waits before its next handshake.
    pub(super) fn wait(&self, source: IpAddr, now: Instant) -> Duration {
        self.0.owed(&source, now).min(LONGEST)
    }

    /// Records that a connection of a source was closed, if the caller caused it.
    pub(super) fn note(&self, source: IpAddr, error: &hyper::Error, now: Instant) {
        if is_violation(error) {
            self.0.take(&source, 1.0, now);
        }
    }
}

/// Returns whether the hub ended the connection because of what the other side sent.
fn is_violation(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &h2::Error| cause.is_go_away() && cause.is_library())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h01_who_breaks_rules_again_and_again_waits_and_nobody_else_does() {
        let start = Instant::now();
        let penalties = Penalties::new();
        let [bad, good]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        for _ in 0..10 {
            penalties.0.take(&bad, 1.0, start);
        }
        assert_eq!(
            penalties.wait(bad, start),
            Duration::ZERO,
            "some are forgiven"
        );
        penalties.0.take(&bad, 1.0, start);
        assert_eq!(penalties.wait(bad, start), Duration::from_millis(500));
        assert_eq!(penalties.wait(good, start), Duration::ZERO);
        for _ in 0..1000 {
            penalties.0.take(&bad, 1.0, start);
        }
        assert_eq!(
            penalties.wait(bad, start),
            LONGEST,
            "others live behind that address, too"
        );
        let later = start + Duration::from_secs(600);
        assert_eq!(penalties.wait(bad, later), Duration::ZERO);
    }
}
