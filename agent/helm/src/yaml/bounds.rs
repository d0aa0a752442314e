//! Limits of written values.

/// Deepest nesting; deeper values are cycles that `set` made.
pub(super) const MAX_NESTING: usize = 250;

/// Longest text, bytes; maps that share maps can multiply without end.
pub(super) const MAX_SIZE: usize = 32 << 20;
