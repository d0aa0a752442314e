//! Usage of a release, checked against its limits.

use super::Limits;

/// A limit of the release is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitExceeded {
    #[error("the release takes more than {0} steps to render")]
    Steps(u64),
    #[error("the release writes more than {0} MiB")]
    Output(usize),
    #[error("templates nest deeper than {0} levels")]
    Depth(usize),
}

#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    steps: u64,
    produced: usize,
    depth: usize,
}

impl Meter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            steps: 0,
            produced: 0,
            depth: 0,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn step(&mut self, count: usize) -> Result<(), LimitExceeded> {
        self.steps += count as u64;
        if self.steps > self.limits.steps {
            return Err(LimitExceeded::Steps(self.limits.steps));
        }
        Ok(())
    }

    pub(crate) fn produced(&mut self, count: usize) -> Result<(), LimitExceeded> {
        self.produced += count;
        if self.produced > self.limits.output {
            return Err(LimitExceeded::Output(self.limits.output >> 20));
        }
        Ok(())
    }

    pub(super) fn enter(&mut self) -> Result<(), LimitExceeded> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(LimitExceeded::Depth(self.limits.depth));
        }
        Ok(())
    }

    /// Starts a template: resets the depth, which an error may have left above zero.
    pub(super) fn start(&mut self) {
        self.depth = 0;
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}
