//! Reading commits' directories, so that the fleet can tell whom a commit changes. Beside the watch on
//! branches, which never waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_git::TreeLimits;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::id::RepositoryName;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use flotilla_shared::source::Directories;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Place;
use crate::driver::{Handle, Stopped};
use crate::fleet::Event;
use crate::metrics::Metrics;

/// Longest read of one commit.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A commit that could not be read is tried again after this, and ever less often up to [`RARELY`].
const RETRY: Duration = Duration::from_secs(10);

/// A server that cannot do it is asked again after this: somebody may have taught it.
const RARELY: Duration = Duration::from_secs(3600);

/// Reads what the fleet misses of one repository, whenever it is woken.
pub(super) struct TreeReader {
    pub(super) name: RepositoryName,
    pub(super) place: Place,
    pub(super) metrics: Metrics,
    pub(super) handle: Handle,
    /// Somebody looked at the branches, and the fleet has drawn its conclusions.
    pub(super) wake: Arc<Notify>,
}

/// When what failed is tried again.
#[derive(Default)]
pub(super) struct Waits {
    commits: BTreeMap<Commit, (Instant, Backoff)>,
    all: Option<Instant>,
}

impl Waits {
    /// Forgets all others.
    pub(super) fn keep(&mut self, commits: &[Commit]) {
        self.commits.retain(|commit, _| commits.contains(commit));
    }

    pub(super) fn is_due(&self, commit: &Commit, now: Instant) -> bool {
        let commit = self.commits.get(commit);
        self.all.is_none_or(|at| at <= now) && commit.is_none_or(|(at, _)| *at <= now)
    }

    pub(super) fn add(&mut self, commit: &Commit, reason: Reason, now: Instant) {
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

impl TreeReader {
    pub(super) async fn run(self) {
        let mut waits = Waits::default();
        let mut told = String::new();
        loop {
            self.wake.notified().await;
            if self.read_missing(&mut waits, &mut told).await.is_err() {
                return;
            }
        }
    }

    async fn read_missing(&self, waits: &mut Waits, told: &mut String) -> Result<(), Stopped> {
        let name = self.name.clone();
        let missing = self.handle.query(move |fleet| fleet.missing_trees(&name));
        let missing = missing.await?;
        waits.keep(&missing);
        for commit in missing {
            if !waits.is_due(&commit, Instant::now()) {
                continue;
            }
            let repository = self.name.clone();
            let read = self.read(&commit).await;
            let outcome = match &read {
                Ok(_) => "ok",
                Err((reason, _)) => reason.as_str(),
            };
            self.metrics.trees_read(&self.name, outcome);
            match read {
                Ok(directories) => {
                    tracing::debug!(%repository, %commit, directories = directories.len(), "read directories");
                    told.clear();
                    let directories = Arc::new(directories);
                    let event = Event::TreesRead {
                        repository,
                        commit,
                        directories,
                    };
                    self.handle.event(event).await?;
                }
                Err((reason, message)) => {
                    waits.add(&commit, reason, Instant::now());
                    if *told != message {
                        tracing::warn!(
                            %repository, %commit, %reason, message,
                            "cannot tell whom commits change; every cluster waits for its wave"
                        );
                        told.clone_from(&message);
                    }
                    let event = Event::TreesFailed {
                        repository,
                        reason,
                        message,
                    };
                    self.handle.event(event).await?;
                }
            }
        }
        Ok(())
    }

    async fn read(&self, commit: &Commit) -> Result<Directories, (Reason, String)> {
        let (place, commit) = (self.place.clone(), commit.clone());
        place
            .read("its directories", READ_TIMEOUT, move |remote| {
                remote.directories(&commit, &TreeLimits::default())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_commit_that_cannot_be_read_delays_no_other() {
        let (one, other) = ("1".repeat(40), "2".repeat(40));
        let (one, other): (Commit, Commit) = (one.parse().unwrap(), other.parse().unwrap());
        let mut waits = Waits::default();
        let now = Instant::now();
        waits.add(&one, Reason::RepositoryUnavailable, now);
        assert!(!waits.is_due(&one, now) && waits.is_due(&other, now));
        assert!(waits.is_due(&one, now + RETRY * 2));
        waits.add(&one, Reason::FilterUnsupported, now);
        assert!(!waits.is_due(&other, now + RARELY / 2));
        assert!(waits.is_due(&other, now + RARELY));
    }
}
