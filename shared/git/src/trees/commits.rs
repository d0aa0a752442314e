//! Commits and what they build on, without their trees: some hundred bytes for each.

use std::collections::HashMap;
use std::time::Instant;

use gix::ObjectId;

use super::pack::Unpacked;
use super::{Ask, Only, TreeLimits};
use crate::{Error, Remote};

/// How many generations are asked for at once.
const DEPTH: usize = 1000;

impl Remote {
    /// What the commits build on, and those before them. Nothing is kept on disk, and neither files nor
    /// directories come here.
    ///
    /// # Errors
    /// As [`Remote::directories`], also where the server does not have one of them.
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
        let ask = Ask {
            requested: commits,
            only: Only::Commits,
            depth: DEPTH.min(self.limits.history as usize),
        };
        let pack = self.receive_trees(&ask, &limits, deadline)?;
        Ok(Unpacked::read(self, pack, &limits, deadline)?.parents())
    }
}
