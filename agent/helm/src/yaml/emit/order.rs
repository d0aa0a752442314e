//! goyaml's order of keys: letters after everything else, numbers by value.

use super::Dialect;
use crate::value::{Str, Value};

/// Sorts entries in goyaml's order. Its comparison is inconsistent for unusual keys, so the sort must not rely on a
/// total order.
pub(super) fn natural(entries: Vec<(Str, Value)>, dialect: Dialect) -> Vec<(Str, Value)> {
    let sorted = entries
        .windows(2)
        .all(|pair| !less(&pair[1].0.lossy(), &pair[0].0.lossy(), dialect));
    if sorted {
        return entries;
    }
    merge_sort(entries, dialect)
}

fn merge_sort(mut entries: Vec<(Str, Value)>, dialect: Dialect) -> Vec<(Str, Value)> {
    if entries.len() < 2 {
        return entries;
    }
    let second = merge_sort(entries.split_off(entries.len() / 2), dialect);
    let first = merge_sort(entries, dialect);
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let mut first = first.into_iter().peekable();
    let mut second = second.into_iter().peekable();
    while let (Some((a, _)), Some((b, _))) = (first.peek(), second.peek()) {
        let take_second = less(&b.lossy(), &a.lossy(), dialect);
        merged.extend(if take_second {
            second.next()
        } else {
            first.next()
        });
    }
    merged.extend(first);
    merged.extend(second);
    merged
}

fn less(a: &str, b: &str, dialect: Dialect) -> bool {
    let differs = a
        .char_indices()
        .zip(b.chars())
        .find(|((_, x), y)| x != y)
        .map(|((at, x), y)| (at, x, y));
    let Some((at, x, y)) = differs else {
        return a.len() < b.len();
    };
    let before = &a[..at];
    let (x_letter, y_letter) = (x.is_alphabetic(), y.is_alphabetic());
    if x_letter && y_letter {
        return x < y;
    }
    if x_letter || y_letter {
        let after_digit = before.ends_with(|last: char| last.is_ascii_digit());
        return if dialect == Dialect::Pretty && after_digit {
            x_letter
        } else {
            y_letter
        };
    }
    // Zeros that follow digits are part of a number; those that lead one are not.
    let inside_number = before
        .bytes()
        .rev()
        .take_while(u8::is_ascii_digit)
        .any(|digit| digit != b'0');
    let lead = i64::from((x == '0' || y == '0') && inside_number);
    let (x_number, x_digits) = number(&a[at..], lead);
    let (y_number, y_digits) = number(&b[at..], lead);
    if x_number != y_number {
        return x_number < y_number;
    }
    if x_digits != y_digits {
        return x_digits < y_digits;
    }
    x < y
}

/// Reads a number, which wraps around like Go's `int64`.
fn number(text: &str, lead: i64) -> (i64, usize) {
    text.bytes()
        .take_while(u8::is_ascii_digit)
        .fold((lead, 0), |(value, count), digit| {
            let value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            (value, count + 1)
        })
}
