//! Reading of commits' subjects and authors, only for display: nothing waits for it.

use std::time::Duration;

use flotilla_git::{Error, Remote};
use flotilla_shared::heading::Heading;
use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::revision::Commit;

use super::missing::Kind;
use crate::fleet::{Event, Fleet};

/// Reader of headings.
pub(super) struct Headings;

impl Kind for Headings {
    type Data = Heading;

    const WHAT: &'static str = "a commit";

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn missing(fleet: &Fleet, repository: &RepositoryName) -> Vec<Commit> {
        fleet.missing_headings(repository)
    }

    fn read(remote: &Remote, commit: &Commit) -> Result<Heading, Error> {
        remote.heading(commit)
    }

    fn found(&mut self, repository: RepositoryName, commit: Commit, heading: Heading) -> Event {
        Event::HeadingRead {
            repository,
            commit,
            heading,
        }
    }

    fn failed(
        &mut self,
        repository: RepositoryName,
        commit: &Commit,
        Problem { reason, message }: Problem,
    ) -> Option<Event> {
        tracing::debug!(%repository, %commit, %reason, message, "cannot read a commit's subject");
        None
    }
}
