//! What is wrong with strategies and gates, and how times are read.

use std::time::Duration;

use flotilla_shared::duration;
use flotilla_shared::id::NameError;

/// What is wrong, with the key below the entry's own path.
pub(super) type Problems = Vec<(String, String)>;

/// Why a window, a freeze or a check cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum GateError {
    #[error(transparent)]
    Day(#[from] NameError),
    #[error("{0:?} is not a time of day such as 09:00")]
    Clock(String),
    #[error("{0:?} is not a moment such as 2026-12-20T00:00")]
    Moment(String),
    #[error("there is no time zone {0:?}; write one such as Europe/Berlin")]
    Zone(String),
    /// A freeze that would never hold.
    #[error("it ends before it begins")]
    Backwards,
    #[error("{0:?} is not an http or https URL")]
    Url(String),
    /// A query that no answer would fail.
    #[error("give min or max: without one every answer is good")]
    NoBounds,
    /// A check that asks nothing, or two things.
    #[error("give http, or prometheus and query")]
    NoQuestion,
}

/// A time; what is no time is added to `problems`.
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
