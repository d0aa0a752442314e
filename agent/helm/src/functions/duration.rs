//! `time.Duration`.

use std::any::Any;

use super::cast::to_int;
use super::{Function, Type, pure};
use crate::fmt::{parse_float, quote, shortest, type_name};
use crate::value::{Host, Value};

use Type::Any as A;

/// A span of time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration(pub(super) i64);

pub(super) const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

pub(super) const FUNCTIONS: &[Function] = &[
    pure("mustToDuration", &[A], |a| of(&a[0]).map(Value::host)),
    pure("durationSeconds", &[A], |a| Ok(seconds(&a[0], 1.0))),
    pure("durationMinutes", &[A], |a| {
        Ok(parts(&a[0], MINUTE, 60e9, 1.0))
    }),
    pure("durationHours", &[A], |a| {
        Ok(parts(&a[0], HOUR, 3600e9, 1.0))
    }),
    pure("durationDays", &[A], |a| {
        Ok(parts(&a[0], HOUR, 3600e9, 24.0))
    }),
    pure("durationWeeks", &[A], |a| Ok(weeks(&a[0]))),
    pure("durationMilliseconds", &[A], |a| {
        Ok(whole(&a[0], 1_000_000))
    }),
    pure("durationMicroseconds", &[A], |a| Ok(whole(&a[0], 1_000))),
    pure("durationNanoseconds", &[A], |a| Ok(whole(&a[0], 1))),
    pure("durationRoundTo", &[A, A], |a| Ok(to_multiple(a, round))),
    pure("durationTruncateTo", &[A, A], |a| {
        Ok(to_multiple(a, |value, multiple| value - value % multiple))
    }),
    pure("duration", &[A], |a| {
        let seconds = match &a[0] {
            Value::Str(text) => crate::fmt::parse_int(&text.lossy(), 10).unwrap_or(0),
            Value::Int(number, crate::value::IntKind::Int64) => *number,
            _ => 0,
        };
        Ok(Value::from(
            Duration(seconds.wrapping_mul(SECOND)).display(),
        ))
    }),
];

fn seconds(value: &Value, divisor: f64) -> Value {
    parts(value, SECOND, 1e9, divisor)
}

/// Divides whole and fraction separately, as Go does to keep precision.
#[expect(clippy::cast_precision_loss, reason = "so does Go")]
fn parts(value: &Value, unit: i64, fraction: f64, divisor: f64) -> Value {
    let nanoseconds = of(value).map_or(0, |duration| duration.0);
    let number = (nanoseconds / unit) as f64 + (nanoseconds % unit) as f64 / fraction;
    Value::Float(number / divisor)
}

fn weeks(value: &Value) -> Value {
    match parts(value, HOUR, 3600e9, 24.0) {
        Value::Float(days) => Value::Float(days / 7.0),
        other => other,
    }
}

fn whole(value: &Value, unit: i64) -> Value {
    Value::int64(of(value).map_or(0, |duration| duration.0 / unit))
}

fn to_multiple(arguments: &[Value], fit: fn(i64, i64) -> i64) -> Value {
    let Ok(value) = of(&arguments[0]) else {
        return Value::host(Duration(0));
    };
    match of(&arguments[1]) {
        Ok(Duration(multiple)) if multiple > 0 => Value::host(Duration(fit(value.0, multiple))),
        _ => Value::host(value),
    }
}

/// `Duration.Round`: half away from zero.
fn round(value: i64, multiple: i64) -> i64 {
    let rest = value % multiple;
    let down = value - rest;
    if rest.unsigned_abs() < multiple.unsigned_abs() - rest.unsigned_abs() {
        down
    } else {
        down.saturating_add(if value < 0 { -multiple } else { multiple })
    }
}

/// Reads a duration as Helm does: a duration, its text, or a number of seconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the range is checked"
)]
fn of(value: &Value) -> Result<Duration, String> {
    let from_float = |seconds: f64| {
        if !seconds.is_finite() {
            return Err(format!("invalid duration seconds: {}", shortest(seconds)));
        }
        let limit = i64::MAX as f64 / 1e9;
        if seconds.abs() > limit {
            return Err(format!("duration seconds overflow: {}", shortest(seconds)));
        }
        Ok(Duration((seconds * 1e9) as i64))
    };
    match value {
        Value::Host(host) => {
            let any: &dyn Any = host.as_ref();
            match any.downcast_ref::<Duration>() {
                Some(duration) => Ok(*duration),
                None => Err(format!("unsupported duration type {}", host.type_name())),
            }
        }
        Value::Str(text) => {
            let whole = text.lossy();
            let trimmed = whole.trim();
            if trimmed.is_empty() {
                return Err("empty duration".to_owned());
            }
            if let Ok(duration) = parse(trimmed) {
                return Ok(duration);
            }
            match parse_float(trimmed) {
                Some(seconds) => from_float(seconds),
                None => Err(format!(
                    "could not parse duration {}",
                    quote(whole.as_bytes())
                )),
            }
        }
        Value::Nil => Err("invalid duration".to_owned()),
        Value::Int(..) | Value::Uint(..) => {
            let seconds = to_int(value);
            match seconds.checked_mul(SECOND) {
                Some(nanoseconds) => Ok(Duration(nanoseconds)),
                None => Err(format!("duration seconds overflow: {seconds}")),
            }
        }
        Value::Float(seconds) => from_float(*seconds),
        other => Err(format!("unsupported duration type {}", type_name(other))),
    }
}

/// `time.ParseDuration`
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("time: invalid duration {}", quote(text.as_bytes()));
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(Duration(0));
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let number = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(number);
        let unit = after
            .find(|letter: char| letter == '.' || letter.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(wrong());
        }
        let factor: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => i128::from(SECOND),
            "m" => i128::from(MINUTE),
            "h" => i128::from(HOUR),
            "" => {
                let shown = quote(text.as_bytes());
                return Err(format!("time: missing unit in duration {shown}"));
            }
            unknown => {
                let (unknown, shown) = (quote(unknown.as_bytes()), quote(text.as_bytes()));
                return Err(format!("time: unknown unit {unknown} in duration {shown}"));
            }
        };
        let digits = |text: &str| match text {
            "" => Some(0_i128),
            digits => digits
                .get(..digits.len().min(18))
                .and_then(|digits| digits.parse().ok()),
        };
        if whole.len() > 19 {
            return Err(wrong());
        }
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| wrong())?
        };
        let places = u32::try_from(fraction.len().min(18)).unwrap_or(18);
        let part = digits(fraction).ok_or_else(wrong)? * factor / 10_i128.pow(places);
        total += whole * factor + part;
        rest = after;
    }
    if negative {
        total = -total;
    }
    i64::try_from(total).map(Duration).map_err(|_| wrong())
}

impl Host for Duration {
    fn type_name(&self) -> &str {
        "time.Duration"
    }

    fn kind(&self) -> &str {
        "int64"
    }

    fn has_method(&self, name: &str) -> bool {
        matches!(
            name,
            "String"
                | "Seconds"
                | "Minutes"
                | "Hours"
                | "Milliseconds"
                | "Microseconds"
                | "Nanoseconds"
        )
    }

    fn call(&self, name: &str, _: &[Value]) -> Result<Value, String> {
        let value = Value::host(*self);
        Ok(match name {
            "Seconds" => seconds(&value, 1.0),
            "Minutes" => parts(&value, MINUTE, 60e9, 1.0),
            "Hours" => parts(&value, HOUR, 3600e9, 1.0),
            "Milliseconds" => whole(&value, 1_000_000),
            "Microseconds" => whole(&value, 1_000),
            "Nanoseconds" => whole(&value, 1),
            _ => Value::from(self.display()),
        })
    }

    fn truth(&self) -> bool {
        self.0 != 0
    }

    fn display(&self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let total = self.0.unsigned_abs();
        if total == 0 {
            return "0s".to_owned();
        }
        let with_fraction = |value: u64, unit: u64, name: &str| {
            let fraction = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() || unit == 1 {
                ""
            } else {
                "."
            };
            let fraction = if unit == 1 { "" } else { fraction };
            format!("{}{point}{fraction}{name}", value / unit)
        };
        if total < 1_000_000_000 {
            let (unit, name) = match total {
                0..=999 => (1, "ns"),
                1_000..=999_999 => (1_000, "µs"),
                _ => (1_000_000, "ms"),
            };
            return format!("{sign}{}", with_fraction(total, unit, name));
        }
        let minutes = total / 60_000_000_000;
        let seconds = with_fraction(total % 60_000_000_000, 1_000_000_000, "s");
        match (minutes / 60, minutes % 60) {
            (0, 0) => format!("{sign}{seconds}"),
            (0, minutes) => format!("{sign}{minutes}m{seconds}"),
            (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
        }
    }

    fn to_data(&self) -> Value {
        Value::int64(self.0)
    }
}
