//! Scalars after `|` and `>`.

use std::borrow::Cow;

use super::{Kind, Outcome, ScalarStyle, Scanner, Token, signed};

/// How line breaks at the end are handled.
#[derive(Clone, Copy, PartialEq)]
enum Chomping {
    Clip,
    Strip,
    Keep,
}

impl<'t> Scanner<'t> {
    pub(super) fn scan_block(&mut self) -> Outcome<Token<'t>> {
        let start = self.cursor.mark();
        let is_literal = self.cursor.peek(0) == b'|';
        self.cursor.skip_ascii();
        let (chomping, increment) = self.scan_block_header()?;
        self.cursor.skip_break();

        let mut indent = match increment {
            Some(increment) => Some(self.indent.max(0) + increment),
            None => None,
        };
        let mut text = String::new();
        let (mut first_break, mut breaks) = (String::new(), String::new());
        let mut end = self.cursor.mark();
        let mut is_blank_line = false;
        let mut column = self.scan_block_breaks(&mut indent, &mut breaks, &mut end)?;
        while signed(self.cursor.column()) == column && !self.cursor.at_end() {
            let starts_blank = self.cursor.is_blank(0);
            let folds =
                !is_literal && first_break.starts_with('\n') && !is_blank_line && !starts_blank;
            if !folds {
                text.push_str(&first_break);
            } else if breaks.is_empty() {
                text.push(' ');
            }
            first_break.clear();
            text.push_str(&breaks);
            breaks.clear();
            is_blank_line = starts_blank;
            let line = self.cursor.offset();
            self.cursor.skip_line();
            text.push_str(self.cursor.between(line, self.cursor.offset()));
            self.cursor.take_break(&mut first_break);
            column = self.scan_block_breaks(&mut indent, &mut breaks, &mut end)?;
        }
        if chomping != Chomping::Strip {
            text.push_str(&first_break);
        }
        if chomping == Chomping::Keep {
            text.push_str(&breaks);
        }
        Ok(Token {
            kind: Kind::Scalar(Cow::Owned(text), ScalarStyle::Block),
            start,
            end,
        })
    }

    fn scan_block_header(&mut self) -> Outcome<(Chomping, Option<isize>)> {
        let (mut chomping, mut increment) = (None, None);
        for _ in 0..2 {
            match self.cursor.peek(0) {
                b'+' if chomping.is_none() => chomping = Some(Chomping::Keep),
                b'-' if chomping.is_none() => chomping = Some(Chomping::Strip),
                b'0' if increment.is_none() => {
                    return self.trouble("an indentation indicator cannot be 0");
                }
                digit @ b'1'..=b'9' if increment.is_none() => {
                    increment = Some(isize::from(digit - b'0'));
                }
                _ => break,
            }
            self.cursor.skip_ascii();
        }
        self.cursor.skip_blanks();
        if self.cursor.peek(0) == b'#' {
            self.cursor.skip_line();
        }
        if !self.cursor.is_breakz(0) {
            return self.trouble("a block text begins on the line below its `|` or `>`");
        }
        Ok((chomping.unwrap_or(Chomping::Clip), increment))
    }

    /// Skips empty lines and the indentation of the next line; detects the indentation if it is not known yet, and
    /// returns it.
    fn scan_block_breaks(
        &mut self,
        indent: &mut Option<isize>,
        breaks: &mut String,
        end: &mut super::Mark,
    ) -> Outcome<isize> {
        let mut deepest = 0;
        *end = self.cursor.mark();
        loop {
            let within = |column: usize| indent.is_none_or(|indent| signed(column) < indent);
            while within(self.cursor.column()) && self.cursor.peek(0) == b' ' {
                self.cursor.skip_ascii();
            }
            deepest = deepest.max(signed(self.cursor.column()));
            if within(self.cursor.column()) && self.cursor.peek(0) == b'\t' {
                return self
                    .trouble("found a tab character where an indentation space is expected");
            }
            if !self.cursor.take_break(breaks) {
                break;
            }
            *end = self.cursor.mark();
        }
        Ok(*indent.get_or_insert(deepest.max(self.indent + 1).max(1)))
    }
}
