//! The position in the text, and the character classes of libyaml.

use super::Problem;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::yaml) struct Mark {
    /// In characters, as are columns.
    pub index: usize,
    /// The line, counted from 0.
    pub line: usize,
    pub column: usize,
}

impl Mark {
    pub(super) fn signed_column(self) -> isize {
        isize::try_from(self.column).unwrap_or(isize::MAX)
    }
}

/// Reads from a text that [`check_characters`] has found good; past its end are NULs.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    position: usize,
    pub mark: Mark,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            position: 0,
            mark: Mark::default(),
        }
    }

    pub(super) fn at(&self, offset: usize) -> u8 {
        self.text.get(self.position + offset).copied().unwrap_or(0)
    }

    pub(super) fn column(&self) -> isize {
        self.mark.signed_column()
    }

    pub(super) fn is_break(&self, offset: usize) -> bool {
        match self.at(offset) {
            b'\r' | b'\n' => true,
            0xC2 => self.at(offset + 1) == 0x85,
            0xE2 => self.at(offset + 1) == 0x80 && matches!(self.at(offset + 2), 0xA8 | 0xA9),
            _ => false,
        }
    }

    pub(super) fn is_breakz(&self, offset: usize) -> bool {
        self.at(offset) == 0 || self.is_break(offset)
    }

    pub(super) fn is_blank(&self, offset: usize) -> bool {
        matches!(self.at(offset), b' ' | b'\t')
    }

    pub(super) fn is_blankz(&self, offset: usize) -> bool {
        self.is_blank(offset) || self.is_breakz(offset)
    }

    pub(super) fn is_alpha(&self) -> bool {
        let byte = self.at(0);
        byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
    }

    /// libyaml looks at the start of its buffer, wherever it is; at the start of the text that is the same.
    pub(super) fn is_bom(&self) -> bool {
        self.position == 0 && self.text.starts_with(&[0xEF, 0xBB, 0xBF])
    }

    /// Whether `---` or `...` stands here, followed by a blank.
    pub(super) fn document_indicator(&self, byte: u8) -> bool {
        self.at(0) == byte && self.at(1) == byte && self.at(2) == byte && self.is_blankz(3)
    }

    pub(super) fn any_document_indicator(&self) -> bool {
        self.mark.column == 0 && (self.document_indicator(b'-') || self.document_indicator(b'.'))
    }

    /// Skips characters that are known to be one byte wide.
    pub(super) fn skip_ascii(&mut self, count: usize) {
        self.position += count;
        self.mark.index += count;
        self.mark.column += count;
    }

    /// Skips one character.
    pub(super) fn skip(&mut self) {
        self.position += width(self.at(0));
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Reads one character.
    pub(super) fn read(&mut self, into: &mut Vec<u8>) {
        let end = (self.position + width(self.at(0))).min(self.text.len());
        into.extend_from_slice(&self.text[self.position..end]);
        self.skip();
    }

    /// Skips the rest of the line.
    pub(super) fn skip_to_break(&mut self) {
        let mut ignored = 0;
        while !self.is_breakz(0) {
            ignored += 1;
            self.position += width(self.at(0));
        }
        self.mark.index += ignored;
        self.mark.column += ignored;
    }

    /// Reads the rest of the line.
    pub(super) fn read_to_break(&mut self, into: &mut Vec<u8>) {
        let start = self.position;
        self.skip_to_break();
        into.extend_from_slice(&self.text[start..self.position.min(self.text.len())]);
    }

    /// Reads characters without a special meaning in any kind of scalar; returns whether there were any.
    pub(super) fn read_ordinary(&mut self, into: &mut Vec<u8>) -> bool {
        let rest = self.text.get(self.position..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'/' | b'_' | b'=' | b'$' | b'(' | b')'))
            .unwrap_or(rest.len());
        into.extend_from_slice(&rest[..length]);
        self.skip_ascii(length);
        length > 0
    }

    /// Skips a line break.
    pub(super) fn skip_line(&mut self) {
        if self.at(0) == b'\r' && self.at(1) == b'\n' {
            self.position += 2;
            self.mark.index += 2;
        } else {
            self.position += width(self.at(0));
            self.mark.index += 1;
        }
        self.mark.column = 0;
        self.mark.line += 1;
    }

    /// Reads a line break, as `\n` unless it is one of Unicode's own.
    pub(super) fn read_line(&mut self, into: &mut Vec<u8>) {
        if !self.is_break(0) {
            return;
        }
        match self.at(0) {
            0xE2 => into.extend_from_slice(&[0xE2, 0x80, self.at(2)]),
            _ => into.push(b'\n'),
        }
        self.skip_line();
    }
}

fn width(byte: u8) -> usize {
    match byte {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    }
}

/// Checks that the text consists of YAML's printable characters in UTF-8.
pub(in crate::yaml) fn check_characters(text: &[u8]) -> Result<(), Problem> {
    if text.starts_with(&[0xFF, 0xFE]) || text.starts_with(&[0xFE, 0xFF]) {
        return Err(Problem::plain(
            "UTF-16 is not supported; save the file as UTF-8",
        ));
    }
    let valid = match std::str::from_utf8(text) {
        Ok(valid) => valid,
        Err(error) => {
            let good = text.get(..error.valid_up_to()).unwrap_or_default();
            check_characters(good)?;
            return Err(Problem::plain(invalid(
                text.get(good.len()..).unwrap_or_default(),
            )));
        }
    };
    let control =
        |byte: u8| (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7F;
    if valid.is_ascii() {
        if valid.bytes().any(control) {
            return Err(Problem::plain("control characters are not allowed"));
        }
        return Ok(());
    }
    let forbidden = |character: char| {
        u8::try_from(character).is_ok_and(control)
            || matches!(character, '\u{80}'..='\u{84}' | '\u{86}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}')
    };
    if valid.contains(forbidden) {
        return Err(Problem::plain("control characters are not allowed"));
    }
    Ok(())
}

/// libyaml's words for the first octets that are not UTF-8.
fn invalid(rest: &[u8]) -> &'static str {
    let first = rest.first().copied().unwrap_or(0);
    let width = match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => return "invalid leading UTF-8 octet",
    };
    let Some(sequence) = rest.get(..width) else {
        return "incomplete UTF-8 octet sequence";
    };
    if sequence[1..].iter().any(|byte| byte & 0xC0 != 0x80) {
        return "invalid trailing UTF-8 octet";
    }
    let value = sequence[1..]
        .iter()
        .fold(u32::from(first) & (0x7F >> width), |value, byte| {
            (value << 6) + (u32::from(*byte) & 0x3F)
        });
    let least = [0x80, 0x800, 0x10000][width - 2];
    if value < least {
        "invalid length of a UTF-8 sequence"
    } else {
        "invalid Unicode character"
    }
}
