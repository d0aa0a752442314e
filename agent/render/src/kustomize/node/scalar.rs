//! Types of unquoted scalars in go.yaml.in/yaml/v3.

use serde_json::Value;

use super::Tag;

/// The type of an unquoted scalar in yaml/v3.
pub(crate) fn plain_tag(text: &str) -> Tag {
    let Some(first) = text.bytes().next() else {
        return Tag::Null;
    };
    match first {
        b'~' | b'n' | b'N' if matches!(text, "~" | "null" | "Null" | "NULL") => Tag::Null,
        b't' | b'T' | b'f' | b'F'
            if matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE") =>
        {
            Tag::Bool
        }
        b'+' | b'-' | b'.' | b'0'..=b'9' => {
            if first.is_ascii_digit() && is_time(text) {
                return Tag::Time;
            }
            match flotilla_yaml::resolve_plain(text) {
                Ok(Value::Number(number)) if number.is_f64() || is_float_notation(text) => {
                    Tag::Float
                }
                Ok(Value::Number(_)) => Tag::Integer,
                // Infinity and NaN: floats without a JSON form.
                Err(_) => Tag::Float,
                Ok(_) => Tag::Text,
            }
        }
        _ => Tag::Text,
    }
}

/// Whether a number is written as a float although its value is whole (`1.0`, `1e3`).
fn is_float_notation(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-']);
    !unsigned.starts_with("0x") && !unsigned.starts_with("0X") && text.contains(['.', 'e', 'E'])
}

/// The forms of yaml/v3's `allowedTimestampFormats`: a date, or a date and a time.
fn is_time(text: &str) -> bool {
    time_text(text).is_some()
}

/// A date or time as Go's JSON encoder writes it (RFC 3339).
pub(super) fn time_text(text: &str) -> Option<String> {
    let digits = |part: &str, least: usize, most: usize| {
        (part.len() >= least && part.len() <= most && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    // A four-digit year comes first, which rules out almost everything at once.
    if text.len() < 8 || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (
            text.get(..at)?,
            Some((text.get(at..at + 1)?, text.get(at + 1..)?)),
        ),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4, 4)?;
    let month = digits(parts.next()?, 1, 2)?;
    let day = digits(parts.next()?, 1, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || day == 0 || day > days {
        return None;
    }
    let Some((separator, time)) = time else {
        return Some(format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
    };
    let zone_at = time.find(['Z', '+', '-']);
    let (clock, zone) = match zone_at {
        Some(at) => (time.get(..at)?, time.get(at..)?),
        None => (time, ""),
    };
    // After a space there is no zone; after a `T` there must be one.
    if (separator == " ") != zone.is_empty() {
        return None;
    }
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => {
            digits(fraction, 1, 9)?;
            (clock, fraction.trim_end_matches('0'))
        }
        None => (clock, ""),
    };
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 1, 2).filter(|hour| *hour < 24)?;
    let minute = digits(parts.next()?, 1, 2).filter(|minute| *minute < 60)?;
    let second = digits(parts.next()?, 1, 2).filter(|second| *second < 60)?;
    if parts.next().is_some() {
        return None;
    }
    let zone = match zone {
        "" | "Z" | "+00:00" | "-00:00" => "Z",
        zone => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            digits(hours, 2, 2)?;
            digits(minutes, 2, 2)?;
            zone
        }
    };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{point}{fraction}{zone}"
    ))
}
