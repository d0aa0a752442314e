//! When the tasks that look at pull requests look: every so often, and soon after a webhook said that there is
//! something to see. What a webhook says is not believed, only that it came.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::id::RepositoryName;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::hinted::Hinted;

/// A hub that begins anew looks after this, however seldom it looks later: branches are read by then.
const FIRST: Duration = Duration::from_secs(20);

/// Where webhooks say that something about a repository's pull requests may be new.
#[derive(Debug, Default)]
pub struct Hints {
    /// For who takes pull requests of promotions.
    pub(super) merges: Arc<Line>,
    /// For who says beforehand what pull requests would change.
    pub(super) previews: Arc<Line>,
}

impl Hints {
    /// Says so to everybody who looks. It waits for nobody, and holds a name for each repository at most.
    pub fn hint(&self, repository: &RepositoryName) {
        for line in [&self.merges, &self.previews] {
            line.names.lock().insert(repository.clone());
            line.wake.notify_one();
        }
    }
}

/// What was said to one of them, and not heard yet.
#[derive(Debug, Default)]
pub(super) struct Line {
    names: Mutex<BTreeSet<RepositoryName>>,
    wake: Notify,
}

impl Line {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.names.lock().is_empty()
    }

    /// What was said, as soon as there is anything. Nothing is lost where this is given up.
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

/// What is to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Round {
    All,
    Of(BTreeSet<RepositoryName>),
}

impl Round {
    /// Whether a repository is.
    pub(super) fn has(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::All => true,
            Self::Of(names) => names.contains(repository),
        }
    }
}

/// The rounds of one task.
pub(super) struct Rounds {
    line: Arc<Line>,
    hinted: Hinted,
    interval: Duration,
    /// When everything is looked at; none: so long after the round that is under way.
    next: Option<Instant>,
}

impl Rounds {
    pub(super) fn new(line: Arc<Line>, interval: Duration) -> Self {
        let mut rounds = Self::hinted(line, interval);
        rounds.next = Some(Instant::now() + interval.min(FIRST));
        rounds
    }

    /// As above, and the first round is no sooner than the others: for tests, in which nothing else may look.
    pub(super) fn hinted(line: Arc<Line>, interval: Duration) -> Self {
        Self {
            line,
            hinted: Hinted::default(),
            interval,
            next: None,
        }
    }

    /// Waits for the next one.
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
        // The second one is said when the first was heard: another look.
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
