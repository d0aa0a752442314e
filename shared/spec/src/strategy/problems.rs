//! What is wrong with strategies and gates, and how times are read.

use std::time::Duration;

use flotilla_shared::duration;

/// What is wrong, with the key below the entry's own path.
pub(super) type Problems = Vec<(String, String)>;

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
