//! Go's layouts of times: a reference time in the form that the output should have.

mod parse;

use super::civil::Civil;

pub(super) use parse::parse;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// One element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    LongMonth,
    Month,
    NumberMonth,
    ZeroMonth,
    LongDay,
    Day,
    DayOfMonth,
    SpaceDay,
    ZeroDay,
    SpaceYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    Abbreviation,
    /// An offset: `Z` for UTC, colons, seconds, hours only.
    Offset {
        z: bool,
        colon: bool,
        seconds: bool,
        short: bool,
    },
    /// Fractional digits of a second after this mark; whether trailing zeros are dropped.
    Fraction(char, usize, bool),
}

fn offset(text: &str) -> Option<(Element, usize)> {
    const ALL: [(&str, bool, bool, bool, bool); 10] = [
        ("-070000", false, false, true, false),
        ("-07:00:00", false, true, true, false),
        ("-0700", false, false, false, false),
        ("-07:00", false, true, false, false),
        ("-07", false, false, false, true),
        ("Z070000", true, false, true, false),
        ("Z07:00:00", true, true, true, false),
        ("Z0700", true, false, false, false),
        ("Z07:00", true, true, false, false),
        ("Z07", true, false, false, true),
    ];
    ALL.iter()
        .find(|entry| text.starts_with(entry.0))
        .map(|entry| {
            let element = Element::Offset {
                z: entry.1,
                colon: entry.2,
                seconds: entry.3,
                short: entry.4,
            };
            (element, entry.0.len())
        })
}

/// The first element in the layout: where, which, how long.
fn next(layout: &str) -> Option<(usize, Element, usize)> {
    for (at, letter) in layout.char_indices() {
        let text = &layout[at..];
        let lower_after =
            |length: usize| text[length..].starts_with(|next: char| next.is_ascii_lowercase());
        let found = match letter {
            'J' if text.starts_with("January") => Some((Element::LongMonth, 7)),
            'J' if text.starts_with("Jan") && !lower_after(3) => Some((Element::Month, 3)),
            'M' if text.starts_with("Monday") => Some((Element::LongDay, 6)),
            'M' if text.starts_with("Mon") && !lower_after(3) => Some((Element::Day, 3)),
            'M' if text.starts_with("MST") => Some((Element::Abbreviation, 3)),
            '0' => match text.as_bytes().get(1) {
                Some(b'0') if text.starts_with("002") => Some((Element::ZeroYearDay, 3)),
                Some(b'1') => Some((Element::ZeroMonth, 2)),
                Some(b'2') => Some((Element::ZeroDay, 2)),
                Some(b'3') => Some((Element::ZeroHour12, 2)),
                Some(b'4') => Some((Element::ZeroMinute, 2)),
                Some(b'5') => Some((Element::ZeroSecond, 2)),
                Some(b'6') => Some((Element::Year, 2)),
                _ => None,
            },
            '1' if text.starts_with("15") => Some((Element::Hour, 2)),
            '1' => Some((Element::NumberMonth, 1)),
            '2' if text.starts_with("2006") => Some((Element::LongYear, 4)),
            '2' => Some((Element::DayOfMonth, 1)),
            '_' if text.starts_with("_2006") => return Some((at + 1, Element::LongYear, 4)),
            '_' if text.starts_with("__2") => Some((Element::SpaceYearDay, 3)),
            '_' if text.starts_with("_2") => Some((Element::SpaceDay, 2)),
            '3' => Some((Element::Hour12, 1)),
            '4' => Some((Element::Minute, 1)),
            '5' => Some((Element::Second, 1)),
            'P' if text.starts_with("PM") => Some((Element::UpperHalf, 2)),
            'p' if text.starts_with("pm") => Some((Element::LowerHalf, 2)),
            '-' | 'Z' => offset(text),
            '.' | ',' => fraction(text),
            _ => None,
        };
        if let Some((element, length)) = found {
            return Some((at, element, length));
        }
    }
    None
}

fn fraction(text: &str) -> Option<(Element, usize)> {
    let mark = text.chars().next()?;
    let digit = text[1..]
        .chars()
        .next()
        .filter(|digit| matches!(digit, '0' | '9'))?;
    let count = text[1..].len() - text[1..].trim_start_matches(digit).len();
    let after = text[1 + count..].chars().next();
    if after.is_some_and(|after| after.is_ascii_digit()) {
        return None;
    }
    Some((Element::Fraction(mark, count, digit == '0'), 1 + count))
}

pub(super) fn format(layout: &str, time: &Civil) -> String {
    let mut out = String::with_capacity(layout.len() + 10);
    let mut rest = layout;
    while let Some((at, element, length)) = next(rest) {
        out.push_str(&rest[..at]);
        write(&mut out, element, time);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

fn write(out: &mut String, element: Element, time: &Civil) {
    let hour12 = match time.hour % 12 {
        0 => 12,
        hour => hour,
    };
    let month = MONTHS[(time.month as usize).clamp(1, 12) - 1];
    let day = DAYS[time.weekday % 7];
    let text = match element {
        Element::LongMonth => month.to_owned(),
        Element::Month => month[..3].to_owned(),
        Element::NumberMonth => time.month.to_string(),
        Element::ZeroMonth => format!("{:02}", time.month),
        Element::LongDay => day.to_owned(),
        Element::Day => day[..3].to_owned(),
        Element::DayOfMonth => time.day.to_string(),
        Element::SpaceDay => format!("{:2}", time.day),
        Element::ZeroDay => format!("{:02}", time.day),
        Element::SpaceYearDay => format!("{:3}", time.year_day),
        Element::ZeroYearDay => format!("{:03}", time.year_day),
        Element::Hour => format!("{:02}", time.hour),
        Element::Hour12 => hour12.to_string(),
        Element::ZeroHour12 => format!("{hour12:02}"),
        Element::Minute => time.minute.to_string(),
        Element::ZeroMinute => format!("{:02}", time.minute),
        Element::Second => time.second.to_string(),
        Element::ZeroSecond => format!("{:02}", time.second),
        Element::LongYear if time.year < 0 => format!("-{:04}", -time.year),
        Element::LongYear => format!("{:04}", time.year),
        Element::Year => format!("{:02}", time.year.rem_euclid(100)),
        Element::UpperHalf => if time.hour >= 12 { "PM" } else { "AM" }.to_owned(),
        Element::LowerHalf => if time.hour >= 12 { "pm" } else { "am" }.to_owned(),
        Element::Abbreviation if !time.abbreviation.is_empty() => time.abbreviation.clone(),
        Element::Abbreviation => {
            let minutes = time.offset / 60;
            let sign = if minutes < 0 { '-' } else { '+' };
            let minutes = minutes.unsigned_abs();
            if minutes.is_multiple_of(60) {
                format!("{sign}{:02}", minutes / 60)
            } else {
                format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
        }
        Element::Offset { z: true, .. } if time.offset == 0 => "Z".to_owned(),
        Element::Offset {
            colon,
            seconds,
            short,
            ..
        } => {
            let sign = if time.offset < 0 { '-' } else { '+' };
            let total = time.offset.unsigned_abs();
            let colon = if colon { ":" } else { "" };
            let mut text = format!("{sign}{:02}", total / 3600);
            if !short {
                text.push_str(&format!("{colon}{:02}", total / 60 % 60));
            }
            if seconds {
                text.push_str(&format!("{colon}{:02}", total % 60));
            }
            text
        }
        Element::Fraction(mark, count, all) => {
            let digits = format!("{:09}", time.nanosecond);
            let digits = &digits[..count.min(9)];
            if all {
                format!("{mark}{digits}")
            } else {
                let digits = digits.trim_end_matches('0');
                if digits.is_empty() {
                    String::new()
                } else {
                    format!("{mark}{digits}")
                }
            }
        }
    };
    out.push_str(&text);
}
