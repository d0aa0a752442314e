//! Short texts of pages.

use jiff::Timestamp;

/// `1 cluster`, `2 clusters`.
#[must_use]
pub fn clusters(count: usize) -> String {
    flotilla_shared::words::counted(count, "cluster")
}

/// Age in the largest fitting unit: `12 s`, `4 m`, `3 h`, `5 d`.
#[must_use]
pub fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    let Some(since) = since else {
        return String::new();
    };
    span(now.as_second().saturating_sub(since.as_second()).max(0))
}

/// A duration in seconds, as [`age`].
#[must_use]
pub fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} m", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// `2026-11-27 02:35:34 UTC`; empty: no time.
#[must_use]
pub fn moment(at: Option<Timestamp>) -> String {
    at.map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_default()
}

/// `02:35:34 UTC`.
#[must_use]
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

/// [`moment`] for templates, which pass references.
#[must_use]
pub fn when(at: &Option<Timestamp>) -> String {
    moment(*at)
}

/// [`moment`] of a known time, for templates, which pass references.
#[must_use]
pub fn at(at: &Timestamp) -> String {
    moment(Some(*at))
}

/// Description of an agent's clock, for templates, which pass references.
#[must_use]
pub fn skew(seconds: &i64) -> String {
    flotilla_shared::clock::agent_clock(*seconds)
}

/// [`age`] for templates, which pass references.
#[must_use]
pub fn ago(since: &Option<Timestamp>, now: &Timestamp) -> String {
    age(*since, *now)
}

#[cfg(test)]
mod tests {
    use super::{age, clusters, span};
    use crate::samples::moment;

    #[test]
    fn ages_are_short() {
        assert_eq!(span(119), "119 s");
        assert_eq!(span(120), "2 m");
        assert_eq!(span(7200), "2 h");
        assert_eq!(span(172_800), "2 d");
        assert_eq!(age(Some(moment(5)), moment(0)), "0 s", "clocks differ");
        assert_eq!(clusters(1), "1 cluster");
    }
}
