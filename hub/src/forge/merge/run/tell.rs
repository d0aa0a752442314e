//! Writes into a promotion's pull request what it waits for, when that has changed.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_forge::{Error, PullRequest};
use tokio::time::Instant;

use super::super::super::waits::Waits;
use super::super::Candidate;
use super::super::part::PullSection;
use super::{Key, MergeSetup, key};

/// Texts that this process wrote, with times; all of it may be lost.
#[derive(Default)]
pub(super) struct TextHistory {
    at: BTreeMap<Key, Instant>,
    waits: Waits<Key>,
}

impl TextHistory {
    /// Keeps only these entries.
    pub(super) fn retain(&mut self, keys: &BTreeSet<Key>) {
        self.at.retain(|key, _| keys.contains(key));
        self.waits.retain(|key| keys.contains(key));
    }

    /// Treats all of it as written long ago.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl MergeSetup {
    /// Writes the part where it is missing. A failure to write delays nothing else.
    pub(super) async fn tell(
        &self,
        candidate: &Candidate,
        pull: &PullRequest,
        part: &PullSection,
        told: &mut TextHistory,
    ) {
        let key = key(candidate);
        if told.waits.holds(&key, Instant::now()) {
            return;
        }
        match self.write(candidate, pull, part, told.at.get(&key)).await {
            Ok(false) => {}
            Ok(true) => {
                told.at.insert(key.clone(), Instant::now());
                told.waits.ended(&key);
            }
            Err(error) => {
                if told.waits.failed(&key, &error, Instant::now()) {
                    let (environment, repository) = &key;
                    tracing::warn!(%environment, %repository, number = pull.number, %error, "cannot update the text of a pull request; will retry");
                }
            }
        }
    }

    /// Writes a part; returns whether anything was written.
    async fn write(
        &self,
        candidate: &Candidate,
        pull: &PullRequest,
        part: &PullSection,
        last: Option<&Instant>,
    ) -> Result<bool, Error> {
        let Some(place) = self.forges.of(&candidate.repository, &candidate.url) else {
            return Ok(false);
        };
        let (at, sender) = (&place.at, &self.sender);
        // The final part is written once, without waiting: there is no later round.
        let since = last.filter(|_| !part.is_last()).map(Instant::elapsed);
        let text = |body: &str| part.written(at.kind(), &candidate.environment, body, since);
        if text(&pull.body).is_none() {
            return Ok(false);
        }
        // Read again before the write: people may have edited the text since the list was read, and lists may shorten
        // it.
        let pull = sender.ask(&place, &at.pull(pull.number)).await?;
        let Some(text) = text(&pull.body).filter(|_| pull.open || part.is_last()) else {
            return Ok(false);
        };
        let update = at.update_pull(&pull, &pull.title, &text);
        match sender.ask(&place, &update).await {
            // Some forges do not allow changes to a merged pull request.
            Err(error) if part.is_last() && !error.passes() => Ok(false),
            done => done.map(|_| true),
        }
    }
}
