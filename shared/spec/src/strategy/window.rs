//! Change windows and freezes, in local time zones.

use flotilla_shared::id::NameError;
use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Deserialize;

use super::problems::{GateError, Problems};

/// A time of the week in which changes may start.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Days of the week on which it starts.
    pub days: Vec<Weekday>,
    /// Time of day at which it starts.
    pub from: Time,
    /// Time of day at which it ends; on the next day where this is not later than `from`.
    pub to: Time,
    /// Time zone.
    pub zone: TimeZone,
}

/// A time in which no change starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    /// When it starts.
    pub from: DateTime,
    /// When it ends, exclusive.
    pub to: DateTime,
    /// Time zone.
    pub zone: TimeZone,
    /// The reason that is shown; empty: none given.
    pub reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct WindowEntry {
    #[serde(default)]
    days: Vec<String>,
    from: String,
    to: String,
    #[serde(default)]
    time_zone: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FreezeEntry {
    from: String,
    to: String,
    #[serde(default)]
    time_zone: String,
    #[serde(default)]
    reason: String,
}

/// Reads windows; errors are added to `problems`.
pub(super) fn windows(entries: &[WindowEntry], problems: &mut Problems) -> Vec<Window> {
    let mut windows = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match entry.read() {
            Ok(window) => windows.push(window),
            Err(error) => problems.push((format!("windows[{index}]"), error.to_string())),
        }
    }
    windows
}

/// Reads freezes; errors are added to `problems`.
pub(super) fn freezes(entries: &[FreezeEntry], problems: &mut Problems) -> Vec<Freeze> {
    let mut freezes = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match entry.read() {
            Ok(freeze) => freezes.push(freeze),
            Err(error) => problems.push((format!("freezes[{index}]"), error.to_string())),
        }
    }
    freezes
}

impl WindowEntry {
    fn read(&self) -> Result<Window, GateError> {
        let days: Vec<Weekday> = if self.days.is_empty() {
            Weekday::Monday.cycle_forward().take(7).collect()
        } else {
            self.days
                .iter()
                .map(|day| weekday(day))
                .collect::<Result<_, _>>()?
        };
        let clock = |text: &str| text.parse().map_err(|_| GateError::Clock(text.to_owned()));
        Ok(Window {
            days,
            from: clock(&self.from)?,
            to: clock(&self.to)?,
            zone: zone(&self.time_zone)?,
        })
    }
}

impl FreezeEntry {
    fn read(&self) -> Result<Freeze, GateError> {
        let moment = |text: &str| text.parse().map_err(|_| GateError::Moment(text.to_owned()));
        let freeze = Freeze {
            from: moment(&self.from)?,
            to: moment(&self.to)?,
            zone: zone(&self.time_zone)?,
            reason: self.reason.clone(),
        };
        if freeze.to <= freeze.from {
            return Err(GateError::Backwards);
        }
        Ok(freeze)
    }
}

impl Window {
    /// Returns whether it is open, by local time, so that a change to summer time neither moves nor stretches it.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        let local = self.zone.to_datetime(now);
        let (day, time) = (local.date().weekday(), local.time());
        if self.from < self.to {
            return self.days.contains(&day) && self.from <= time && time < self.to;
        }
        // Over midnight: either it began today, or it began yesterday and is not over.
        (self.days.contains(&day) && self.from <= time)
            || (self.days.contains(&day.previous()) && time < self.to)
    }

    /// Returns when it next opens; none: not within the next eight days.
    #[must_use]
    pub fn opens_after(&self, now: Timestamp) -> Option<Zoned> {
        let today = now.to_zoned(self.zone.clone()).date();
        let mut date = today;
        for _ in 0..=8 {
            let opens = date
                .to_datetime(self.from)
                .to_zoned(self.zone.clone())
                .ok()?;
            if self.days.contains(&date.weekday()) && opens.timestamp() > now {
                return Some(opens);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

impl Freeze {
    /// Returns whether the freeze is in force.
    #[must_use]
    pub fn is_on(&self, now: Timestamp) -> bool {
        let local = self.zone.to_datetime(now);
        self.from <= local && local < self.to
    }
}

/// Returns a zone by its IANA name (<https://www.iana.org/time-zones>); the database is built in, so that a hub in an
/// empty image has it, too.
fn zone(name: &str) -> Result<TimeZone, GateError> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        name => TimeZone::get(name).map_err(|_| GateError::Zone(name.to_owned())),
    }
}

/// Reads a weekday by its first three letters.
fn weekday(text: &str) -> Result<Weekday, NameError> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => {
            return Err(NameError {
                what: "weekday",
                name: text.chars().take(80).collect(),
                why: "write mon, tue, wed, thu, fri, sat or sun",
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(days: &[&str], from: &str, to: &str, name: &str) -> Window {
        Window {
            days: days.iter().map(|day| weekday(day).unwrap()).collect(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            zone: zone(name).unwrap(),
        }
    }

    #[test]
    fn a_window_follows_the_clock_on_the_wall() {
        let window = window(&["mon"], "09:00", "17:00", "Europe/Berlin");
        // Winter: UTC+1. Monday, 5 January 2026.
        assert!(!window.is_open(at("2026-01-05T07:59:59Z")));
        assert!(window.is_open(at("2026-01-05T08:00:00Z")));
        assert!(!window.is_open(at("2026-01-05T16:00:00Z")));
        // Summer: UTC+2. Monday, 6 July 2026.
        assert!(window.is_open(at("2026-07-06T07:00:00Z")));
        assert!(!window.is_open(at("2026-07-07T07:00:00Z")), "a Tuesday");
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let window = window(&["fri"], "22:00", "02:00", "UTC");
        assert!(window.is_open(at("2026-01-02T23:00:00Z")));
        assert!(window.is_open(at("2026-01-03T01:59:00Z")));
        assert!(!window.is_open(at("2026-01-03T02:00:00Z")));
        assert!(
            !window.is_open(at("2026-01-02T01:00:00Z")),
            "Thursday's night"
        );
    }

    #[test]
    fn a_window_says_when_it_next_opens() {
        let window = window(&["mon", "tue"], "09:00", "17:00", "Europe/Berlin");
        let next = |now| window.opens_after(at(now)).unwrap().to_string();
        // Saturday, 28 March 2026: summer time begins in the night after it.
        assert_eq!(
            next("2026-03-28T12:00:00Z"),
            "2026-03-30T09:00:00+02:00[Europe/Berlin]"
        );
        // A Monday, before, in and after it.
        assert_eq!(
            next("2026-01-05T07:00:00Z"),
            "2026-01-05T09:00:00+01:00[Europe/Berlin]"
        );
        assert_eq!(
            next("2026-01-05T10:00:00Z"),
            "2026-01-06T09:00:00+01:00[Europe/Berlin]"
        );
        assert_eq!(
            next("2026-01-06T18:00:00Z"),
            "2026-01-12T09:00:00+01:00[Europe/Berlin]"
        );
    }

    #[test]
    fn a_freeze_ends_when_it_says() {
        let freeze = Freeze {
            from: "2026-12-20T00:00".parse().unwrap(),
            to: "2027-01-02T00:00".parse().unwrap(),
            zone: zone("America/New_York").unwrap(),
            reason: String::new(),
        };
        assert!(!freeze.is_on(at("2026-12-20T04:59:59Z")));
        assert!(freeze.is_on(at("2026-12-20T05:00:00Z")));
        assert!(!freeze.is_on(at("2027-01-02T05:00:00Z")));
    }
}
