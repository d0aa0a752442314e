//! Durations as people write them, such as `30s`: in the fleet file, in annotations and on command lines.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The units, greatest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The text is not a usable duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is not a list of numbers with units.
    #[error("{0:?} is not a duration: write 30s, 5m or 1h")]
    Malformed(String),
    /// The duration is too large to represent.
    #[error("{0:?} is too long")]
    TooLong(String),
    /// The duration is outside the allowed range.
    #[error("{text:?} is out of bounds: give a time from {least} to {most}")]
    OutOfBounds {
        /// The text.
        text: String,
        /// The shortest allowed duration.
        least: String,
        /// The longest allowed duration, as written in a file: `7d`.
        most: String,
    },
}

/// Reads a duration in a file: `300ms`, `30s`, `5m`, `1h`, `7d`, `1h30m`. Zero is allowed.
///
/// # Errors
/// When it is malformed, or too large to represent.
pub fn read(text: &str) -> Result<Duration, DurationError> {
    // The fleet file's schema does not allow fractions.
    if text.contains('.') {
        return Err(DurationError::Malformed(shown(text)));
    }
    sum(text, text)
}

/// Reads a duration that a person typed, which has to be within `bounds`: as in a file, or with a fraction (`0.5s`), or
/// plain seconds (`90`).
///
/// # Errors
/// When it is malformed, or not within the bounds.
pub fn typed(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, DurationError> {
    let (least, most) = bounds.into_inner();
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let parts = match is_plain {
        true => Cow::Owned(format!("{text}s")),
        false => Cow::Borrowed(text),
    };
    match sum(&parts, text) {
        Ok(time) if (least..=most).contains(&time) => Ok(time),
        Ok(_) | Err(DurationError::TooLong(_)) => Err(DurationError::OutOfBounds {
            text: shown(text),
            least: as_written(least),
            most: as_written(most),
        }),
        malformed => malformed,
    }
}

/// Returns the sum of `parts`, each a number with its unit; `text` is the original, for errors.
fn sum(parts: &str, text: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed(shown(text));
    let too_long = || DurationError::TooLong(shown(text));
    let of_number = |letter: char| letter.is_ascii_digit() || letter == '.';
    if parts.is_empty() {
        return Err(malformed());
    }
    let mut total = Duration::ZERO;
    let mut rest = parts;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !of_number(letter));
        let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
        let end = after.find(of_number);
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(malformed());
        }
        let known = UNITS.into_iter().find(|(name, _)| *name == unit);
        let (_, millis) = known.ok_or_else(malformed)?;
        let whole: u64 = match whole {
            "" => 0,
            digits => digits.parse().map_err(|_| too_long())?,
        };
        // Nine decimal places, so that a fraction of a day still fits.
        let billionths: u64 = format!("{fraction:0<9.9}")
            .parse()
            .map_err(|_| malformed())?;
        let whole = whole.checked_mul(millis).ok_or_else(too_long)?;
        total = total
            .checked_add(Duration::from_millis(whole))
            .and_then(|time| time.checked_add(Duration::from_nanos(billionths * millis / 1_000)))
            .ok_or_else(too_long)?;
        rest = after;
    }
    Ok(total)
}

/// Formats a duration in the greatest unit that it is a multiple of, as in a file.
fn as_written(time: Duration) -> String {
    let millis = time.as_millis();
    let fits = |unit: u64| {
        let unit = u128::from(unit);
        millis >= unit && millis.is_multiple_of(unit)
    };
    let found = UNITS.into_iter().find(|(_, unit)| fits(*unit));
    let (name, unit) = found.unwrap_or(("ms", 1));
    format!("{}{name}", millis / u128::from(unit))
}

/// Cuts a text to the length that errors show.
fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// Reads a duration with bounds that allow everything.
    fn any(text: &str) -> Result<Duration, DurationError> {
        typed(text, Duration::ZERO..=Duration::MAX)
    }

    #[test]
    fn what_stands_in_a_file_is_read_and_may_be_typed() {
        for (text, millis) in [
            ("0s", 0),
            ("300ms", 300),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("007d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1s1s", 2_000),
            ("18446744073709551615ms", u64::MAX),
        ] {
            let time = Ok(Duration::from_millis(millis));
            assert_eq!(read(text), time, "{text}");
            assert_eq!(any(text), time, "{text}");
        }
    }

    #[test]
    fn plain_seconds_and_fractions_are_only_typed() {
        for (text, nanos) in [
            ("0", 0),
            ("90", 90_000_000_000),
            ("0.2s", 200_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("1.5m", 90_000_000_000),
            ("1h0.5s", 3_600_500_000_000),
            ("0.0000000019s", 1),
            ("0.999999999d", 86_399_999_913_600),
        ] {
            assert_eq!(any(text), Ok(Duration::from_nanos(nanos)), "{text}");
            let refused = DurationError::Malformed(text.to_owned());
            assert_eq!(read(text), Err(refused), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "", "s", "5x", "1w", "1ss", "1S", "5 s", " 5s", "-5s", "+5s", "1e2s", ".", ".s",
            "1.2.3s", "1h30", "soon", "٣s", "5µs", "inf", "nan",
        ] {
            let refused = DurationError::Malformed(text.to_owned());
            assert_eq!(read(text), Err(refused.clone()), "{text}");
            assert_eq!(any(text), Err(refused), "{text}");
        }
        let message = read("soon").unwrap_err().to_string();
        assert_eq!(message, "\"soon\" is not a duration: write 30s, 5m or 1h");
    }

    #[test]
    fn what_is_too_long_to_count_is_refused() {
        for text in [
            "18446744073709551616ms",
            "18446744073709551615s",
            "99999999999999999999h",
            "18446744073709551615d",
        ] {
            let refused = DurationError::TooLong(text.to_owned());
            assert_eq!(read(text), Err(refused), "{text}");
            assert!(
                matches!(any(text), Err(DurationError::OutOfBounds { .. })),
                "{text}"
            );
        }
        let long = "9".repeat(100_000);
        assert!(any(&long).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn bounds_are_the_callers() {
        let day = |text| typed(text, Duration::from_secs(1)..=DAY);
        for (text, seconds) in [("1", 1), ("1000ms", 1), ("24h", 86_400), ("1d", 86_400)] {
            assert_eq!(day(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["0", "0s", "1ms", "0.999s", "86401", "25h", "1d1ms"] {
            let message = day(text).unwrap_err().to_string();
            let bounds = format!("{text:?} is out of bounds: give a time from 1s to 1d");
            assert_eq!(message, bounds);
        }
    }

    #[test]
    fn a_time_is_said_as_it_could_be_written() {
        for (millis, text) in [
            (0, "0ms"),
            (100, "100ms"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (5_400_000, "90m"),
            (3_600_000, "1h"),
            (31_536_000_000, "365d"),
        ] {
            let time = Duration::from_millis(millis);
            assert_eq!(as_written(time), text);
            assert_eq!(read(text), Ok(time));
        }
    }
}
