//! Waiting for a hub that was there and is away, and telling the person so, once.

use std::time::Duration;

use flotilla_shared::backoff::Backoff;

use crate::error::Error;
use crate::printer::Printer;
use crate::reader;

/// How often gates and clusters are looked at while waiting.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How often the hub failed to answer in a row, and whether that was said.
pub(super) struct Patience {
    backoff: Backoff,
    /// Whether the person was told that the hub is away.
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
    /// The hub answered.
    pub(super) fn answered(&mut self, printer: &Printer) {
        if std::mem::take(&mut self.told) {
            printer.say("the hub answers again");
        }
        self.backoff.reset();
    }

    /// Waits before the next try, where another may help. This is for a hub that was there: what fails at
    /// the first try is the context's fault, more likely than the moment's, and is to be told at once.
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

    /// Waits before the next try, without a word: the hub ended what it had begun.
    pub(super) async fn pause(&mut self) -> Result<(), Error> {
        reader::pause(self.backoff.next_delay(&mut rand::rng())).await
    }
}
