//! Why a notification was not sent.

/// Why something was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// For a person.
    pub why: String,
    /// Whether another try may help.
    pub passing: bool,
}

impl SendError {
    /// Returns a failure that another try may fix.
    #[must_use]
    pub fn passing(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            passing: true,
        }
    }

    /// Returns a failure that no other try can fix.
    #[must_use]
    pub fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            passing: false,
        }
    }
}
