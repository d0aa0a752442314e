//! Scalars that may run over lines by folding: quoted and plain ones.

use super::{Mark, Problem, Scanner, Token, TokenKind};

/// White space between two pieces of a scalar, which becomes a space, line breaks, or stays as it is.
#[derive(Default)]
struct Gap {
    whitespace: Vec<u8>,
    first_break: Vec<u8>,
    more_breaks: Vec<u8>,
    broken: bool,
}

impl Gap {
    fn is_empty(&self) -> bool {
        !self.broken && self.whitespace.is_empty()
    }

    /// Writes the folded form of the gap, and clears it.
    fn flush(&mut self, into: &mut Vec<u8>) {
        if self.broken {
            if self.first_break.first() == Some(&b'\n') {
                if self.more_breaks.is_empty() {
                    into.push(b' ');
                } else {
                    into.append(&mut self.more_breaks);
                }
            } else {
                into.append(&mut self.first_break);
                into.append(&mut self.more_breaks);
            }
            self.first_break.clear();
            self.more_breaks.clear();
            self.broken = false;
            // Blanks before a line break are dropped.
            self.whitespace.clear();
        } else {
            into.append(&mut self.whitespace);
        }
    }
}

impl Scanner<'_> {
    pub(super) fn scan_quoted(&mut self) -> Result<Token, Problem> {
        let start = self.cursor.mark;
        let quote = self.cursor.at(0);
        let single = quote == b'\'';
        self.cursor.skip_ascii(1);
        let mut value = Vec::new();
        let mut gap = Gap::default();
        loop {
            if self.cursor.any_document_indicator() {
                return Err(self.problem(start, "found unexpected document indicator"));
            }
            if self.cursor.at(0) == 0 {
                return Err(self.problem(start, "found unexpected end of stream"));
            }
            gap.broken = false;
            while !self.cursor.is_blankz(0) {
                if self.cursor.read_ordinary(&mut value) {
                    continue;
                }
                let byte = self.cursor.at(0);
                if single && byte == b'\'' && self.cursor.at(1) == b'\'' {
                    value.push(b'\'');
                    self.cursor.skip_ascii(2);
                } else if byte == quote {
                    break;
                } else if !single && byte == b'\\' && self.cursor.is_break(1) {
                    self.cursor.skip_ascii(1);
                    self.cursor.skip_line();
                    gap.broken = true;
                    break;
                } else if !single && byte == b'\\' {
                    self.scan_escape(start, &mut value)?;
                } else {
                    self.cursor.read(&mut value);
                }
            }
            if self.cursor.at(0) == quote {
                break;
            }
            self.scan_gap(&mut gap, None)?;
            gap.flush(&mut value);
        }
        self.cursor.skip_ascii(1);
        Ok(Token {
            kind: TokenKind::Scalar {
                value,
                plain: false,
            },
            start,
        })
    }

    fn scan_escape(&mut self, start: Mark, value: &mut Vec<u8>) -> Result<(), Problem> {
        let digits = match self.cursor.at(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            other => {
                let character = match other {
                    b'0' => '\0',
                    b'a' => '\u{7}',
                    b'b' => '\u{8}',
                    b't' | b'\t' => '\t',
                    b'n' => '\n',
                    b'v' => '\u{b}',
                    b'f' => '\u{c}',
                    b'r' => '\r',
                    b'e' => '\u{1b}',
                    b' ' => ' ',
                    b'"' => '"',
                    b'\'' => '\'',
                    b'\\' => '\\',
                    b'N' => '\u{85}',
                    b'_' => '\u{a0}',
                    b'L' => '\u{2028}',
                    b'P' => '\u{2029}',
                    _ => return Err(self.problem(start, "found unknown escape character")),
                };
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                self.cursor.skip_ascii(2);
                return Ok(());
            }
        };
        self.cursor.skip_ascii(2);
        let mut code: u32 = 0;
        for offset in 0..digits {
            let Some(digit) = char::from(self.cursor.at(offset)).to_digit(16) else {
                return Err(self.problem(start, "did not find expected hexdecimal number"));
            };
            // At most eight digits; an overflow is refused below as too large.
            code = code.checked_mul(16).map_or(u32::MAX, |code| code | digit);
        }
        let Some(character) = char::from_u32(code) else {
            return Err(self.problem(start, "found invalid Unicode character escape code"));
        };
        value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.cursor.skip_ascii(digits);
        Ok(())
    }

    /// Skips blanks and line breaks. Below `indent`, where there is one, a tab is an error.
    fn scan_gap(&mut self, gap: &mut Gap, indent: Option<(isize, Mark)>) -> Result<(), Problem> {
        loop {
            if self.cursor.is_blank(0) {
                if let Some((indent, start)) = indent
                    && gap.broken
                    && self.cursor.column() < indent
                    && self.cursor.at(0) == b'\t'
                {
                    return Err(
                        self.problem(start, "found a tab character that violates indentation")
                    );
                }
                if gap.broken {
                    self.cursor.skip_ascii(1);
                } else {
                    self.cursor.read(&mut gap.whitespace);
                }
            } else if self.cursor.is_break(0) {
                if gap.broken {
                    self.cursor.read_line(&mut gap.more_breaks);
                } else {
                    gap.whitespace.clear();
                    self.cursor.read_line(&mut gap.first_break);
                    gap.broken = true;
                }
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn scan_plain(&mut self) -> Result<Token, Problem> {
        let indent = self.indent + 1;
        let start = self.cursor.mark;
        let mut value = Vec::new();
        let mut gap = Gap::default();
        loop {
            if self.cursor.any_document_indicator() || self.cursor.at(0) == b'#' {
                break;
            }
            while !self.cursor.is_blankz(0) {
                let byte = self.cursor.at(0);
                let flow_end =
                    self.flow_level > 0 && matches!(byte, b',' | b'?' | b'[' | b']' | b'{' | b'}');
                if flow_end || (byte == b':' && self.cursor.is_blankz(1)) {
                    break;
                }
                if !gap.is_empty() {
                    gap.flush(&mut value);
                }
                if !self.cursor.read_ordinary(&mut value) {
                    self.cursor.read(&mut value);
                }
            }
            if !self.cursor.is_blank(0) && !self.cursor.is_break(0) {
                break;
            }
            self.scan_gap(&mut gap, Some((indent, start)))?;
            if self.flow_level == 0 && self.cursor.column() < indent {
                break;
            }
        }
        if gap.broken {
            self.simple_key_allowed = true;
        }
        Ok(Token {
            kind: TokenKind::Scalar { value, plain: true },
            start,
        })
    }
}
