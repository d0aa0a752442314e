//! Text: trimming, replacing, quoting, splitting, joining.

use std::rc::Rc;

use super::builtin::items;
use super::{Function, Type, bytes, int, lossy, many, pure, shared, strval};
use crate::fmt;
use crate::template::{EvalError, State};
use crate::value::{ListKind, Map, MapKind, Str, Value};

use Type::{Any, Int, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    pure("hello", &[], |_| Ok(Value::from("Hello!"))),
    pure("trim", &[S], |a| Ok(Value::from(lossy_or(a, 0, str::trim)))),
    pure("trimall", &[S, S], trim_all),
    pure("trimAll", &[S, S], trim_all),
    pure("trimSuffix", &[S, S], |a| {
        let text = bytes(a, 1);
        Ok(match text.strip_suffix(bytes(a, 0)) {
            Some(rest) if rest.len() < text.len() => Value::str(rest),
            _ => a[1].clone(),
        })
    }),
    pure("trimPrefix", &[S, S], |a| {
        let text = bytes(a, 1);
        Ok(match text.strip_prefix(bytes(a, 0)) {
            Some(rest) if rest.len() < text.len() => Value::str(rest),
            _ => a[1].clone(),
        })
    }),
    pure("upper", &[S], |a| {
        Ok(Value::from(mapped(&lossy(a, 0), upper)))
    }),
    pure("lower", &[S], |a| {
        Ok(Value::from(mapped(&lossy(a, 0), lower)))
    }),
    pure("contains", &[S, S], |a| {
        Ok(Value::Bool(find(bytes(a, 1), bytes(a, 0), 0).is_some()))
    }),
    pure("hasPrefix", &[S, S], |a| {
        Ok(Value::Bool(bytes(a, 1).starts_with(bytes(a, 0))))
    }),
    pure("hasSuffix", &[S, S], |a| {
        Ok(Value::Bool(bytes(a, 1).ends_with(bytes(a, 0))))
    }),
    shared("replace", &[S, S, S], |state, a| {
        let replaced = replace(state, bytes(a, 0), bytes(a, 1), bytes(a, 2))?;
        Ok(replaced.map_or_else(|| a[2].clone(), Value::str))
    }),
    shared("repeat", &[Int, S], |state, a| {
        let count = usize::try_from(int(a, 0))
            .map_err(|_| EvalError::plain("strings: negative Repeat count"))?;
        let text = bytes(a, 1);
        room(state, text.len().saturating_mul(count))?;
        Ok(Value::str(text.repeat(count)))
    }),
    pure("trunc", &[Int, S], |a| {
        let text = bytes(a, 1);
        let count = int(a, 0);
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let cut = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(if count < 0 && length.saturating_add(count) > 0 {
            Value::str(&text[text.len() - cut..])
        } else if count >= 0 && length > count {
            Value::str(&text[..cut])
        } else {
            a[1].clone()
        })
    }),
    pure("substr", &[Int, Int, S], |a| {
        substring(int(a, 0), int(a, 1), bytes(a, 2))
    }),
    many("quote", &[], Any, |a| {
        let mut out = String::new();
        for value in a.iter().filter(|value| !value.is_nil()) {
            if !out.is_empty() {
                out.push(' ');
            }
            match value {
                Value::Str(text) => fmt::quote_into(&mut out, text.as_bytes()),
                other => fmt::quote_into(&mut out, strval(other).as_bytes()),
            }
        }
        Ok(Value::from(out))
    }),
    many("squote", &[], Any, |a| {
        let mut out = Vec::new();
        for value in a.iter().filter(|value| !value.is_nil()) {
            if !out.is_empty() {
                out.push(b' ');
            }
            out.push(b'\'');
            fmt::append(&mut out, value);
            out.push(b'\'');
        }
        Ok(Value::str(out))
    }),
    many("cat", &[], Any, |a| {
        let mut out = Vec::new();
        for value in a.iter().filter(|value| !value.is_nil()) {
            if !out.is_empty() {
                out.push(b' ');
            }
            fmt::append(&mut out, value);
        }
        Ok(Value::str(out))
    }),
    shared("indent", &[Int, S], |state, a| {
        indent(state, a, Start::Here)
    }),
    shared("nindent", &[Int, S], |state, a| {
        indent(state, a, Start::NewLine)
    }),
    pure("plural", &[S, S, Int], |a| {
        Ok(a[usize::from(int(a, 2) != 1)].clone())
    }),
    pure("toString", &[Any], |a| Ok(Value::Str(strval(&a[0])))),
    pure("toStrings", &[Any], |a| Ok(strings_value(&a[0]))),
    pure("join", &[S, Any], |a| {
        let mut out = Vec::new();
        for (index, word) in strings(&a[1]).iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(bytes(a, 0));
            }
            out.extend_from_slice(word.as_bytes());
        }
        Ok(Value::str(out))
    }),
    pure("split", &[S, S], |a| {
        Ok(numbered(&split(bytes(a, 1), bytes(a, 0), -1)))
    }),
    pure("splitn", &[S, Int, S], |a| {
        Ok(numbered(&split(bytes(a, 2), bytes(a, 0), int(a, 1))))
    }),
    pure("splitList", &[S, S], |a| {
        Ok(Value::strings(split(bytes(a, 1), bytes(a, 0), -1)))
    }),
    pure("sortAlpha", &[Any], |a| {
        let sorted = |words: &mut Vec<Str>| words.sort();
        match &a[0] {
            // Go sorts a list of strings in place, so every holder of the list sees the new order.
            Value::List(list) if list.kind() == ListKind::Str => {
                let mut words = strings(&a[0]);
                sorted(&mut words);
                let items: Vec<Value> = words.into_iter().map(Value::Str).collect();
                list.replace(items);
                Ok(a[0].clone())
            }
            other => {
                let mut words = strings(other);
                if items(other).is_some() {
                    sorted(&mut words);
                } else if other.is_nil() {
                    words.push(Str::from("<nil>"));
                }
                Ok(Value::strings(words))
            }
        }
    }),
];

fn lossy_or(arguments: &[Value], index: usize, cut: fn(&str) -> &str) -> Str {
    match std::str::from_utf8(bytes(arguments, index)) {
        Ok(text) => {
            let rest = cut(text);
            match &arguments[index] {
                Value::Str(whole) if rest.len() == text.len() => whole.clone(),
                _ => Str::from(rest),
            }
        }
        Err(_) => Str::from(cut(&lossy(arguments, index))),
    }
}

fn mapped(text: &str, map: fn(char) -> char) -> String {
    text.chars().map(map).collect()
}

/// `unicode.ToUpper`: one character for one, so that ß stays.
pub(super) fn upper(letter: char) -> char {
    let mut upper = letter.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

/// `unicode.ToLower`
pub(super) fn lower(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

fn trim_all(arguments: &[Value]) -> Result<Value, String> {
    let set: Vec<char> = lossy(arguments, 0).chars().collect();
    let text = lossy(arguments, 1);
    Ok(Value::from(
        text.trim_matches(|letter| set.contains(&letter)),
    ))
}

/// Returns the position of `mark` in the text, from `from` on.
pub(super) fn find(text: &[u8], mark: &[u8], from: usize) -> Option<usize> {
    if mark.is_empty() {
        return Some(from);
    }
    let first = mark[0];
    let last = text.len().checked_sub(mark.len())?;
    let mut at = from;
    while at <= last {
        let offset = text[at..=last].iter().position(|byte| *byte == first)?;
        at += offset;
        if text[at..].starts_with(mark) {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn room(state: &State<'_>, size: usize) -> Result<(), EvalError> {
    let most = state.meter.limits().expansion;
    if size > most {
        let message = format!("a text of {size} bytes is more than the {most} that are allowed");
        return Err(EvalError::plain(message));
    }
    Ok(())
}

/// Replaces all occurrences; none: there is nothing to replace.
fn replace(
    state: &State<'_>,
    old: &[u8],
    new: &[u8],
    text: &[u8],
) -> Result<Option<Vec<u8>>, EvalError> {
    let mut out = Vec::new();
    if old.is_empty() {
        // As in Go, an empty text matches before every character and at the end.
        let text = String::from_utf8_lossy(text);
        room(
            state,
            text.len() + (text.chars().count() + 1).saturating_mul(new.len()),
        )?;
        out.extend_from_slice(new);
        for letter in text.chars() {
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            out.extend_from_slice(new);
        }
        return Ok(Some(out));
    }
    let Some(mut at) = find(text, old, 0) else {
        return Ok(None);
    };
    let mut from = 0;
    loop {
        out.extend_from_slice(&text[from..at]);
        out.extend_from_slice(new);
        room(state, out.len())?;
        from = at + old.len();
        match find(text, old, from) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(&text[from..]);
    Ok(Some(out))
}

/// Where an indented text begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Here,
    NewLine,
}

fn indent(state: &State<'_>, arguments: &[Value], start: Start) -> Result<Value, EvalError> {
    let count = usize::try_from(int(arguments, 0))
        .map_err(|_| EvalError::plain("strings: negative Repeat count"))?;
    let text = bytes(arguments, 1);
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    room(
        state,
        text.len().saturating_add((lines + 1).saturating_mul(count)),
    )?;
    let mut out = Vec::with_capacity(text.len() + (lines + 1) * count + 1);
    if start == Start::NewLine {
        out.push(b'\n');
    }
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        out.resize(out.len() + count, b' ');
        out.extend_from_slice(line);
    }
    Ok(Value::str(out))
}

fn substring(start: i64, end: i64, text: &[u8]) -> Result<Value, String> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    match range.and_then(|(from, to)| text.get(from..to)) {
        Some(part) => Ok(Value::str(part)),
        None if (0..=length).contains(&to) => Err(format!(
            "runtime error: slice bounds out of range [{from}:{to}]"
        )),
        None => Err(format!(
            "runtime error: slice bounds out of range [:{to}] with length {length}"
        )),
    }
}

/// `strings.SplitN`; a negative count is all.
pub(super) fn split(text: &[u8], separator: &[u8], count: i64) -> Vec<Str> {
    if count == 0 {
        return Vec::new();
    }
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if separator.is_empty() {
        let text = String::from_utf8_lossy(text);
        let mut rest = text.as_ref();
        while let Some(letter) = rest.chars().next() {
            if parts.len() + 1 == most {
                parts.push(Str::from(rest));
                break;
            }
            let (head, tail) = rest.split_at(letter.len_utf8());
            parts.push(Str::from(head));
            rest = tail;
        }
        return parts;
    }
    let mut from = 0;
    while parts.len() + 1 < most
        && let Some(at) = find(text, separator, from)
    {
        parts.push(Str::from(&text[from..at]));
        from = at + separator.len();
    }
    parts.push(Str::from(&text[from..]));
    parts
}

fn numbered(parts: &[Str]) -> Value {
    let entries = parts
        .iter()
        .enumerate()
        .map(|(index, part)| (Str::from(format!("_{index}")), Value::Str(part.clone())))
        .collect();
    Value::Map(Map::of(MapKind::Str, entries))
}

/// sprig's `strslice`: a list's items as text, nil left out; anything else is a list of itself.
pub(super) fn strings(value: &Value) -> Vec<Str> {
    match (value, items(value)) {
        (_, Some(items)) => {
            let items: Rc<[Value]> = items;
            items
                .iter()
                .filter(|item| !item.is_nil())
                .map(strval)
                .collect()
        }
        (Value::Nil, None) => Vec::new(),
        (other, None) => vec![strval(other)],
    }
}

fn strings_value(value: &Value) -> Value {
    match value {
        Value::List(list) if list.kind() == ListKind::Str => value.clone(),
        other => Value::strings(strings(other)),
    }
}
