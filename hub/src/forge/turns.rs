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
pub(super) enum Turn {
    All,
    Of(BTreeSet<RepositoryName>),
}

impl Turn {
    /// Whether a repository is.
    pub(super) fn has(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::All => true,
            Self::Of(names) => names.contains(repository),
        }
    }
}

/// The turns of one task.
pub(super) struct Turns {
    line: Arc<Line>,
    hinted: Hinted,
    began: Instant,
    interval: Duration,
    /// When everything is looked at; none: so long after the turn that is under way.
    next: Option<Instant>,
}

impl Turns {
    pub(super) fn new(line: Arc<Line>, interval: Duration) -> Self {
        let mut turns = Self::hinted(line, interval);
        turns.next = Some(Instant::now() + interval.min(FIRST));
        turns
    }

    /// Likewise, and the first turn is no sooner than the others: for tests, in which nothing else may look.
    pub(super) fn hinted(line: Arc<Line>, interval: Duration) -> Self {
        Self {
            line,
            hinted: Hinted::default(),
            began: Instant::now(),
            interval,
            next: None,
        }
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Turn {
        loop {
            let all = *self
                .next
                .get_or_insert_with(|| Instant::now() + self.interval);
            let hinted = self.hinted.due().map(|due| self.began + due);
            tokio::select! {
                () = sleep_until(all) => {
                    self.next = None;
                    return Turn::All;
                }
                names = self.line.heard() => {
                    let now = self.began.elapsed();
                    for name in names {
                        self.hinted.hint(name, now);
                    }
                }
                () = sleep_until(hinted.unwrap_or(all)), if hinted.is_some() => {
                    let names = self.hinted.take(self.began.elapsed());
                    if !names.is_empty() {
                        return Turn::Of(names);
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
        let mut turns = Turns::hinted(Arc::clone(&hints.previews), Duration::from_secs(3600));
        let fleet: RepositoryName = "fleet".parse().unwrap();
        // The second one is said when the first was heard: another look.
        for _ in 0..2 {
            hints.hint(&fleet);
            hints.hint(&fleet);
            let turn = tokio::time::timeout(Duration::from_secs(60), turns.next());
            let turn = turn.await.unwrap();
            assert_eq!(turn, Turn::Of([fleet.clone()].into()));
            assert!(turn.has(&fleet) && !turn.has(&"other".parse().unwrap()));
        }
        assert_eq!(turns.hinted.due(), None);
    }

    #[tokio::test]
    async fn hints_put_off_nothing_of_what_is_looked_at_anyhow() {
        let hints = Hints::default();
        let mut turns = Turns::new(Arc::clone(&hints.merges), Duration::from_millis(50));
        for _ in 0..3 {
            hints.hint(&"fleet".parse().unwrap());
            let turn = tokio::time::timeout(Duration::from_secs(60), turns.next());
            assert_eq!(turn.await.unwrap(), Turn::All);
        }
    }
}
