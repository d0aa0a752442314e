//! Conversion at the edge of the operators' model: wire types are read here with every limit, and are sent without
//! changes.
//!
//! The reader cuts: texts are cut and stripped of control characters, lists are cut, and a word that only a newer hub
//! knows is kept. The writer, which is the hub, leaves out nothing. What an agent would change of its assignment
//! ([`crate::ApplicationPlan`]) is only read here: the hub passes on what the agent sends.

mod cluster;
mod compared;
mod decisions;
mod environment;
mod hub;
mod log;
mod plan;
mod rollout;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_shared::wire::{timestamp_from_wire, timestamp_to_wire};
use jiff::Timestamp;

use crate::{Revision, text};

/// Limit of lists with one entry for each cluster, application, repository or environment: ten times the largest fleet
/// that was measured.
const MAX_OF_FLEET: usize = 100_000;
/// Limit of lists that are bounded at their source or written by hand: remembered decisions (128), labels (64, and
/// those of a token), different answers to a plan (64, and one for each reason).
const MAX_SHORT: usize = 1_000;

/// Reads a list of the wire, cut at its limit.
fn list<'w, W, T: From<&'w W>>(wire: &'w [W], most: usize) -> Vec<T> {
    wire.iter().take(most).map(T::from).collect()
}

/// Converts a time from the wire; none where it is absent or invalid.
#[must_use]
pub fn moment(timestamp: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    timestamp_from_wire(timestamp)
}

fn sent(moment: Option<Timestamp>) -> Option<prost_types::Timestamp> {
    moment.map(timestamp_to_wire)
}

fn texts(all: &[String]) -> Vec<String> {
    let all = all.iter().take(MAX_OF_FLEET);
    all.map(|entry| text(entry)).collect()
}

fn labels(labels: &[v1::Label]) -> BTreeMap<String, String> {
    labels
        .iter()
        .take(MAX_SHORT)
        .map(|label| (text(&label.key), text(&label.value)))
        .collect()
}

fn sent_labels(labels: BTreeMap<String, String>) -> Vec<v1::Label> {
    labels
        .into_iter()
        .map(|(key, value)| v1::Label { key, value })
        .collect()
}

/// Converts a revision from the wire; none where it has no commit.
fn revision(wire: Option<&v1::Revision>) -> Option<Revision> {
    wire.filter(|wire| !wire.commit.is_empty())
        .map(|wire| Revision {
            repository: text(&wire.repository),
            branch: text(&wire.branch),
            commit: text(&wire.commit),
        })
}

impl From<Revision> for v1::Revision {
    fn from(revision: Revision) -> Self {
        Self {
            repository: revision.repository,
            branch: revision.branch,
            commit: revision.commit,
        }
    }
}
