//! Errors of strategies and gates, and reading of durations.

use std::time::Duration;

use flotilla_shared::duration;
use flotilla_shared::id::NameError;

/// Errors, each with the key below the entry's path.
pub(super) type Problems = Vec<(String, String)>;

/// Error of a window, a freeze or a check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum GateError {
    #[error(transparent)]
    Day(#[from] NameError),
    #[error("{0:?} is not a time of day such as 09:00")]
    Clock(String),
    #[error("{0:?} is not a time such as 2026-12-20T00:00")]
    Moment(String),
    #[error("there is no time zone {0:?}; write one such as Europe/Berlin")]
    Zone(String),
    /// A freeze that ends before it begins.
    #[error("it ends before it begins")]
    Backwards,
    #[error("{0:?} is not an http or https URL")]
    Url(String),
    /// A query without bounds.
    #[error("give min or max: without one every answer passes")]
    NoBounds,
    /// A check without a question, or with two.
    #[error("give http, or prometheus and query")]
    NoQuestion,
}

/// Reads a duration; errors are added to `problems`.
pub(super) fn time(
    text: Option<&String>,
    key: &str,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    let Some(text) = text else { return default };
    duration::read(text).unwrap_or_else(|error| {
        problems.push((key.to_owned(), error.to_string()));
        default
    })
}
