//! Reading of missing data of commits, next to the polling of branches, which never waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_git::{Error, Remote};
use flotilla_shared::backoff::Backoff;
use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::RepositorySource;
use crate::driver::{Handle, Stopped};
use crate::fleet::{Event, Fleet};

/// First delay of retries for a commit that could not be read; it increases up to [`RARELY`].
const RETRY: Duration = Duration::from_secs(10);

/// Delay of retries at a server that does not support the read: it may be upgraded meanwhile.
const RARELY: Duration = Duration::from_secs(3600);

/// A kind of data of commits.
pub(super) trait Kind: Send + 'static {
    /// Result of a read.
    type Data: Send + 'static;

    /// Name of the data, in words.
    const WHAT: &'static str;

    /// Time limit of a read.
    const TIMEOUT: Duration;

    /// Returns the commits whose data is missing.
    fn missing(fleet: &Fleet, repository: &RepositoryName) -> Vec<Commit>;

    /// Reads the missing data of a commit from the remote.
    fn read(remote: &Remote, commit: &Commit) -> Result<Self::Data, Error>;

    /// Returns the event for the fleet.
    fn found(&mut self, repository: RepositoryName, commit: Commit, found: Self::Data) -> Event;

    /// Like the function above, for a commit that could not be read; none: nothing depends on it.
    fn failed(
        &mut self,
        repository: RepositoryName,
        commit: &Commit,
        problem: Problem,
    ) -> Option<Event>;
}

/// Reads data that the fleet lacks of one repository, whenever it is woken.
pub(super) struct Reader<K> {
    pub(super) name: RepositoryName,
    pub(super) place: RepositorySource,
    pub(super) handle: Handle,
    /// Notified after a poll of the branches, when the fleet has handled it.
    pub(super) wake: Arc<Notify>,
    pub(super) kind: K,
}

impl<K: Kind> Reader<K> {
    pub(super) async fn run(mut self) {
        let mut waits = Waits::default();
        loop {
            self.wake.notified().await;
            if self.read_missing(&mut waits).await.is_err() {
                return;
            }
        }
    }

    async fn read_missing(&mut self, waits: &mut Waits) -> Result<(), Stopped> {
        let name = self.name.clone();
        let missing = self.handle.query(move |fleet| K::missing(fleet, &name));
        let missing = missing.await?;
        waits.keep(&missing);
        for commit in missing {
            if !waits.is_due(&commit, Instant::now()) {
                continue;
            }
            let (repository, asked) = (self.name.clone(), commit.clone());
            let place = self.place.clone();
            let read = place.read(K::WHAT, K::TIMEOUT, move |remote| K::read(remote, &asked));
            let event = match read.await {
                Ok(found) => Some(self.kind.found(repository, commit, found)),
                Err(problem) => {
                    waits.add(&commit, problem.reason, Instant::now());
                    self.kind.failed(repository, &commit, problem)
                }
            };
            if let Some(event) = event {
                self.handle.event(event).await?;
            }
        }
        Ok(())
    }
}

/// When failed reads are retried.
#[derive(Default)]
struct Waits {
    commits: BTreeMap<Commit, (Instant, Backoff)>,
    all: Option<Instant>,
}

impl Waits {
    /// Discards the waits of all other commits.
    fn keep(&mut self, commits: &[Commit]) {
        self.commits.retain(|commit, _| commits.contains(commit));
    }

    fn is_due(&self, commit: &Commit, now: Instant) -> bool {
        let commit = self.commits.get(commit);
        self.all.is_none_or(|at| at <= now) && commit.is_none_or(|(at, _)| *at <= now)
    }

    fn add(&mut self, commit: &Commit, reason: Reason, now: Instant) {
        if reason == Reason::FilterUnsupported {
            self.all = Some(now + RARELY);
            return;
        }
        let before = self.commits.remove(commit);
        let mut backoff =
            before.map_or_else(|| Backoff::new(RETRY, RARELY), |(_, backoff)| backoff);
        let delay = backoff.next_delay(&mut rand::rng());
        self.commits.insert(commit.clone(), (now + delay, backoff));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_commit_that_cannot_be_read_delays_no_other() {
        let (first, second) = ("1".repeat(40), "2".repeat(40));
        let (first, second): (Commit, Commit) = (first.parse().unwrap(), second.parse().unwrap());
        let mut waits = Waits::default();
        let now = Instant::now();
        waits.add(&first, Reason::RepositoryUnavailable, now);
        assert!(!waits.is_due(&first, now) && waits.is_due(&second, now));
        assert!(waits.is_due(&first, now + RETRY * 2));
        waits.add(&first, Reason::FilterUnsupported, now);
        assert!(!waits.is_due(&second, now + RARELY / 2));
        assert!(waits.is_due(&second, now + RARELY));
    }
}
