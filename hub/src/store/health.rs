//! Health of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Health of the store: whether writes succeed; shared by the store, the driver and the probes.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// Whether the driver has changes that could not be stored, and retries.
    failing: AtomicBool,
    /// Whether another write failed, and none succeeded since.
    doubted: AtomicBool,
}

impl Health {
    /// Notes that a write failed.
    pub fn fails(&self) {
        self.0.failing.store(true, Ordering::Release);
    }

    /// Notes that a write succeeded.
    pub fn works(&self) {
        self.0.failing.store(false, Ordering::Release);
        self.0.doubted.store(false, Ordering::Release);
    }

    /// Notes a failure that is not retried: until a write succeeds, it is not known whether any can.
    pub fn doubt(&self) {
        self.0.doubted.store(true, Ordering::Release);
    }

    /// Notes that a write succeeded, even if it was only a test.
    pub fn proven(&self) {
        self.0.doubted.store(false, Ordering::Release);
    }

    /// Returns whether a test write is needed.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.0.doubted.load(Ordering::Acquire)
    }

    /// Returns whether the last write failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Acquire) || self.is_doubted()
    }
}
