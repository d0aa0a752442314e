//! `time.Time`: an instant and the zone in which it is shown.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::civil::Civil;
use super::duration::Duration;
use super::layout;
use crate::value::{Host, Value};

/// Seconds between the beginning of Go's calendar and of Unix's.
const ZERO: i64 = -62_135_596_800;

#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// Also Go's local zone: no render depends on where it runs.
    Utc,
    /// An offset in seconds, with its abbreviation where it has one.
    Fixed(i32, String),
    Named(Box<TimeZone>),
}

#[derive(Clone, Debug)]
pub(super) struct Time {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
    pub(super) zone: Zone,
}

impl Time {
    pub(super) fn unix(seconds: i64) -> Self {
        Self {
            seconds,
            nanoseconds: 0,
            zone: Zone::Utc,
        }
    }

    /// Go's zero value.
    pub(super) fn zero() -> Self {
        Self::unix(ZERO)
    }

    pub(super) fn plus(&self, duration: Duration) -> Self {
        let total = i128::from(self.seconds) * 1_000_000_000
            + i128::from(self.nanoseconds)
            + i128::from(duration.0);
        let seconds = i64::try_from(total.div_euclid(1_000_000_000)).unwrap_or(self.seconds);
        Self {
            seconds,
            nanoseconds: u32::try_from(total.rem_euclid(1_000_000_000)).unwrap_or(0),
            zone: self.zone.clone(),
        }
    }

    pub(super) fn in_zone(&self, zone: Zone) -> Self {
        Self {
            zone,
            ..self.clone()
        }
    }

    fn offset(&self) -> (i32, String) {
        match &self.zone {
            Zone::Utc => (0, "UTC".to_owned()),
            Zone::Fixed(offset, name) => (*offset, name.clone()),
            Zone::Named(zone) => match Timestamp::from_second(self.seconds) {
                Ok(timestamp) => {
                    let info = zone.to_offset_info(timestamp);
                    (info.offset().seconds(), info.abbreviation().to_owned())
                }
                Err(_) => (0, "UTC".to_owned()),
            },
        }
    }

    pub(super) fn civil(&self) -> Civil {
        let (offset, abbreviation) = self.offset();
        let local = self.seconds.saturating_add(i64::from(offset));
        let days = local.div_euclid(86_400);
        let second = u32::try_from(local.rem_euclid(86_400)).unwrap_or(0);
        let (year, month, day) = from_days(days);
        let first = to_days(year, 1, 1);
        Civil {
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            nanosecond: self.nanoseconds,
            weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
            year_day: u32::try_from(days - first + 1).unwrap_or(1),
            offset,
            abbreviation,
        }
    }

    pub(super) fn format(&self, layout: &str) -> String {
        layout::format(layout, &self.civil())
    }
}

/// Returns the zone of this name, if it exists.
pub(super) fn zone(name: &str) -> Option<Zone> {
    match name {
        "" | "UTC" | "Local" => Some(Zone::Utc),
        name => TimeZoneDatabase::bundled()
            .get(name)
            .ok()
            .map(|zone| Zone::Named(Box::new(zone))),
    }
}

/// Returns the days since 1970 of a date in the proleptic Gregorian calendar.
pub(super) fn to_days(year: i64, month: u32, day: u32) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (
        year,
        u32::try_from(month).unwrap_or(1),
        u32::try_from(day).unwrap_or(1),
    )
}

/// `time.Month` or `time.Weekday`: a number with a name.
#[derive(Debug)]
struct NamedNumber {
    kind: &'static str,
    name: &'static str,
    number: i64,
}

impl Host for NamedNumber {
    fn type_name(&self) -> &str {
        self.kind
    }

    fn kind(&self) -> &str {
        "int"
    }

    fn display(&self) -> String {
        self.name.to_owned()
    }

    fn truth(&self) -> bool {
        self.number != 0
    }

    fn to_data(&self) -> Value {
        Value::int(self.number)
    }
}

const METHODS: [&str; 20] = [
    "Format",
    "Unix",
    "UnixNano",
    "UnixMilli",
    "Year",
    "Month",
    "Day",
    "Hour",
    "Minute",
    "Second",
    "Nanosecond",
    "YearDay",
    "Weekday",
    "String",
    "UTC",
    "Local",
    "IsZero",
    "Before",
    "After",
    "Equal",
];

impl Host for Time {
    fn type_name(&self) -> &str {
        "time.Time"
    }

    fn has_method(&self, name: &str) -> bool {
        METHODS.contains(&name)
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let civil = self.civil();
        let number = |number: u32| Ok(Value::int(i64::from(number)));
        match name {
            "Format" => match arguments {
                [Value::Str(layout)] => Ok(Value::from(self.format(&layout.lossy()))),
                _ => Err("Format expects one text".to_owned()),
            },
            "Unix" => Ok(Value::int64(self.seconds)),
            "UnixMilli" => Ok(Value::int64(
                self.seconds * 1000 + i64::from(self.nanoseconds / 1_000_000),
            )),
            "UnixNano" => Ok(Value::int64(
                self.seconds.wrapping_mul(1_000_000_000) + i64::from(self.nanoseconds),
            )),
            "Year" => Ok(Value::int(civil.year)),
            "Month" => Ok(Value::host(NamedNumber {
                kind: "time.Month",
                name: layout::MONTHS[civil.month as usize - 1],
                number: i64::from(civil.month),
            })),
            "Weekday" => Ok(Value::host(NamedNumber {
                kind: "time.Weekday",
                name: layout::DAYS[civil.weekday],
                number: civil.weekday as i64,
            })),
            "Day" => number(civil.day),
            "Hour" => number(civil.hour),
            "Minute" => number(civil.minute),
            "Second" => number(civil.second),
            "Nanosecond" => number(civil.nanosecond),
            "YearDay" => number(civil.year_day),
            "UTC" | "Local" => Ok(Value::host(self.in_zone(Zone::Utc))),
            "IsZero" => Ok(Value::Bool(self.seconds == ZERO && self.nanoseconds == 0)),
            "Before" | "After" | "Equal" => {
                let Some(other) = arguments.first().and_then(of) else {
                    return Err(format!("{name} expects one time"));
                };
                let order =
                    (self.seconds, self.nanoseconds).cmp(&(other.seconds, other.nanoseconds));
                Ok(Value::Bool(match name {
                    "Before" => order.is_lt(),
                    "After" => order.is_gt(),
                    _ => order.is_eq(),
                }))
            }
            _ => Ok(Value::from(self.display())),
        }
    }

    fn display(&self) -> String {
        self.format("2006-01-02 15:04:05.999999999 -0700 MST")
    }

    fn to_data(&self) -> Value {
        Value::from(self.format("2006-01-02T15:04:05.999999999Z07:00"))
    }
}

/// The time that a value is.
pub(super) fn of(value: &Value) -> Option<&Time> {
    match value {
        Value::Host(host) => {
            let any: &dyn std::any::Any = host.as_ref();
            any.downcast_ref()
        }
        _ => None,
    }
}
