//! What a release uses up, held against its bounds.

use super::Limits;

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

    pub(crate) fn step(&mut self, count: usize) -> Result<(), String> {
        self.steps += count as u64;
        if self.steps > self.limits.steps {
            let limit = self.limits.steps;
            return Err(format!(
                "the release takes more than {limit} steps to render"
            ));
        }
        Ok(())
    }

    pub(crate) fn produced(&mut self, count: usize) -> Result<(), String> {
        self.produced += count;
        if self.produced > self.limits.output {
            let limit = self.limits.output >> 20;
            return Err(format!("the release writes more than {limit} MiB"));
        }
        Ok(())
    }

    pub(super) fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            let limit = self.limits.depth;
            return Err(format!("templates nest deeper than {limit} levels"));
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
