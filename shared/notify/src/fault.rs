//! Why a target was not told.

/// Why something was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// For a person.
    pub why: String,
    /// Whether another try may help.
    pub passing: bool,
}

impl Fault {
    /// Another try may help.
    #[must_use]
    pub fn passing(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            passing: true,
        }
    }

    /// No other try helps.
    #[must_use]
    pub fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            passing: false,
        }
    }
}
