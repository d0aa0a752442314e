//! Whether this process may write: asked last, before each write (I5).
//!
//! It closes by the monotonic clock, so that a process that was suspended and resumed notices by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Whether this process may write. Cheap to clone; asked before each write.
#[derive(Debug, Clone)]
pub struct Fence {
    /// End of the lease. None: there is no lease, because no other process writes.
    until: Option<Arc<Mutex<Option<Instant>>>>,
    /// Why the lease cannot be renewed; empty: no error.
    why: Arc<Mutex<String>>,
}

impl Fence {
    /// Always held: for tools that run once, by hand.
    #[must_use]
    pub fn open() -> Self {
        Self {
            until: None,
            why: Arc::default(),
        }
    }

    /// Not held until a lease is.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            until: Some(Arc::default()),
            why: Arc::default(),
        }
    }

    /// Whether a write may start now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match &self.until {
            None => true,
            Some(until) => until.lock().is_some_and(|until| Instant::now() < until),
        }
    }

    /// Waits until a write may start.
    pub async fn held(&self) {
        while !self.is_held() {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Why the lease cannot be renewed; empty: no error.
    #[must_use]
    pub fn why(&self) -> String {
        self.why.lock().clone()
    }

    /// Notes why. True: that is news.
    pub(crate) fn fails(&self, why: &str) -> bool {
        let mut known = self.why.lock();
        let is_news = *known != why;
        why.clone_into(&mut known);
        is_news
    }

    /// Opens it until then; none: closes it.
    pub(crate) fn hold_until(&self, at: Option<Instant>) {
        if let Some(until) = &self.until {
            *until.lock() = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a17_a_fence_closes_by_itself() {
        let fence = Fence::closed();
        assert!(!fence.is_held());
        fence.hold_until(Instant::now().checked_add(Duration::from_secs(60)));
        assert!(fence.is_held());
        fence.hold_until(Some(Instant::now()));
        assert!(
            !fence.is_held(),
            "its time is up, and nobody had to tell it"
        );
        assert!(Fence::open().is_held());
    }

    #[test]
    fn why_nothing_is_written_is_told_once_and_forgotten_when_it_is_over() {
        let fence = Fence::closed();
        let seen_elsewhere = fence.clone();
        assert!(fence.fails("the agent's own namespace flotilla-system does not exist"));
        assert!(!fence.fails("the agent's own namespace flotilla-system does not exist"));
        assert!(seen_elsewhere.why().contains("flotilla-system"));
        fence.fails("");
        assert_eq!(seen_elsewhere.why(), "");
    }
}
