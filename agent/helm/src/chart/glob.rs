//! The two kinds of patterns for paths that Helm knows: Go's own, and gobwas's of `.Files.Glob`.

use regex::Regex;

/// A pattern that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPattern;

/// Go's `filepath.Match`: `*`, `?` and `[...]` within one part of a path, over the whole name.
///
/// # Errors
///
/// When the pattern is malformed, as far as Go notices.
pub fn path_match(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Where to resume after a mismatch: behind the last star, with one more character of the name matched by it.
    let (mut at, mut here) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            None if here == name.len() => return Ok(true),
            None => Step::Mismatch,
            Some('*') => {
                retry = Some((at + 1, here));
                at += 1;
                continue;
            }
            Some(_) => character_step(&pattern[at..], name.get(here).copied())?,
        };
        match step {
            Step::Match(length) => {
                at += length;
                here += 1;
            }
            Step::Mismatch => match retry {
                Some((after, from)) if from < name.len() && name[from] != '/' => {
                    retry = Some((after, from + 1));
                    at = after;
                    here = from + 1;
                }
                _ => {
                    check(&pattern[at..])?;
                    return Ok(false);
                }
            },
        }
    }
}

enum Step {
    /// The element matches; its length in the pattern.
    Match(usize),
    Mismatch,
}

/// Checks the rest of a pattern that did not match: Go requires it to be well-formed.
fn check(pattern: &[char]) -> Result<(), BadPattern> {
    let mut at = 0;
    while at < pattern.len() {
        at += match pattern[at] {
            '*' => 1,
            _ => element(&pattern[at..])?,
        };
    }
    Ok(())
}

/// The length of a pattern's first element.
fn element(pattern: &[char]) -> Result<usize, BadPattern> {
    match pattern {
        ['\\'] => Err(BadPattern),
        ['\\', ..] => Ok(2),
        ['[', ..] => Ok(class(pattern, None)?.1),
        _ => Ok(1),
    }
}

fn character_step(pattern: &[char], character: Option<char>) -> Result<Step, BadPattern> {
    let (matches, length) = match pattern {
        ['[', ..] => class(pattern, character)?,
        ['?', ..] => (character.is_some_and(|character| character != '/'), 1),
        ['\\'] => return Err(BadPattern),
        ['\\', literal, ..] => (character == Some(*literal), 2),
        [literal, ..] => (character == Some(*literal), 1),
        [] => (false, 0),
    };
    if matches {
        Ok(Step::Match(length))
    } else {
        Ok(Step::Mismatch)
    }
}

/// Reads a class such as `[a-z]` or `[^abc]`: whether it matches the character, and its length.
fn class(pattern: &[char], character: Option<char>) -> Result<(bool, usize), BadPattern> {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&'^');
    at += usize::from(negated);
    let mut found = false;
    let mut ranges = 0;
    let bound = |at: &mut usize| -> Result<char, BadPattern> {
        match pattern.get(*at) {
            None | Some('-' | ']') => Err(BadPattern),
            Some('\\') => {
                *at += 2;
                pattern.get(*at - 1).copied().ok_or(BadPattern)
            }
            Some(character) => {
                *at += 1;
                Ok(*character)
            }
        }
    };
    loop {
        if pattern.get(at) == Some(&']') && ranges > 0 {
            at += 1;
            break;
        }
        let low = bound(&mut at)?;
        let high = if pattern.get(at) == Some(&'-') {
            at += 1;
            bound(&mut at)?
        } else {
            low
        };
        if at >= pattern.len() {
            return Err(BadPattern);
        }
        found |= character.is_some_and(|character| low <= character && character <= high);
        ranges += 1;
    }
    Ok((character.is_some() && found != negated, at))
}

/// A pattern of `.Files.Glob`, where `**` goes over `/`.
#[derive(Clone, Debug)]
pub(super) struct Glob(Option<Regex>);

impl Glob {
    /// A malformed pattern takes everything, as in Helm.
    pub(super) fn new(pattern: &str) -> Self {
        let translated = translate(pattern).ok();
        Self(translated.and_then(|text| {
            regex::RegexBuilder::new(&text)
                .size_limit(1 << 20)
                .build()
                .ok()
        }))
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(path))
    }
}

/// gobwas's syntax as a regular expression.
fn translate(pattern: &str) -> Result<String, BadPattern> {
    let mut out = String::from("^(?s:");
    let mut characters = pattern.chars().peekable();
    let mut open = 0_usize;
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.peek() == Some(&'*') => {
                while characters.peek() == Some(&'*') {
                    characters.next();
                }
                out.push_str(".*");
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            ',' if open > 0 => out.push('|'),
            '[' => range(&mut characters, &mut out)?,
            '\\' => {
                let literal = characters.next().ok_or(BadPattern)?;
                out.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
            }
            literal => out.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4]))),
        }
    }
    if open > 0 {
        return Err(BadPattern);
    }
    out.push_str(")$");
    Ok(out)
}

/// `[abc]`, `[!abc]`, `[a-z]`: one range or one list, never both.
fn range(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) -> Result<(), BadPattern> {
    let escaped = |character: char| regex::escape(character.encode_utf8(&mut [0; 4]));
    out.push('[');
    if characters.peek() == Some(&'!') {
        characters.next();
        out.push('^');
    }
    let first = characters.next().ok_or(BadPattern)?;
    if characters.peek() == Some(&'-') {
        characters.next();
        let last = characters.next().ok_or(BadPattern)?;
        if characters.next() != Some(']') || last < first {
            return Err(BadPattern);
        }
        out.push_str(&escaped(first));
        out.push('-');
        out.push_str(&escaped(last));
    } else {
        let mut next = Some(first);
        loop {
            match next.ok_or(BadPattern)? {
                ']' => break,
                '\\' => out.push_str(&escaped(characters.next().ok_or(BadPattern)?)),
                // Within brackets these are operators of the regex engine and literals to gobwas.
                other @ ('&' | '~' | '-') => {
                    out.push('\\');
                    out.push(other);
                }
                other => out.push_str(&escaped(other)),
            }
            next = characters.next();
        }
    }
    out.push(']');
    Ok(())
}
