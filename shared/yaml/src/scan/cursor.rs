//! Positions in a text.

/// A position in a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// 0 is the first.
    pub(crate) line: usize,
    /// In characters; 0 is the first.
    pub(crate) column: usize,
    /// The offset in bytes.
    pub(crate) offset: usize,
}

impl Mark {
    /// 1 is the first.
    #[must_use]
    pub fn line(self) -> usize {
        self.line + 1
    }

    /// Bytes before it, of what is read.
    #[must_use]
    pub fn offset(self) -> usize {
        self.offset
    }

    /// 1 is the first.
    #[must_use]
    pub fn column(self) -> usize {
        self.column + 1
    }
}

/// Reads a text without NUL characters: a zero byte stands for its end.
pub(super) struct Cursor<'t> {
    text: &'t str,
    mark: Mark,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            mark: Mark::default(),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    pub(super) fn column(&self) -> usize {
        self.mark.column
    }

    pub(super) fn offset(&self) -> usize {
        self.mark.offset
    }

    pub(super) fn at_end(&self) -> bool {
        self.mark.offset >= self.text.len()
    }

    /// The text from one offset to another.
    pub(super) fn between(&self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Returns the byte at an offset from here; 0 beyond the end.
    pub(super) fn peek(&self, ahead: usize) -> u8 {
        let bytes = self.text.as_bytes();
        bytes.get(self.mark.offset + ahead).copied().unwrap_or(0)
    }

    pub(super) fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.peek(ahead), b' ' | b'\t')
    }

    /// Returns the length in bytes of the line break at an offset from here; 0: there is none.
    pub(super) fn break_length(&self, ahead: usize) -> usize {
        match self.peek(ahead) {
            b'\n' => 1,
            b'\r' if self.peek(ahead + 1) == b'\n' => 2,
            b'\r' => 1,
            0xC2 if self.peek(ahead + 1) == 0x85 => 2,
            0xE2 if self.peek(ahead + 1) == 0x80 && self.peek(ahead + 2) & 0xFE == 0xA8 => 3,
            _ => 0,
        }
    }

    /// A line break or the end.
    pub(super) fn is_breakz(&self, ahead: usize) -> bool {
        self.mark.offset + ahead >= self.text.len() || self.break_length(ahead) > 0
    }

    /// A blank, a line break or the end.
    pub(super) fn is_blankz(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_breakz(ahead)
    }

    /// `---` or `...` and nothing more in the first column.
    pub(super) fn at_document_indicator(&self) -> bool {
        let rest = self.text.as_bytes().get(self.mark.offset..);
        self.mark.column == 0
            && rest.is_some_and(|rest| rest.starts_with(b"---") || rest.starts_with(b"..."))
            && self.is_blankz(3)
    }

    /// Skips a character of one byte.
    pub(super) fn skip_ascii(&mut self) {
        self.mark.offset += 1;
        self.mark.column += 1;
    }

    /// Skips one byte of a line; characters count by their first byte.
    pub(super) fn skip_byte(&mut self) {
        if self.peek(0) & 0xC0 != 0x80 {
            self.mark.column += 1;
        }
        self.mark.offset += 1;
    }

    pub(super) fn skip_byte_order_mark(&mut self) {
        let rest = self.text.get(self.mark.offset..).unwrap_or_default();
        if rest.starts_with('\u{feff}') {
            self.mark.offset += '\u{feff}'.len_utf8();
        }
    }

    /// Skips to the end of the line.
    pub(super) fn skip_line(&mut self) {
        while !self.is_breakz(0) {
            self.skip_byte();
        }
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip_ascii();
        }
    }

    /// Skips a line break; false: there is none.
    pub(super) fn skip_break(&mut self) -> bool {
        let length = self.break_length(0);
        if length == 0 {
            return false;
        }
        self.mark.offset += length;
        self.mark.line += 1;
        self.mark.column = 0;
        true
    }

    /// Reads a line break into `into`; false: there is none.
    pub(super) fn take_break(&mut self, into: &mut String) -> bool {
        let start = self.mark.offset;
        let is_separator = self.peek(0) == 0xE2;
        if !self.skip_break() {
            return false;
        }
        if is_separator {
            into.push_str(self.between(start, self.mark.offset));
        } else {
            into.push('\n');
        }
        true
    }
}
