//! What a release uses up, held against its bounds.

use super::Limits;

/// A bound is reached: how much a release may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
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

    pub(crate) fn step(&mut self, count: usize) -> Result<(), Exceeded> {
        self.steps += count as u64;
        if self.steps > self.limits.steps {
            return Err(Exceeded::Steps(self.limits.steps));
        }
        Ok(())
    }

    pub(crate) fn produced(&mut self, count: usize) -> Result<(), Exceeded> {
        self.produced += count;
        if self.produced > self.limits.output {
            return Err(Exceeded::Output(self.limits.output >> 20));
        }
        Ok(())
    }

    pub(super) fn enter(&mut self) -> Result<(), Exceeded> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(Exceeded::Depth(self.limits.depth));
        }
        Ok(())
    }

    /// A template begins: an error may have left the depth behind.
    pub(super) fn start(&mut self) {
        self.depth = 0;
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}
