//! Literal and folded scalars.

use super::{Mark, Problem, Scanner, Token, TokenKind};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomping {
    Strip,
    Clip,
    Keep,
}

impl Scanner<'_> {
    pub(super) fn scan_block_scalar(&mut self) -> Result<Token, Problem> {
        let start = self.cursor.mark;
        let literal = self.cursor.at(0) == b'|';
        self.cursor.skip_ascii(1);
        let (chomping, increment) = self.scan_block_header(start)?;
        let mut indent = match increment {
            0 => 0,
            increment => self.indent.max(0) + increment,
        };
        let mut value = Vec::new();
        let mut line_break = Vec::new();
        let mut more_breaks = Vec::new();
        self.scan_block_breaks(&mut indent, &mut more_breaks, start)?;
        let mut previous_blank = false;
        while self.cursor.column() == indent && self.cursor.at(0) != 0 {
            let blank = self.cursor.is_blank(0);
            let folds = !literal && !previous_blank && !blank && line_break.first() == Some(&b'\n');
            if folds {
                if more_breaks.is_empty() {
                    value.push(b' ');
                }
                line_break.clear();
            } else {
                value.append(&mut line_break);
            }
            value.append(&mut more_breaks);
            previous_blank = blank;
            self.cursor.read_to_break(&mut value);
            self.cursor.read_line(&mut line_break);
            self.scan_block_breaks(&mut indent, &mut more_breaks, start)?;
        }
        if chomping != Chomping::Strip {
            value.append(&mut line_break);
        }
        if chomping == Chomping::Keep {
            value.append(&mut more_breaks);
        }
        Ok(Token {
            kind: TokenKind::Scalar {
                value,
                plain: false,
            },
            start,
        })
    }

    fn scan_block_header(&mut self, start: Mark) -> Result<(Chomping, isize), Problem> {
        let mut chomping = Chomping::Clip;
        let mut increment = 0;
        // Chomping and indentation come in either order, each once.
        let chomping_first = matches!(self.cursor.at(0), b'+' | b'-');
        for turn in 0..2 {
            if (turn == 0) == chomping_first {
                match self.cursor.at(0) {
                    b'+' => chomping = Chomping::Keep,
                    b'-' => chomping = Chomping::Strip,
                    _ => continue,
                }
                self.cursor.skip_ascii(1);
            } else if self.cursor.at(0).is_ascii_digit() {
                increment = isize::from(self.cursor.at(0) - b'0');
                if increment == 0 {
                    return Err(self.problem(start, "found an indentation indicator equal to 0"));
                }
                self.cursor.skip_ascii(1);
            } else {
                // Without a digit the header has no further indicator.
                break;
            }
        }
        self.scan_line_end(start)?;
        Ok((chomping, increment))
    }

    /// Skips indentation and empty lines; detects the indentation where it is not known yet.
    fn scan_block_breaks(
        &mut self,
        indent: &mut isize,
        breaks: &mut Vec<u8>,
        start: Mark,
    ) -> Result<(), Problem> {
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.cursor.column() < *indent) && self.cursor.at(0) == b' ' {
                self.cursor.skip_ascii(1);
            }
            deepest = deepest.max(self.cursor.column());
            if (*indent == 0 || self.cursor.column() < *indent) && self.cursor.at(0) == b'\t' {
                return Err(self.problem(
                    start,
                    "found a tab character where an indentation space is expected",
                ));
            }
            if !self.cursor.is_break(0) {
                break;
            }
            self.cursor.read_line(breaks);
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}
