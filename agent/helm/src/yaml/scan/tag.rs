//! Directives, anchors and tags.

use super::{Mark, Problem, Scanner, Token, TokenKind};

impl Scanner<'_> {
    pub(super) fn scan_directive(&mut self) -> Result<Token, Problem> {
        let start = self.cursor.mark;
        self.cursor.skip_ascii(1);
        let mut name = Vec::new();
        while self.cursor.is_alpha() {
            self.cursor.read(&mut name);
        }
        if name.is_empty() {
            return Err(self.problem(start, "could not find expected directive name"));
        }
        if !self.cursor.is_blankz(0) {
            return Err(self.problem(start, "found unexpected non-alphabetical character"));
        }
        let kind = match name.as_slice() {
            b"YAML" => self.scan_version(start)?,
            b"TAG" => self.scan_tag_directive(start)?,
            _ => return Err(self.problem(start, "found unknown directive name")),
        };
        self.scan_line_end(start)?;
        Ok(Token { kind, start })
    }

    /// Reads the rest of the line of a directive or a block's header: only blanks and a comment are allowed.
    pub(super) fn scan_line_end(&mut self, start: Mark) -> Result<(), Problem> {
        self.skip_blanks();
        if self.cursor.at(0) == b'#' {
            self.cursor.skip_to_break();
        }
        if !self.cursor.is_breakz(0) {
            return Err(self.problem(start, "did not find expected comment or line break"));
        }
        if self.cursor.is_break(0) {
            self.cursor.skip_line();
        }
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while self.cursor.is_blank(0) {
            self.cursor.skip_ascii(1);
        }
    }

    fn scan_version(&mut self, start: Mark) -> Result<TokenKind, Problem> {
        self.skip_blanks();
        let major = self.scan_version_number(start)?;
        if self.cursor.at(0) != b'.' {
            return Err(self.problem(start, "did not find expected digit or '.' character"));
        }
        self.cursor.skip_ascii(1);
        let minor = self.scan_version_number(start)?;
        Ok(TokenKind::Version { major, minor })
    }

    fn scan_version_number(&mut self, start: Mark) -> Result<u32, Problem> {
        let mut value = 0;
        let mut length = 0;
        while self.cursor.at(0).is_ascii_digit() {
            length += 1;
            if length > 2 {
                return Err(self.problem(start, "found extremely long version number"));
            }
            value = value * 10 + u32::from(self.cursor.at(0) - b'0');
            self.cursor.skip_ascii(1);
        }
        if length == 0 {
            return Err(self.problem(start, "did not find expected version number"));
        }
        Ok(value)
    }

    fn scan_tag_directive(&mut self, start: Mark) -> Result<TokenKind, Problem> {
        self.skip_blanks();
        let handle = self.scan_tag_handle(start)?;
        // In a tag, this text may turn out to be a suffix; a directive requires a handle.
        if !handle.ends_with(b"!") {
            return Err(self.problem(start, "did not find expected '!'"));
        }
        if !self.cursor.is_blank(0) {
            return Err(self.problem(start, "did not find expected whitespace"));
        }
        self.skip_blanks();
        let prefix = self.scan_tag_uri(&[], start)?;
        if !self.cursor.is_blankz(0) {
            return Err(self.problem(start, "did not find expected whitespace or line break"));
        }
        Ok(TokenKind::TagDirective { handle, prefix })
    }

    pub(super) fn scan_anchor(&mut self) -> Result<Token, Problem> {
        let start = self.cursor.mark;
        let alias = self.cursor.at(0) == b'*';
        self.cursor.skip_ascii(1);
        let mut name = Vec::new();
        while self.cursor.is_alpha() {
            self.cursor.read(&mut name);
        }
        let ends = self.cursor.is_blankz(0)
            || matches!(
                self.cursor.at(0),
                b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
            );
        if name.is_empty() || !ends {
            return Err(self.problem(
                start,
                "did not find expected alphabetic or numeric character",
            ));
        }
        let kind = if alias {
            TokenKind::Alias(name)
        } else {
            TokenKind::Anchor(name)
        };
        Ok(Token { kind, start })
    }

    pub(super) fn scan_tag(&mut self) -> Result<Token, Problem> {
        let start = self.cursor.mark;
        let handle;
        let suffix;
        if self.cursor.at(1) == b'<' {
            self.cursor.skip_ascii(2);
            handle = Vec::new();
            suffix = self.scan_tag_uri(&[], start)?;
            if self.cursor.at(0) != b'>' {
                return Err(self.problem(start, "did not find the expected '>'"));
            }
            self.cursor.skip_ascii(1);
        } else {
            let first = self.scan_tag_handle(start)?;
            if first.len() > 1 && first.last() == Some(&b'!') {
                suffix = self.scan_tag_uri(&[], start)?;
                handle = first;
            } else {
                let uri = self.scan_tag_uri(&first, start)?;
                // A lone `!` is a tag of its own, without a handle.
                (handle, suffix) = if uri.is_empty() {
                    (uri, b"!".to_vec())
                } else {
                    (b"!".to_vec(), uri)
                };
            }
        }
        if !self.cursor.is_blankz(0) {
            return Err(self.problem(start, "did not find expected whitespace or line break"));
        }
        Ok(Token {
            kind: TokenKind::Tag { handle, suffix },
            start,
        })
    }

    fn scan_tag_handle(&mut self, start: Mark) -> Result<Vec<u8>, Problem> {
        if self.cursor.at(0) != b'!' {
            return Err(self.problem(start, "did not find expected '!'"));
        }
        let mut handle = Vec::new();
        self.cursor.read(&mut handle);
        while self.cursor.is_alpha() {
            self.cursor.read(&mut handle);
        }
        if self.cursor.at(0) == b'!' {
            self.cursor.read(&mut handle);
        }
        Ok(handle)
    }

    /// Reads the part after a handle; `head` is a handle that turned out to be the beginning of the suffix.
    fn scan_tag_uri(&mut self, head: &[u8], start: Mark) -> Result<Vec<u8>, Problem> {
        let mut uri = head.get(1..).unwrap_or_default().to_vec();
        let mut found = !head.is_empty();
        loop {
            match self.cursor.at(0) {
                b'%' => self.scan_uri_escape(start, &mut uri)?,
                b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',' | b'.'
                | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'[' | b']' => {
                    self.cursor.read(&mut uri);
                }
                _ if self.cursor.is_alpha() => self.cursor.read(&mut uri),
                _ => break,
            }
            found = true;
        }
        if !found {
            return Err(self.problem(start, "did not find expected tag URI"));
        }
        Ok(uri)
    }

    fn scan_uri_escape(&mut self, start: Mark, uri: &mut Vec<u8>) -> Result<(), Problem> {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        let octet = match (hex(self.cursor.at(1)), hex(self.cursor.at(2))) {
            (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(0),
            _ => return Err(self.problem(start, "did not find URI escaped octet")),
        };
        uri.push(octet);
        self.cursor.skip_ascii(3);
        Ok(())
    }
}
