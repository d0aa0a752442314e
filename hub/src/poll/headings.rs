//! Reading what commits say of themselves, for people's eyes. Beside everything else: nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::id::RepositoryName;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Place;
use super::trees::Waits;
use crate::driver::{Handle, Stopped};
use crate::fleet::Event;

/// Longest read of one commit.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the subjects that people would be shown, whenever it is woken.
pub(super) struct HeadingReader {
    pub(super) name: RepositoryName,
    pub(super) place: Place,
    pub(super) handle: Handle,
    /// Somebody looked at the branches, and the fleet has drawn its conclusions.
    pub(super) wake: Arc<Notify>,
}

impl HeadingReader {
    pub(super) async fn run(self) {
        let mut waits = Waits::default();
        loop {
            self.wake.notified().await;
            if self.read_missing(&mut waits).await.is_err() {
                return;
            }
        }
    }

    async fn read_missing(&self, waits: &mut Waits) -> Result<(), Stopped> {
        let name = self.name.clone();
        let missing = self
            .handle
            .query(move |fleet| fleet.missing_headings(&name));
        let missing = missing.await?;
        waits.keep(&missing);
        for commit in missing {
            if !waits.is_due(&commit, Instant::now()) {
                continue;
            }
            let repository = self.name.clone();
            let wanted = commit.clone();
            let place = self.place.clone();
            let read = place.read("a commit", READ_TIMEOUT, move |remote| {
                remote.heading(&wanted)
            });
            match read.await {
                Ok(heading) => {
                    let event = Event::HeadingRead {
                        repository,
                        commit,
                        heading,
                    };
                    self.handle.event(event).await?;
                }
                Err((reason, message)) => {
                    waits.add(&commit, reason, Instant::now());
                    tracing::debug!(%repository, %commit, %reason, message, "cannot read a commit's subject");
                }
            }
        }
        Ok(())
    }
}
