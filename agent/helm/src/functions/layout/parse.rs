//! Reading a time by its layout.

use super::super::time::{Time, Zone, to_days};
use super::{DAYS, Element, MONTHS, next};
use crate::fmt::quote;

/// The parts of a time that have been read so far.
struct PartialTime {
    year: i64,
    month: u32,
    day: u32,
    year_day: Option<u32>,
    hour: u32,
    afternoon: Option<bool>,
    minute: u32,
    second: u32,
    nanosecond: u32,
    offset: Option<i32>,
    abbreviation: String,
}

/// `time.Parse`: the local zone is UTC.
pub(in crate::functions) fn parse(layout: &str, text: &str) -> Result<Time, String> {
    let error = |element: &str, rest: &str, why: &str| {
        let (layout, text) = (quote(layout.as_bytes()), quote(text.as_bytes()));
        if why.is_empty() {
            let (element, rest) = (quote(element.as_bytes()), quote(rest.as_bytes()));
            format!("parsing time {text} as {layout}: cannot parse {rest} as {element}")
        } else {
            format!("parsing time {text}: {why}")
        }
    };
    let mut read = PartialTime {
        year: 0,
        month: 1,
        day: 1,
        year_day: None,
        hour: 0,
        afternoon: None,
        minute: 0,
        second: 0,
        nanosecond: 0,
        offset: None,
        abbreviation: String::new(),
    };
    let (mut pattern, mut rest) = (layout, text);
    while let Some((at, element, length)) = next(pattern) {
        rest = literal(&pattern[..at], rest).ok_or_else(|| error(&pattern[..at], rest, ""))?;
        let name = &pattern[at..at + length];
        pattern = &pattern[at + length..];
        match take(element, rest, pattern, &mut read) {
            Ok(after) => rest = after,
            Err(Some(why)) => return Err(error(name, rest, why)),
            Err(None) => return Err(error(name, rest, "")),
        }
    }
    rest = literal(pattern, rest).ok_or_else(|| error(pattern, rest, ""))?;
    if !rest.is_empty() {
        let rest = quote(rest.as_bytes());
        return Err(error("", "", &format!("extra text: {rest}")));
    }
    finish(&read).ok_or_else(|| error("", "", ": day out of range").replace(": : ", ": "))
}

/// Returns the text after a literal part of the layout; a run of spaces matches any number of them.
fn literal<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
    let mut rest = text;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == ' ' {
            if !rest.is_empty() && !rest.starts_with(' ') {
                return None;
            }
            while letters.peek() == Some(&' ') {
                letters.next();
            }
            rest = rest.trim_start_matches(' ');
            continue;
        }
        rest = rest.strip_prefix(letter)?;
    }
    Some(rest)
}

/// How many digits a number has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    OneOrTwo,
    Two,
}

impl Digits {
    /// Elements with a zero in front have two digits.
    fn of(element: Element) -> Self {
        match element {
            Element::ZeroMonth
            | Element::ZeroDay
            | Element::ZeroHour12
            | Element::ZeroMinute
            | Element::ZeroSecond => Self::Two,
            _ => Self::OneOrTwo,
        }
    }
}

/// A number of so many digits, and the text after it.
fn number(text: &str, digits: Digits) -> Option<(u32, &str)> {
    let count = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if count == 0 || digits == Digits::Two && count < 2 {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

fn named<'t>(names: &[&str], text: &'t str, length: Option<usize>) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = &name[..length.unwrap_or(name.len())];
        let start = text.get(..name.len())?;
        start
            .eq_ignore_ascii_case(name)
            .then(|| (index, &text[name.len()..]))
    })
}

type ParseResult<'t> = Result<&'t str, Option<&'static str>>;

/// Reads one element of the layout and returns the text after it. What follows in the layout is `pattern`.
fn take<'t>(
    element: Element,
    text: &'t str,
    pattern: &str,
    read: &mut PartialTime,
) -> ParseResult<'t> {
    match element {
        Element::LongYear => take_long_year(text, read),
        Element::Year => take_year(text, read),
        Element::Month | Element::LongMonth => take_month_name(element, text, read),
        Element::NumberMonth | Element::ZeroMonth => take_month_number(element, text, read),
        Element::Day | Element::LongDay => {
            let length = (element == Element::Day).then_some(3);
            Ok(named(&DAYS, text, length).ok_or(None)?.1)
        }
        Element::DayOfMonth | Element::SpaceDay | Element::ZeroDay => take_day(element, text, read),
        Element::SpaceYearDay | Element::ZeroYearDay => take_year_day(text, read),
        Element::Hour => {
            let found = number(text, Digits::of(element));
            let (hour, rest) = ranged(found, 24, ": hour out of range")?;
            read.hour = hour;
            Ok(rest)
        }
        Element::Hour12 | Element::ZeroHour12 => {
            let found = number(text, Digits::of(element));
            let (hour, rest) = ranged(found, 13, ": hour out of range")?;
            read.hour = hour;
            Ok(rest)
        }
        Element::Minute | Element::ZeroMinute => {
            let found = number(text, Digits::of(element));
            let (minute, rest) = ranged(found, 60, ": minute out of range")?;
            read.minute = minute;
            Ok(rest)
        }
        Element::Second | Element::ZeroSecond => {
            let found = number(text, Digits::of(element));
            let (second, rest) = ranged(found, 60, ": second out of range")?;
            read.second = second;
            Ok(take_unasked_fraction(rest, pattern, read))
        }
        Element::Fraction(..) => take_fraction(element, text, read),
        Element::UpperHalf | Element::LowerHalf => take_half(element, text, read),
        Element::Offset { .. } => take_offset(element, text, read),
        Element::Abbreviation => take_abbreviation(text, read),
    }
}

/// A number below `most`, or `why` it is refused.
fn ranged<'t>(
    found: Option<(u32, &'t str)>,
    most: u32,
    why: &'static str,
) -> Result<(u32, &'t str), Option<&'static str>> {
    match found {
        Some((number, rest)) if number < most => Ok((number, rest)),
        Some(_) => Err(Some(why)),
        None => Err(None),
    }
}

/// A year of four digits.
fn take_long_year<'t>(text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let digits = text
        .get(..4)
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    read.year = digits.ok_or(None)?.parse().map_err(|_| None)?;
    Ok(&text[4..])
}

/// A year of two digits, from 1969 to 2068.
fn take_year<'t>(text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let (year, rest) = number(text, Digits::Two).ok_or(None)?;
    read.year = i64::from(year) + if year >= 69 { 1900 } else { 2000 };
    Ok(rest)
}

/// The name of a month, whole or its first three letters.
fn take_month_name<'t>(element: Element, text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let length = (element == Element::Month).then_some(3);
    let (index, rest) = named(&MONTHS, text, length).ok_or(None)?;
    read.month = u32::try_from(index + 1).unwrap_or(1);
    Ok(rest)
}

/// A month from 1 to 12.
fn take_month_number<'t>(
    element: Element,
    text: &'t str,
    read: &mut PartialTime,
) -> ParseResult<'t> {
    let found = number(text, Digits::of(element)).ok_or(None)?;
    if found.0 == 0 || found.0 > 12 {
        return Err(Some(": month out of range"));
    }
    read.month = found.0;
    Ok(found.1)
}

/// A day of the month; [`finish`] checks whether the month has it.
fn take_day<'t>(element: Element, text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let text = match element {
        Element::SpaceDay => text.strip_prefix(' ').unwrap_or(text),
        _ => text,
    };
    let (day, rest) = number(text, Digits::of(element)).ok_or(None)?;
    read.day = day;
    Ok(rest)
}

/// A day of the year in three places, the first of which may be spaces.
fn take_year_day<'t>(text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let digits = text.get(..3).ok_or(None)?;
    let number = digits.trim_start_matches(' ').parse().map_err(|_| None)?;
    read.year_day = Some(number);
    Ok(&text[3..])
}

/// A fraction may follow the seconds even where the layout has none.
fn take_unasked_fraction<'t>(text: &'t str, pattern: &str, read: &mut PartialTime) -> &'t str {
    let follows = matches!(next(pattern), Some((0, Element::Fraction(..), _)));
    if !follows && text.starts_with(['.', ',']) {
        let digits = text[1..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            read.nanosecond = nanoseconds(&text[1..=digits]);
            return &text[1 + digits..];
        }
    }
    text
}

/// A fraction of a second that the layout asks for.
fn take_fraction<'t>(element: Element, text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let Element::Fraction(_, count, all) = element else {
        return Err(None);
    };
    if !text.starts_with(['.', ',']) {
        return if all { Err(None) } else { Ok(text) };
    }
    let digits = text[1..].bytes().take_while(u8::is_ascii_digit).count();
    if all && digits < count || digits == 0 {
        return Err(None);
    }
    let digits = if all { count } else { digits };
    read.nanosecond = nanoseconds(&text[1..=digits]);
    Ok(&text[1 + digits..])
}

/// The half of the day, in the letters of the layout.
fn take_half<'t>(element: Element, text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let (morning, afternoon) = match element {
        Element::UpperHalf => ("AM", "PM"),
        _ => ("am", "pm"),
    };
    let half = text.get(..2).ok_or(None)?;
    read.afternoon = Some(if half == afternoon {
        true
    } else if half == morning {
        false
    } else {
        return Err(None);
    });
    Ok(&text[2..])
}

/// The name of a zone: three to five capital letters.
fn take_abbreviation<'t>(text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
    if !(3..=5).contains(&length) {
        return Err(None);
    }
    text[..length].clone_into(&mut read.abbreviation);
    Ok(&text[length..])
}

fn nanoseconds(digits: &str) -> u32 {
    let padded = format!("{digits:0<9}");
    padded[..9].parse().unwrap_or(0)
}

fn take_offset<'t>(element: Element, text: &'t str, read: &mut PartialTime) -> ParseResult<'t> {
    let Element::Offset {
        z,
        colon,
        seconds,
        short,
    } = element
    else {
        return Err(None);
    };
    if z && let Some(rest) = text.strip_prefix('Z') {
        read.offset = Some(0);
        return Ok(rest);
    }
    let negative = text.starts_with('-');
    let rest = text.strip_prefix(['+', '-']).ok_or(None)?;
    let (hours, mut rest) = number(rest, Digits::Two).ok_or(None)?;
    let mut total = hours * 3600;
    let parts: &[u32] = match (short, seconds) {
        (true, _) => &[],
        (false, false) => &[60],
        (false, true) => &[60, 1],
    };
    for factor in parts {
        if colon {
            rest = rest.strip_prefix(':').ok_or(None)?;
        }
        let (part, after) = number(rest, Digits::Two).ok_or(None)?;
        total += part * factor;
        rest = after;
    }
    let total = i32::try_from(total).map_err(|_| None)?;
    read.offset = Some(if negative { -total } else { total });
    Ok(rest)
}

fn finish(read: &PartialTime) -> Option<Time> {
    let leap = read.year % 4 == 0 && (read.year % 100 != 0 || read.year % 400 == 0);
    let (mut month, mut day) = (read.month, read.day);
    if let Some(year_day) = read.year_day {
        if year_day == 0 || year_day > 365 + u32::from(leap) {
            return None;
        }
        (month, day) = (1, year_day);
    } else {
        let most = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if day == 0 || day > most {
            return None;
        }
    }
    let hour = match read.afternoon {
        Some(true) if read.hour < 12 => read.hour + 12,
        Some(false) if read.hour == 12 => 0,
        _ => read.hour,
    };
    let days = to_days(read.year, month, 1) + i64::from(day) - 1;
    let local = days * 86_400 + i64::from(hour * 3600 + read.minute * 60 + read.second);
    let offset = read.offset.unwrap_or(0);
    let zone = match (read.offset, read.abbreviation.as_str()) {
        (None | Some(0), "" | "UTC") => Zone::Utc,
        (_, name) => Zone::Fixed(offset, name.to_owned()),
    };
    Some(Time {
        seconds: local - i64::from(offset),
        nanoseconds: read.nanosecond,
        zone,
    })
}
