//! Whether the store takes what it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says whether the store takes what it is given; shared by the store, the driver and the probes.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// The driver has something that could not be stored, and tries again.
    failing: AtomicBool,
    /// Something else failed, and nothing has been written since.
    doubted: AtomicBool,
}

impl Health {
    /// What was decided could not be written.
    pub fn fails(&self) {
        self.0.failing.store(true, Ordering::Release);
    }

    /// What was decided was written.
    pub fn works(&self) {
        self.0.failing.store(false, Ordering::Release);
        self.0.doubted.store(false, Ordering::Release);
    }

    /// The store failed at something that nobody tries again: until something is written, nobody knows
    /// whether anything can be.
    pub fn doubt(&self) {
        self.0.doubted.store(true, Ordering::Release);
    }

    /// Something was written, if only to see whether that can be done.
    pub fn proven(&self) {
        self.0.doubted.store(false, Ordering::Release);
    }

    /// Whether somebody should see if anything can be written.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.0.doubted.load(Ordering::Acquire)
    }

    /// Whether the last write failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Acquire) || self.is_doubted()
    }
}
