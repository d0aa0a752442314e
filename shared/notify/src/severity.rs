//! How bad an event is, and from where on a target wants to be told.

use serde::{Deserialize, Serialize};

/// How bad something is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Somebody should look soon.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// `info`, `warning` or `critical`: as in `minSeverity` and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
