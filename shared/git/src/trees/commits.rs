//! Commits and their parents, without their trees: some hundred bytes for each.

use std::collections::HashMap;
use std::time::Instant;

use gix::ObjectId;

use super::pack::Unpacked;
use super::{FetchRequest, ObjectFilter, TreeLimits};
use crate::{Error, Remote};

/// Number of generations in one request.
const DEPTH: usize = 1000;

impl Remote {
    /// Returns the parents of the commits and of their ancestors. Nothing is kept on disk, and neither files nor
    /// directories are fetched.
    ///
    /// # Errors
    /// As [`Remote::directories`], also when the server lacks one of them.
    pub(crate) fn parents_said(
        &self,
        commits: &[ObjectId],
        deadline: Instant,
    ) -> Result<HashMap<ObjectId, Vec<ObjectId>>, Error> {
        let limits = TreeLimits {
            pack_bytes: 8 << 20,
            objects: 20_000,
            object_bytes: 1 << 20,
            bytes: 32 << 20,
            directories: 64,
        };
        let ask = FetchRequest {
            requested: commits,
            only: ObjectFilter::Commits,
            depth: DEPTH.min(self.limits.history as usize),
        };
        let pack = self.receive_trees(&ask, &limits, deadline)?;
        Ok(Unpacked::read(self, pack, &limits, deadline)?.parents())
    }
}
