//! Scalars without quotes.

use std::borrow::Cow;

use super::quoted::Folding;
use super::{Kind, Outcome, ScalarStyle, Scanner, Token, signed};

impl<'t> Scanner<'t> {
    pub(super) fn scan_plain(&mut self) -> Outcome<Token<'t>> {
        let start = self.cursor.mark();
        let indent = self.indent + 1;
        // Text of the current line that is not copied yet, and the copied text of earlier lines.
        let (mut run, mut end) = (start.offset, start);
        let mut text: Option<String> = None;
        let mut folding = Folding::default();
        let mut is_folded = false;
        loop {
            if self.cursor.at_document_indicator() || self.cursor.peek(0) == b'#' {
                break;
            }
            let word = self.cursor.offset();
            while !self.cursor.is_blankz(0) && !self.ends_plain() {
                self.cursor.skip_byte();
            }
            if self.cursor.offset() > word {
                if is_folded {
                    let text = text.get_or_insert_default();
                    text.push_str(self.cursor.between(run, end.offset));
                    folding.join(text);
                    run = word;
                    is_folded = false;
                }
                end = self.cursor.mark();
            }
            if self.cursor.at_end() || !self.cursor.is_blankz(0) {
                break;
            }
            loop {
                if self.cursor.is_blank(0) {
                    let is_tab = self.cursor.peek(0) == b'\t';
                    if is_folded && is_tab && signed(self.cursor.column()) < indent {
                        return self.trouble("found a tab character that violates indentation");
                    }
                    self.cursor.skip_ascii();
                } else if folding.take_break(&mut self.cursor) {
                    is_folded = true;
                } else {
                    break;
                }
            }
            if self.flow_level == 0 && signed(self.cursor.column()) < indent {
                break;
            }
        }
        if is_folded {
            self.key_allowed = true;
        }
        let last = self.cursor.between(run, end.offset);
        let text = match text {
            Some(mut text) => {
                text.push_str(last);
                Cow::Owned(text)
            }
            None => Cow::Borrowed(last),
        };
        Ok(Token {
            kind: Kind::Scalar(text, ScalarStyle::Plain),
            start,
            end,
        })
    }

    /// Returns whether a plain scalar ends here in the middle of a line.
    fn ends_plain(&self) -> bool {
        match self.cursor.peek(0) {
            b':' => self.cursor.is_blankz(1),
            b',' | b'[' | b']' | b'{' | b'}' => self.flow_level > 0,
            _ => false,
        }
    }
}
