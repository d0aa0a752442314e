//! A commit's heading, without its trees: one object of some hundred bytes.

use flotilla_shared::heading::Heading;
use flotilla_shared::revision::Commit;

use super::{FetchRequest, ObjectFilter, TreeLimits};
use crate::{Error, Remote};

impl Remote {
    /// Returns a commit's subject and author. Nothing is kept on disk, and neither files nor directories are fetched.
    ///
    /// # Errors
    /// As [`Remote::directories`].
    pub fn heading(&self, commit: &Commit) -> Result<Heading, Error> {
        let limits = TreeLimits {
            pack_bytes: 2 << 20,
            objects: 64,
            object_bytes: 1 << 20,
            bytes: 2 << 20,
            directories: 64,
        };
        let (unpacked, requested) = self.unpacked(commit, &limits, |requested, deadline| {
            let request = FetchRequest::one(&requested, ObjectFilter::Commits);
            self.receive_trees(&request, &limits, deadline)
        })?;
        unpacked.heading(self, requested)
    }
}
