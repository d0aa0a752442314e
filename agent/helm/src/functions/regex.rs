//! Regular expressions with Go's meaning, on an engine that like Go's takes linear time.

mod translate;

use std::rc::Rc;

use regex::bytes::{Captures, Regex, RegexBuilder};

use self::translate::translate;
use super::{Function, Type, bytes, int, lossy, pure, shared};
use crate::template::{EvalError, State};
use crate::value::{Str, Value};

use Type::{Int, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    shared("regexMatch", &[S, S], |state, a| {
        // A malformed pattern matches nothing and is not an error, as in sprig.
        let matched = compile(state, &a[0]).is_ok_and(|regex| regex.is_match(bytes(a, 1)));
        Ok(Value::Bool(matched))
    }),
    shared("mustRegexMatch", &[S, S], |state, a| {
        Ok(Value::Bool(must(state, &a[0])?.is_match(bytes(a, 1))))
    }),
    shared("regexFind", &[S, S], |state, a| {
        Ok(find(&*compile(state, &a[0])?, a))
    }),
    shared("mustRegexFind", &[S, S], |state, a| {
        Ok(find(&*must(state, &a[0])?, a))
    }),
    shared("regexFindAll", &[S, S, Int], |state, a| {
        Ok(find_all(&*compile(state, &a[0])?, a))
    }),
    shared("mustRegexFindAll", &[S, S, Int], |state, a| {
        Ok(find_all(&*must(state, &a[0])?, a))
    }),
    shared("regexReplaceAll", &[S, S, S], |state, a| {
        Ok(replace(&*compile(state, &a[0])?, a, Replacement::Template))
    }),
    shared("mustRegexReplaceAll", &[S, S, S], |state, a| {
        Ok(replace(&*must(state, &a[0])?, a, Replacement::Template))
    }),
    shared("regexReplaceAllLiteral", &[S, S, S], |state, a| {
        Ok(replace(&*compile(state, &a[0])?, a, Replacement::Literal))
    }),
    shared("mustRegexReplaceAllLiteral", &[S, S, S], |state, a| {
        Ok(replace(&*must(state, &a[0])?, a, Replacement::Literal))
    }),
    shared("regexSplit", &[S, S, Int], |state, a| {
        Ok(split(&*compile(state, &a[0])?, a))
    }),
    shared("mustRegexSplit", &[S, S, Int], |state, a| {
        Ok(split(&*must(state, &a[0])?, a))
    }),
    pure("regexQuoteMeta", &[S], |a| {
        let mut out = String::new();
        for letter in lossy(a, 0).chars() {
            if "\\.+*?()|[]{}^$".contains(letter) {
                out.push('\\');
            }
            out.push(letter);
        }
        Ok(Value::from(out))
    }),
];

/// Like [`compile`], with the errors of `regexp.Compile` instead of `regexp.MustCompile`.
fn must(state: &mut State<'_>, pattern: &Value) -> Result<Rc<Regex>, EvalError> {
    compiled(state, pattern).map_err(EvalError::plain)
}

fn compile(state: &mut State<'_>, pattern: &Value) -> Result<Rc<Regex>, EvalError> {
    compiled(state, pattern).map_err(|message| {
        let shown = pattern
            .as_str()
            .map(|text| crate::fmt::quote(text.as_bytes()));
        let shown = shown.unwrap_or_default().replace('"', "`");
        EvalError::plain(format!("regexp: Compile({shown}): {message}"))
    })
}

fn compiled(state: &mut State<'_>, pattern: &Value) -> Result<Rc<Regex>, String> {
    let Value::Str(pattern) = pattern else {
        return Err("no pattern".to_owned());
    };
    if let Some(known) = state.patterns.get(pattern) {
        return known.clone();
    }
    let most = state.meter.limits().regexp;
    let result = if pattern.len() > most {
        let size = pattern.len();
        Err(format!(
            "a pattern of {size} bytes is more than the {most} that are allowed"
        ))
    } else {
        build(&pattern.lossy()).map(Rc::new)
    };
    state.patterns.insert(pattern.clone(), result.clone());
    result
}

fn build(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern)?;
    RegexBuilder::new(&translated)
        .size_limit(4 << 20)
        .dfa_size_limit(4 << 20)
        .nest_limit(200)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text
                .lines()
                .rev()
                .find_map(|line| line.trim().strip_prefix("error: "))
                .unwrap_or("invalid or too large");
            format!("error parsing regexp: {reason}: `{pattern}`")
        })
}

fn find(regex: &Regex, arguments: &[Value]) -> Value {
    match regex.find(bytes(arguments, 1)) {
        Some(found) => Value::str(found.as_bytes()),
        None => Value::from(""),
    }
}

/// Returns Go's matches: an empty match right after another one does not count.
fn matches<'t>(regex: &Regex, text: &'t [u8], most: i64) -> Vec<Captures<'t>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    regex.captures_iter(text).take(most).collect()
}

fn span(captures: &Captures<'_>) -> (usize, usize) {
    captures
        .get(0)
        .map_or((0, 0), |all| (all.start(), all.end()))
}

fn find_all(regex: &Regex, arguments: &[Value]) -> Value {
    let text = bytes(arguments, 1);
    let found = matches(regex, text, int(arguments, 2));
    Value::strings(found.iter().map(|captures| {
        let (start, end) = span(captures);
        Str::from(&text[start..end])
    }))
}

/// What a match is replaced with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replacement {
    /// A text that may name groups of the match.
    Template,
    /// The text as it is.
    Literal,
}

fn replace(regex: &Regex, arguments: &[Value], with: Replacement) -> Value {
    let text = bytes(arguments, 1);
    let template = bytes(arguments, 2);
    let found = matches(regex, text, -1);
    if found.is_empty() {
        return arguments[1].clone();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for captures in found {
        let (start, end) = span(&captures);
        out.extend_from_slice(&text[from..start]);
        match with {
            Replacement::Literal => out.extend_from_slice(template),
            Replacement::Template => expand(&mut out, template, &captures),
        }
        from = end;
    }
    out.extend_from_slice(&text[from..]);
    Value::str(out)
}

/// `$1`, `${name}` and `$$`; a name without braces is as long as it can be.
fn expand(out: &mut Vec<u8>, template: &[u8], captures: &Captures<'_>) {
    let mut rest = template;
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        out.extend_from_slice(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix(b"$") {
            out.push(b'$');
            rest = after;
            continue;
        }
        let braced = rest.first() == Some(&b'{');
        let name_from = usize::from(braced);
        let text = String::from_utf8_lossy(&rest[name_from..]).into_owned();
        let length: usize = text
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .map(char::len_utf8)
            .sum();
        let closed = !braced || text[length..].starts_with('}');
        if length == 0 || !closed {
            out.push(b'$');
            continue;
        }
        let name = &text[..length];
        rest = &rest[name_from + length + usize::from(braced)..];
        let group = match name.parse::<usize>() {
            Ok(number) if name.bytes().all(|byte| byte.is_ascii_digit()) => captures.get(number),
            _ => captures.name(name),
        };
        if let Some(group) = group {
            out.extend_from_slice(group.as_bytes());
        }
    }
    out.extend_from_slice(rest);
}

/// `Regexp.Split`
fn split(regex: &Regex, arguments: &[Value]) -> Value {
    let text = bytes(arguments, 1);
    let count = int(arguments, 2);
    if count == 0 {
        return Value::strings(Vec::<Str>::new());
    }
    if !regex.as_str().is_empty() && text.is_empty() {
        return Value::strings([""]);
    }
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let (mut from, mut end) = (0, 0);
    for captures in matches(regex, text, count) {
        if parts.len() + 1 == most {
            break;
        }
        let (start, stop) = span(&captures);
        end = start;
        if stop != 0 {
            parts.push(Str::from(&text[from..end]));
        }
        from = stop;
    }
    if end != text.len() {
        parts.push(Str::from(&text[from..]));
    }
    Value::strings(parts)
}
