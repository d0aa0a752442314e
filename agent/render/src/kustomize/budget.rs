//! The remaining budget of a render.

use std::cell::Cell;

use flotilla_shared::reason::Reason;

use super::failure::{Failure, Outcome};
use crate::Limits;

/// The remaining budget of a render. Counted, not timed: the same commit fails everywhere or nowhere.
#[derive(Debug)]
pub(crate) struct Budget {
    nodes_left: Cell<usize>,
    node_limit: usize,
    work_left: Cell<usize>,
    work_limit: usize,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            nodes_left: Cell::new(limits.nodes),
            node_limit: limits.nodes,
            work_left: Cell::new(limits.work_bytes),
            work_limit: limits.work_bytes,
        }
    }

    /// Counts values that were read; false if there are too many.
    pub(crate) fn nodes(&self, count: usize) -> bool {
        take(&self.nodes_left, count)
    }

    /// Most values in all files together.
    pub(crate) fn node_limit(&self) -> usize {
        self.node_limit
    }

    /// Counts bytes that a step copies into objects, which a loop of replacements would double each time.
    ///
    /// # Errors
    /// When too many were copied.
    pub(crate) fn work(&self, bytes: usize) -> Outcome<()> {
        if take(&self.work_left, bytes) {
            return Ok(());
        }
        Err(Failure::new(
            Reason::LimitExceeded,
            format!(
                "this step would copy more than the {} bytes that all steps of a render may copy \
                 into objects",
                self.work_limit
            ),
        ))
    }
}

fn take(left: &Cell<usize>, count: usize) -> bool {
    match left.get().checked_sub(count) {
        Some(rest) => {
            left.set(rest);
            true
        }
        None => {
            left.set(0);
            false
        }
    }
}
