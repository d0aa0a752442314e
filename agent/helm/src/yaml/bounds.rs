//! How deep and how long what is written may be.

/// Deeper values are cycles that `set` made.
pub(super) const MAX_NESTING: usize = 250;

/// No release may write as much; maps that share maps may be endless to write.
pub(super) const MAX_SIZE: usize = 32 << 20;
