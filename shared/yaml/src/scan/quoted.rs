//! Scalars in quotes, and how lines are joined.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::{Kind, Outcome, ScalarStyle, Scanner, Token};

/// Line breaks between two pieces of a scalar.
#[derive(Debug, Default)]
pub(super) struct Folding {
    first: String,
    more: String,
    is_begun: bool,
}

impl Folding {
    pub(super) fn take_break(&mut self, cursor: &mut Cursor<'_>) -> bool {
        let into = if self.is_begun {
            &mut self.more
        } else {
            &mut self.first
        };
        let taken = cursor.take_break(into);
        self.is_begun |= taken;
        taken
    }

    /// Adds the folded breaks: a single one is a space, several are one fewer.
    pub(super) fn join(&mut self, text: &mut String) {
        if !self.first.starts_with('\n') {
            text.push_str(&self.first);
            text.push_str(&self.more);
        } else if self.more.is_empty() {
            text.push(' ');
        } else {
            text.push_str(&self.more);
        }
        self.first.clear();
        self.more.clear();
        self.is_begun = false;
    }
}

impl<'t> Scanner<'t> {
    pub(super) fn scan_quoted(&mut self) -> Outcome<Token<'t>> {
        let start = self.cursor.mark();
        let is_single = self.cursor.peek(0) == b'\'';
        self.cursor.skip_ascii();
        let mut run = self.cursor.offset();
        let mut text: Option<String> = None;
        let mut folding = Folding::default();
        loop {
            if self.cursor.at_document_indicator() {
                return self.trouble("found a document indicator in a quoted text");
            }
            let here = self.cursor.offset();
            let byte = self.cursor.peek(0);
            match byte {
                0 if self.cursor.at_end() => {
                    return Err(super::SyntaxError {
                        mark: start,
                        message: "this quote is never closed".to_owned(),
                    });
                }
                b'\'' if is_single && self.cursor.peek(1) == b'\'' => {
                    let text = text.get_or_insert_default();
                    text.push_str(self.cursor.between(run, here + 1));
                    self.cursor.skip_ascii();
                    self.cursor.skip_ascii();
                    run = self.cursor.offset();
                }
                b'\'' if is_single => break,
                b'"' if !is_single => break,
                b'\\' if !is_single => {
                    let text = text.get_or_insert_default();
                    text.push_str(self.cursor.between(run, here));
                    self.cursor.skip_ascii();
                    if self.cursor.skip_break() {
                        folding.is_begun = true;
                        self.skip_folded(&mut folding);
                        folding.join(text);
                    } else {
                        let character = self.scan_escape()?;
                        text.push(character);
                    }
                    run = self.cursor.offset();
                }
                _ if self.cursor.is_blankz(0) => {
                    self.skip_folded(&mut folding);
                    if folding.is_begun {
                        let text = text.get_or_insert_default();
                        text.push_str(self.cursor.between(run, here));
                        folding.join(text);
                        run = self.cursor.offset();
                    }
                }
                _ => self.cursor.skip_byte(),
            }
        }
        let last = self.cursor.between(run, self.cursor.offset());
        let text = match text {
            Some(mut text) => {
                text.push_str(last);
                Cow::Owned(text)
            }
            None => Cow::Borrowed(last),
        };
        self.cursor.skip_ascii();
        Ok(self.token(Kind::Scalar(text, ScalarStyle::Quoted), start))
    }

    /// Skips blanks and line breaks.
    fn skip_folded(&mut self, folding: &mut Folding) {
        loop {
            self.cursor.skip_blanks();
            if !folding.take_break(&mut self.cursor) {
                break;
            }
        }
    }

    /// Reads the escape after a backslash.
    fn scan_escape(&mut self) -> Outcome<char> {
        let digits = match self.cursor.peek(0) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            other => {
                let Some(character) = escaped(other) else {
                    return self.trouble("found unknown escape character");
                };
                self.cursor.skip_ascii();
                return Ok(character);
            }
        };
        self.cursor.skip_ascii();
        let mut code: u32 = 0;
        for _ in 0..digits {
            let Some(digit) = char::from(self.cursor.peek(0)).to_digit(16) else {
                return self.trouble("did not find an expected hexadecimal digit");
            };
            code = code.wrapping_shl(4) | digit;
            self.cursor.skip_ascii();
        }
        match char::from_u32(code) {
            Some(character) => Ok(character),
            None => self.trouble("found an escape that is not a Unicode character"),
        }
    }
}

fn escaped(byte: u8) -> Option<char> {
    Some(match byte {
        b'0' => '\0',
        b'a' => '\x07',
        b'b' => '\x08',
        b't' | b'\t' => '\t',
        b'n' => '\n',
        b'v' => '\x0B',
        b'f' => '\x0C',
        b'r' => '\r',
        b'e' => '\x1B',
        b' ' | b'"' | b'/' | b'\\' | b'\'' => char::from(byte),
        b'N' => '\u{85}',
        b'_' => '\u{a0}',
        b'L' => '\u{2028}',
        b'P' => '\u{2029}',
        _ => return None,
    })
}
