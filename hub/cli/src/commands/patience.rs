//! Waiting for a hub that was there and is away, and telling the person so, once.

use std::time::Duration;

use flotilla_shared::backoff::Backoff;

use crate::error::Error;
use crate::printer::Printer;

/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How often the hub failed to answer in a row.
pub(super) struct Patience(Backoff);

impl Default for Patience {
    fn default() -> Self {
        Self(Backoff::new(PAUSE.0, PAUSE.1))
    }
}

impl Patience {
    /// The hub answered.
    pub(super) fn answered(&mut self, printer: &Printer) {
        if self.0.attempts() > 0 {
            printer.say("the hub answers again");
            self.0.reset();
        }
    }

    /// Waits before the next try, where another may help. What fails at the first try is told at once:
    /// then it is the context that is wrong, more likely than the moment.
    pub(super) async fn wait(
        &mut self,
        error: Error,
        was_there: bool,
        printer: &Printer,
    ) -> Result<(), Error> {
        if !was_there || !error.is_passing() {
            return Err(error);
        }
        if self.0.attempts() == 0 {
            printer.warn(&format!(
                "the hub does not answer ({error}); trying again until it does"
            ));
        }
        tokio::time::sleep(self.0.next_delay(&mut rand::rng())).await;
        Ok(())
    }
}
