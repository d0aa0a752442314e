//! What a render may still cost.

use std::cell::Cell;

use flotilla_shared::reason::Reason;

use super::failure::{Failure, Outcome};
use crate::Limits;

/// What a render may still cost. Counted, not timed: the same commit fails everywhere or nowhere.
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

    /// Takes values that were read; false where there are too many.
    pub(crate) fn nodes(&self, count: usize) -> bool {
        take(&self.nodes_left, count)
    }

    /// Most values in all files together.
    pub(crate) fn node_limit(&self) -> usize {
        self.node_limit
    }

    /// Takes bytes that a step copies into objects: what a loop of replacements doubles.
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
