//! Inputs for tests of the agent's decisions.

use flotilla_shared::assignment::{ApplicationAssignment, Assignment};
use flotilla_shared::id::{Epoch, Generation};
use flotilla_shared::revision::Revision;

/// An application of the repository `fleet`, with nothing said that need not be.
pub(crate) fn application(url: &str, branch: &str, path: &str) -> ApplicationAssignment {
    ApplicationAssignment::new(
        Revision {
            repository: "fleet".parse().unwrap(),
            branch: branch.parse().unwrap(),
            commit: "a".repeat(40).parse().unwrap(),
        },
        url.parse().unwrap(),
        path.parse().unwrap(),
    )
}

/// An assignment of nothing.
pub(crate) fn assignment(epoch: u64, generation: u64) -> Assignment {
    Assignment {
        epoch: Epoch(epoch),
        generation: Generation(generation),
        ..Assignment::empty(
            "a".parse().unwrap(),
            "prod".parse().unwrap(),
            jiff::Timestamp::UNIX_EPOCH,
        )
    }
}
