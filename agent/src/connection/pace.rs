//! How often an assignment is taken.

use std::time::Duration;

/// Assignments that are taken at once, and each second after that.
const PACE_BURST: f64 = 8.0;
const PACE_PER_SECOND: f64 = 1.0;

/// How often an assignment is taken: eight at once, then one a second. Each is written to disk, and a hub
/// that changes its mind ten times a second must not wear it out (C12).
#[derive(Debug)]
pub struct Pace {
    /// Turns left, and since when that counts.
    left: f64,
    since: tokio::time::Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            left: PACE_BURST,
            since: tokio::time::Instant::now(),
        }
    }
}

impl Pace {
    /// Waits for a turn and takes it. Giving up while waiting takes none.
    pub(super) async fn turn(&mut self) {
        let now = tokio::time::Instant::now();
        let earned = now.duration_since(self.since).as_secs_f64() * PACE_PER_SECOND;
        self.left = (self.left + earned).min(PACE_BURST);
        self.since = now;
        if self.left < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - self.left) / PACE_PER_SECOND);
            tokio::time::sleep(wait).await;
            self.left = 1.0;
            self.since = tokio::time::Instant::now();
        }
        self.left -= 1.0;
    }
}
