//! Whether what is decided can be stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says whether the store takes what is decided; shared by the driver and the probes.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    /// A write failed.
    pub fn fails(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// A write succeeded.
    pub fn works(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether the last write failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
