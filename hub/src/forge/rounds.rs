//! When the tasks that poll pull requests run: at an interval, and soon after a webhook. Webhooks are only hints: their
//! content is not trusted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::id::RepositoryName;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::hinted::HintedRepositories;

/// Delay of the first round after a start, however long the interval is: branches are read by then.
const FIRST: Duration = Duration::from_secs(20);

/// Passes on hints of webhooks about pull requests of repositories.
#[derive(Debug, Default)]
pub struct Hints {
    /// For the task that merges pull requests of promotions.
    pub(super) merges: Arc<HintQueue>,
    /// For the task that plans pull requests.
    pub(super) previews: Arc<HintQueue>,
}

impl Hints {
    /// Sends a hint to all tasks. It never blocks, and keeps at most one name for each repository.
    pub fn hint(&self, repository: &RepositoryName) {
        for line in [&self.merges, &self.previews] {
            line.names.lock().insert(repository.clone());
            line.wake.notify_one();
        }
    }
}

/// Hints to one task that it has not received yet.
#[derive(Debug, Default)]
pub(super) struct HintQueue {
    names: Mutex<BTreeSet<RepositoryName>>,
    wake: Notify,
}

impl HintQueue {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.names.lock().is_empty()
    }

    /// Waits for hints and returns them. Nothing is lost where the future is dropped.
    async fn heard(&self) -> BTreeSet<RepositoryName> {
        loop {
            let names = std::mem::take(&mut *self.names.lock());
            if !names.is_empty() {
                return names;
            }
            self.wake.notified().await;
        }
    }
}

/// Scope of a round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Round {
    All,
    Of(BTreeSet<RepositoryName>),
}

impl Round {
    /// Returns whether the round includes a repository.
    pub(super) fn has(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::All => true,
            Self::Of(names) => names.contains(repository),
        }
    }
}

/// Rounds of one task.
pub(super) struct Rounds {
    line: Arc<HintQueue>,
    hinted: HintedRepositories,
    interval: Duration,
    /// When the next full round is due; none: one interval after the current round.
    next: Option<Instant>,
}

impl Rounds {
    pub(super) fn new(line: Arc<HintQueue>, interval: Duration) -> Self {
        let mut rounds = Self::hinted(line, interval);
        rounds.next = Some(Instant::now() + interval.min(FIRST));
        rounds
    }

    /// Like the function above, but the first round is no earlier than the others: for tests, which need no other
    /// polls.
    pub(super) fn hinted(line: Arc<HintQueue>, interval: Duration) -> Self {
        Self {
            line,
            hinted: HintedRepositories::default(),
            interval,
            next: None,
        }
    }

    /// Waits for the next round.
    pub(super) async fn next(&mut self) -> Round {
        loop {
            let all = *self
                .next
                .get_or_insert_with(|| Instant::now() + self.interval);
            let hinted = self.hinted.due().map(Instant::from_std);
            tokio::select! {
                () = sleep_until(all) => {
                    self.next = None;
                    return Round::All;
                }
                names = self.line.heard() => {
                    let now = Instant::now().into_std();
                    for name in names {
                        self.hinted.hint(name, now);
                    }
                }
                () = sleep_until(hinted.unwrap_or(all)), if hinted.is_some() => {
                    let names = self.hinted.take(Instant::now().into_std());
                    if !names.is_empty() {
                        return Round::Of(names);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_hinted_at_is_looked_at_soon() {
        let hints = Hints::default();
        let mut rounds = Rounds::hinted(Arc::clone(&hints.previews), Duration::from_secs(3600));
        let fleet: RepositoryName = "fleet".parse().unwrap();
        // The second hint comes after the first was received, so it causes another round.
        for _ in 0..2 {
            hints.hint(&fleet);
            hints.hint(&fleet);
            let round = tokio::time::timeout(Duration::from_secs(60), rounds.next());
            let round = round.await.unwrap();
            assert_eq!(round, Round::Of([fleet.clone()].into()));
            assert!(round.has(&fleet) && !round.has(&"other".parse().unwrap()));
        }
        assert_eq!(rounds.hinted.due(), None);
    }

    #[tokio::test]
    async fn hints_put_off_nothing_of_what_is_looked_at_anyhow() {
        let hints = Hints::default();
        let mut rounds = Rounds::new(Arc::clone(&hints.merges), Duration::from_millis(50));
        for _ in 0..3 {
            hints.hint(&"fleet".parse().unwrap());
            let round = tokio::time::timeout(Duration::from_secs(60), rounds.next());
            assert_eq!(round.await.unwrap(), Round::All);
        }
    }
}
