//! What is said where something is not as it should be.

use crate::reason::Reason;

/// Why something is not as it should be: a reason in the field's words, and a sentence for people that
/// says what happened, to what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The bounded code, for status, events and metrics.
    pub reason: Reason,
    /// For a person.
    pub message: String,
}

impl Problem {
    /// One of this reason, in these words.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
