//! Words and their letters: case, abbreviation, wrapping.

use super::strings::{lower, upper};
use super::{Function, Type, bytes, int, lossy, pure};
use crate::value::Value;

use Type::{Int, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    pure("title", &[S], |a| Ok(Value::from(title(&lossy(a, 0))))),
    pure("untitle", &[S], |a| {
        let mut next = true;
        let text = lossy(a, 0);
        Ok(Value::from(
            text.chars()
                .map(|letter| {
                    if letter.is_whitespace() {
                        next = true;
                        letter
                    } else if std::mem::take(&mut next) {
                        lower(letter)
                    } else {
                        letter
                    }
                })
                .collect::<String>(),
        ))
    }),
    pure("nospace", &[S], |a| {
        let text = lossy(a, 0);
        let kept = text.chars().filter(|letter| !letter.is_whitespace());
        Ok(Value::from(kept.collect::<String>()))
    }),
    pure("initials", &[S], |a| {
        let mut out = String::new();
        let mut gap = true;
        for byte in bytes(a, 0) {
            let letter = char::from(*byte);
            if letter.is_whitespace() {
                gap = true;
            } else if std::mem::take(&mut gap) {
                out.push(letter);
            }
        }
        Ok(Value::from(out))
    }),
    pure("swapcase", &[S], |a| {
        let mut space = true;
        let text = lossy(a, 0);
        let swapped = text.chars().map(|letter| {
            if letter.is_uppercase() {
                space = false;
                lower(letter)
            } else if letter.is_lowercase() {
                space = false;
                upper(letter)
            } else {
                space = letter.is_whitespace();
                letter
            }
        });
        Ok(Value::from(swapped.collect::<String>()))
    }),
    pure("abbrev", &[Int, S], |a| {
        if int(a, 0) < 4 {
            return Ok(a[1].clone());
        }
        Ok(Value::str(abbreviate(bytes(a, 1), 0, int(a, 0))))
    }),
    pure("abbrevboth", &[Int, Int, S], |a| {
        let (left, right) = (int(a, 0), int(a, 1));
        if right < 4 || left > 0 && right < 7 {
            return Ok(a[2].clone());
        }
        Ok(Value::str(abbreviate(bytes(a, 2), left, right)))
    }),
    pure("wrap", &[Int, S], |a| {
        let (text, width) = (bytes(a, 1), int(a, 0));
        Ok(Value::str(wrap(text, width, b"\n", LongWords::Whole)))
    }),
    pure("wrapWith", &[Int, S, S], |a| {
        let separator = match bytes(a, 1) {
            b"" => b"\n",
            given => given,
        };
        let (text, width) = (bytes(a, 2), int(a, 0));
        Ok(Value::str(wrap(text, width, separator, LongWords::Cut)))
    }),
    pure("snakecase", &[S], |a| {
        Ok(Value::from(separated(&lossy(a, 0), '_')))
    }),
    pure("kebabcase", &[S], |a| {
        Ok(Value::from(separated(&lossy(a, 0), '-')))
    }),
    pure("camelcase", &[S], |a| Ok(Value::from(camel(&lossy(a, 0))))),
];

/// `strings.Title`: the first letter after anything that is no letter, digit or underscore.
fn title(text: &str) -> String {
    let mut before = ' ';
    text.chars()
        .map(|letter| {
            let begins = if before.is_ascii() {
                !before.is_ascii_alphanumeric() && before != '_'
            } else {
                !before.is_alphanumeric() && before.is_whitespace()
            };
            before = letter;
            if begins { upper(letter) } else { letter }
        })
        .collect()
}

fn abbreviate(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if width < 4 {
        return Vec::new();
    }
    if length <= width {
        return text.to_vec();
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    let at = |position: i64| usize::try_from(position).unwrap_or(0).min(text.len());
    if offset <= 4 {
        return [&text[..at(width - 3)], b"..."].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + width - 3 < length {
        let rest = abbreviate(&text[at(offset)..], 0, width - 3);
        return [b"...", rest.as_slice()].concat();
    }
    [b"...", &text[at(length - (width - 3))..]].concat()
}

/// How a word that is longer than a line is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LongWords {
    Whole,
    Cut,
}

fn wrap(text: &[u8], width: i64, separator: &[u8], long_words: LongWords) -> Vec<u8> {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let mut out = Vec::with_capacity(text.len());
    let mut offset = 0;
    while text.len() - offset > width {
        if text[offset] == b' ' {
            offset += 1;
            continue;
        }
        let space = text[offset..=offset + width]
            .iter()
            .rposition(|byte| *byte == b' ');
        if let Some(space) = space {
            out.extend_from_slice(&text[offset..offset + space]);
            out.extend_from_slice(separator);
            offset += space + 1;
        } else if long_words == LongWords::Cut {
            out.extend_from_slice(&text[offset..offset + width]);
            out.extend_from_slice(separator);
            offset += width;
        } else {
            let end = offset + width;
            match text[end..].iter().position(|byte| *byte == b' ') {
                None => {
                    out.extend_from_slice(&text[offset..]);
                    offset = text.len();
                }
                Some(space) => {
                    out.extend_from_slice(&text[offset..end + space]);
                    out.extend_from_slice(separator);
                    offset = end + space + 1;
                }
            }
        }
    }
    out.extend_from_slice(&text[offset..]);
    out
}

fn is_connector(letter: char) -> bool {
    letter == '-' || letter == '_' || letter.is_whitespace()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

fn is_punctuation(letter: char) -> bool {
    if letter.is_ascii() {
        letter.is_ascii_punctuation()
            && !matches!(letter, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~')
    } else {
        ('\u{2010}'..='\u{2027}').contains(&letter)
            || matches!(letter, '¡' | '§' | '«' | '¶' | '·' | '»' | '¿')
    }
}

fn is_letter(letter: char) -> bool {
    letter.is_alphabetic()
}

/// The first word of the text, and the rest.
fn next_word(text: &str) -> Option<(Word, &str, &str)> {
    let first = text.chars().next()?;
    let run = |test: fn(char) -> bool| text.find(|letter| !test(letter)).unwrap_or(text.len());
    let small = |letter: char| is_letter(letter) && !letter.is_uppercase();
    let (word, length) = if is_connector(first) {
        (Word::Connector, run(is_connector))
    } else if is_punctuation(first) {
        (Word::Punctuation, run(is_punctuation))
    } else if first.is_uppercase() {
        let capitals = run(char::is_uppercase);
        let count = text[..capitals].chars().count();
        let next = text[capitals..].chars().next();
        let length = if count > 1 {
            // The last capital begins the next word, if letters follow.
            let last = text[..capitals]
                .chars()
                .next_back()
                .map_or(0, char::len_utf8);
            if next.is_some_and(is_letter) {
                capitals - last
            } else {
                capitals
            }
        } else {
            let rest = &text[capitals..];
            capitals + rest.find(|letter| !small(letter)).unwrap_or(rest.len())
        };
        (Word::Upper, length)
    } else if is_letter(first) {
        (
            Word::Letters,
            run(|letter| is_letter(letter) && !letter.is_uppercase()),
        )
    } else if first.is_numeric() {
        (Word::Number, run(char::is_numeric))
    } else {
        let other = |letter: char| {
            !is_connector(letter)
                && !is_letter(letter)
                && !letter.is_numeric()
                && !is_punctuation(letter)
        };
        (Word::Other, run(other))
    };
    let (word_text, rest) = text.split_at(length);
    Some((word, word_text, rest))
}

/// Words in small letters with the connector between them.
fn separated(text: &str, connector: char) -> String {
    let mut out = String::new();
    let Some((mut kind, mut word, mut rest)) = next_word(text) else {
        return out;
    };
    let mut over = false;
    // Takes the next word, or notes that there is none.
    macro_rules! advance {
        () => {
            match next_word(rest) {
                Some(next) => (kind, word, rest) = next,
                None => over = true,
            }
        };
    }
    while !rest.is_empty() {
        if kind != Word::Connector {
            put(&mut out, kind, word, connector);
        }
        let (before, last) = (kind, word);
        advance!();
        match before {
            Word::Number => {
                while !over && matches!(kind, Word::Letters | Word::Number) {
                    put(&mut out, kind, word, connector);
                    advance!();
                }
                if !over && !matches!(kind, Word::Punctuation | Word::Connector) {
                    out.push(connector);
                }
            }
            Word::Connector => put(&mut out, before, last, connector),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if !matches!(kind, Word::Connector | Word::Punctuation) {
                    out.push(connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                advance!();
                if kind != Word::Letters {
                    put(&mut out, Word::Number, number, connector);
                    if !matches!(kind, Word::Connector | Word::Punctuation) {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                put(&mut out, Word::Number, number, connector);
                while !over && matches!(kind, Word::Letters | Word::Number) {
                    put(&mut out, kind, word, connector);
                    advance!();
                }
                if !over && !matches!(kind, Word::Connector | Word::Punctuation) {
                    out.push(connector);
                }
            }
        }
        if over {
            return out;
        }
    }
    put(&mut out, kind, word, connector);
    out
}

fn put(out: &mut String, kind: Word, word: &str, connector: char) {
    match kind {
        Word::Connector => word.chars().for_each(|_| out.push(connector)),
        Word::Upper => out.extend(word.chars().map(lower)),
        _ => out.push_str(word),
    }
}

/// `xstrings.ToPascalCase`
fn camel(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters
        .peek()
        .copied()
        .filter(|letter| is_connector(*letter))
    {
        out.push(letter);
        letters.next();
    }
    let Some(first) = letters.next() else {
        return out;
    };
    let mut run_of_capitals = first.is_uppercase();
    let mut before = upper(first);
    for letter in letters {
        let mut letter = letter;
        if is_connector(letter) && is_connector(before) {
            out.push(before);
            before = letter;
            continue;
        }
        if is_connector(before) {
            run_of_capitals = letter.is_uppercase();
            letter = upper(letter);
        } else {
            if run_of_capitals {
                if letter.is_uppercase() {
                    letter = lower(letter);
                } else {
                    run_of_capitals = false;
                }
            }
            out.push(before);
        }
        before = letter;
    }
    out.push(before);
    out
}
