//! Views as text for people. Pure: the time is an argument, and text is returned.

mod chart;
mod cluster;
mod compared;
mod diff;
mod difference;
mod list;
mod log;
pub(crate) mod markdown;
mod plan;
mod promotion;
mod removal;
mod rollout;
mod status;
mod table;

pub(crate) use chart::{outdated, vendored};
pub use cluster::{describe, explain};
pub use compared::compared;
pub use diff::diff;
pub(crate) use difference::{markdown as difference_markdown, text as difference};
pub(crate) use flotilla_status::plan_comment::{
    mark as plan_mark, markdown as plan_markdown, sections as plan_sections,
    summary as plan_summary,
};
pub use list::{Width, applications, clusters, environments, hub, tokens};
pub use log::{entries, entry, operators};
pub use plan::plan;
pub use promotion::{promotion, waiting};
pub(crate) use removal::removal;
pub(crate) use rollout::next;
pub use rollout::{decisions, rollout, rollouts};
pub use status::{StatusOptions, change, moved, status};
pub use table::{Cell, Table};

use flotilla_shared::health::{Health, SyncState};
use flotilla_status::{Connectivity, StepState};
use jiff::Timestamp;

/// Whether text may have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Ansi,
}

/// Meaning of a text, which determines its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// Good.
    Good,
    /// In progress.
    Warn,
    /// Needs attention.
    Bad,
    /// Less important.
    Dim,
    Head,
    /// Reference to something else.
    Note,
}

impl Paint {
    /// Colours a text.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Head => "1",
            Tone::Note => "36",
            Tone::Plain => "",
        };
        if self == Self::Plain || code.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Coarse age: `5s`, `3m`, `2h`, `4d`; `-` for never. A time in the future is `0s`.
#[must_use]
pub fn age(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or("-".to_owned(), |then| {
        span(now.duration_since(then).as_secs())
    })
}

/// Time until a moment: `in 5m`, or `expired`.
fn until(then: Option<Timestamp>, now: Timestamp) -> String {
    match then {
        None => "-".to_owned(),
        Some(_) if is_over(then, now) => "expired".to_owned(),
        Some(then) => format!("in {}", span(then.duration_since(now).as_secs())),
    }
}

/// Whether a moment has passed, in whole seconds; none: never.
fn is_over(then: Option<Timestamp>, now: Timestamp) -> bool {
    then.is_some_and(|then| then.duration_since(now).as_secs() <= 0)
}

fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn sync_cell(sync: SyncState) -> Cell {
    let tone = match sync {
        SyncState::Synced => Tone::Good,
        SyncState::Applying | SyncState::Orphaned | SyncState::Suspended | SyncState::Unknown => {
            Tone::Warn
        }
        SyncState::OutOfSync | SyncState::Refused => Tone::Bad,
    };
    Cell::new(tone, sync.as_str())
}

fn health_cell(health: Health) -> Cell {
    Cell::new(health_tone(health), health.as_str())
}

fn health_tone(health: Health) -> Tone {
    match health {
        Health::Current => Tone::Good,
        Health::Suspended | Health::InProgress | Health::Terminating | Health::Unknown => {
            Tone::Warn
        }
        Health::NotFound | Health::Failed => Tone::Bad,
    }
}

fn connection_cell(connection: Connectivity) -> Cell {
    let tone = match connection {
        Connectivity::Online => Tone::Good,
        Connectivity::Pending | Connectivity::NeverSeen | Connectivity::Unknown => Tone::Warn,
        Connectivity::Offline => Tone::Bad,
    };
    Cell::new(tone, connection.as_str())
}

fn step_cell(state: StepState) -> Cell {
    let tone = match state {
        StepState::Ok => Tone::Good,
        StepState::Waiting | StepState::Unknown => Tone::Warn,
        StepState::Failed => Tone::Bad,
        StepState::Skipped => Tone::Dim,
    };
    Cell::new(tone, state.as_str())
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// `1 cluster`, `2 clusters`.
fn count(number: usize, noun: &str) -> String {
    flotilla_shared::words::counted(number, noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short_and_never_negative() {
        let now: Timestamp = "2030-01-10T00:00:00Z".parse().unwrap();
        let ago = |seconds| {
            let then = Timestamp::from_second(now.as_second() - seconds).unwrap();
            age(Some(then), now)
        };
        assert_eq!(ago(-10), "0s");
        assert_eq!(ago(119), "119s");
        assert_eq!(ago(300), "5m");
        assert_eq!(ago(3 * 3600), "3h");
        assert_eq!(ago(3 * 86_400), "3d");
        assert_eq!(age(None, now), "-");
    }
}
