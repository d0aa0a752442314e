//! Reasons with messages.

use crate::reason::Reason;

/// A reason code, and a message for operators: what happened, to what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The bounded code, for status, events and metrics.
    pub reason: Reason,
    /// Message for operators.
    pub message: String,
}

impl Problem {
    /// Creates a problem with this reason and message.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
