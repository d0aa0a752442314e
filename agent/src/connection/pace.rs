//! Rate limit of assignments.

use flotilla_shared::rate::{Bucket, Rate};
use tokio::time::Instant;

/// Burst and rate per second of accepted assignments.
const RATE: Rate = Rate {
    per_second: 1.0,
    burst: 8.0,
};

/// How often an assignment is taken: eight at once, then one a second. Each is written to disk, and a hub
/// that changes its mind ten times a second must not wear it out (C12).
#[derive(Debug)]
pub struct Pace(Bucket);

impl Default for Pace {
    fn default() -> Self {
        Self(Bucket::full(RATE, Instant::now()))
    }
}

impl Pace {
    /// Waits for a pass and takes it. Giving up while waiting takes none.
    pub(super) async fn permit(&mut self) {
        loop {
            let now = Instant::now();
            if self.0.try_take(RATE, now) {
                return;
            }
            // How long the next pass has to wait is computed on a copy.
            let mut asked = self.0;
            let wait = asked.take(RATE, 1.0, now);
            tokio::time::sleep(wait).await;
        }
    }
}
