//! Reading directories of commits, so that the fleet can tell which clusters a commit changes.

use std::sync::Arc;
use std::time::Duration;

use flotilla_git::{Error, Remote, TreeLimits};
use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::revision::Commit;
use flotilla_shared::source::Directories;

use super::missing::Kind;
use crate::fleet::{Event, Fleet};
use crate::metrics::Metrics;

/// Reader of the directories of upcoming and running commits.
pub(super) struct Trees {
    metrics: Metrics,
    /// Last error that was logged; empty: the last read succeeded.
    logged: String,
}

impl Trees {
    pub(super) const fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            logged: String::new(),
        }
    }
}

impl Kind for Trees {
    type Data = Directories;

    const WHAT: &'static str = "its directories";

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn missing(fleet: &Fleet, repository: &RepositoryName) -> Vec<Commit> {
        fleet.missing_trees(repository)
    }

    fn read(remote: &Remote, commit: &Commit) -> Result<Directories, Error> {
        remote.directories(commit, &TreeLimits::default())
    }

    fn found(
        &mut self,
        repository: RepositoryName,
        commit: Commit,
        directories: Directories,
    ) -> Event {
        self.metrics.trees_read(&repository, "ok");
        tracing::debug!(%repository, %commit, directories = directories.len(), "read directories");
        self.logged.clear();
        Event::TreesRead {
            repository,
            commit,
            directories: Arc::new(directories),
        }
    }

    fn failed(
        &mut self,
        repository: RepositoryName,
        commit: &Commit,
        problem: Problem,
    ) -> Option<Event> {
        let Problem { reason, message } = &problem;
        self.metrics.trees_read(&repository, reason.as_str());
        if self.logged != *message {
            tracing::warn!(
                %repository, %commit, %reason, message,
                "cannot determine which clusters commits change; every cluster waits for its wave"
            );
            self.logged.clone_from(message);
        }
        Some(Event::TreesFailed {
            repository,
            problem,
        })
    }
}
