//! Waits for a hub that became unreachable, and reports that once.

use std::time::Duration;

use flotilla_shared::backoff::Backoff;

use crate::error::Error;
use crate::printer::Printer;
use crate::reader;

/// Interval at which gates and clusters are read while waiting.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// First and longest delay of retries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Number of consecutive failures, and whether they were reported.
pub(super) struct Patience {
    backoff: Backoff,
    /// Whether the outage was reported.
    told: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            backoff: Backoff::new(PAUSE.0, PAUSE.1),
            told: false,
        }
    }
}

impl Patience {
    /// Resets the count after an answer of the hub.
    pub(super) fn answered(&mut self, printer: &Printer) {
        if std::mem::take(&mut self.told) {
            printer.say("the hub answers again");
        }
        self.backoff.reset();
    }

    /// Waits before the next try, if a retry may help. Only for a hub that answered before: a failure of the first call
    /// is more likely caused by the context, and is reported at once.
    pub(super) async fn wait(&mut self, error: Error, printer: &Printer) -> Result<(), Error> {
        if !error.is_passing() {
            return Err(error);
        }
        if !std::mem::replace(&mut self.told, true) {
            printer.warn(&format!(
                "the hub does not answer ({error}); trying again until it does"
            ));
        }
        self.pause().await
    }

    /// Waits before the next try without a report: the hub closed the stream in good order.
    pub(super) async fn pause(&mut self) -> Result<(), Error> {
        reader::pause(self.backoff.next_delay(&mut rand::rng())).await
    }
}
