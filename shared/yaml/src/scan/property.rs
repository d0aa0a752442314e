//! Anchors, aliases, tags and directives.

use std::borrow::Cow;

use super::{Kind, Mark, Outcome, Scanner, SyntaxError, Token};

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// How a comma or a bracket in the URI of a tag is read.
#[derive(Clone, Copy, PartialEq)]
enum FlowIndicators {
    /// It is a part of it.
    Belong,
    /// It ends it.
    End,
}

impl<'t> Scanner<'t> {
    fn scan_word(&mut self) -> &'t str {
        let start = self.cursor.offset();
        while is_word(self.cursor.peek(0)) {
            self.cursor.skip_ascii();
        }
        self.cursor.between(start, self.cursor.offset())
    }

    /// An anchor or an alias.
    pub(super) fn scan_anchor(&mut self) -> Outcome<Token<'t>> {
        let start = self.cursor.mark();
        let is_alias = self.cursor.peek(0) == b'*';
        self.cursor.skip_ascii();
        let name = self.scan_word();
        let ends = self.cursor.is_blankz(0)
            || matches!(
                self.cursor.peek(0),
                b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
            );
        if name.is_empty() || !ends {
            let what = if is_alias { "alias" } else { "anchor" };
            let message = format!(
                "the name of an {what} consists of letters, digits, `-` and `_`; quote the text"
            );
            return self.trouble(&message);
        }
        let kind = if is_alias {
            Kind::Alias(name)
        } else {
            Kind::Anchor(name)
        };
        Ok(self.token(kind, start))
    }

    pub(super) fn scan_tag(&mut self) -> Outcome<Token<'t>> {
        let start = self.cursor.mark();
        let (handle, suffix) = if self.cursor.peek(1) == b'<' {
            self.cursor.skip_ascii();
            self.cursor.skip_ascii();
            let suffix = self.scan_uri(FlowIndicators::Belong)?;
            if suffix.is_empty() || self.cursor.peek(0) != b'>' {
                return self.trouble("did not find the expected '>' of a tag");
            }
            self.cursor.skip_ascii();
            (Cow::Borrowed(""), suffix)
        } else {
            let handle = self.scan_handle();
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.scan_suffix()?;
                if suffix.is_empty() {
                    return self.trouble("did not find the expected name of a tag");
                }
                (Cow::Borrowed(handle), suffix)
            } else {
                let head = handle.get(1..).unwrap_or_default();
                let rest = self.scan_suffix()?;
                let suffix = match (head.is_empty(), rest.is_empty()) {
                    (true, _) => rest,
                    (false, true) => Cow::Borrowed(head),
                    (false, false) => Cow::Owned(format!("{head}{rest}")),
                };
                if suffix.is_empty() {
                    // `!` alone says that the value is text.
                    (Cow::Borrowed(""), Cow::Borrowed("!"))
                } else {
                    (Cow::Borrowed("!"), suffix)
                }
            }
        };
        let ends = self.cursor.is_blankz(0) || (self.flow_level > 0 && self.cursor.peek(0) == b',');
        if !ends {
            return self.trouble("did not find the expected space behind a tag");
        }
        Ok(self.token(Kind::Tag(handle, suffix), start))
    }

    /// Reads `!`, `!!` or `!name!`, or the beginning of one.
    fn scan_handle(&mut self) -> &'t str {
        let start = self.cursor.offset();
        if self.cursor.peek(0) == b'!' {
            self.cursor.skip_ascii();
            self.scan_word();
            if self.cursor.peek(0) == b'!' {
                self.cursor.skip_ascii();
            }
        }
        self.cursor.between(start, self.cursor.offset())
    }

    /// Reads the part after the handle of a tag that is not in `<>`: in a flow collection a comma or bracket ends it.
    fn scan_suffix(&mut self) -> Outcome<Cow<'t, str>> {
        self.scan_uri(match self.flow_level {
            0 => FlowIndicators::Belong,
            _ => FlowIndicators::End,
        })
    }

    fn scan_uri(&mut self, indicators: FlowIndicators) -> Outcome<Cow<'t, str>> {
        let start = self.cursor.offset();
        let mut run = start;
        let mut text: Option<String> = None;
        loop {
            let byte = self.cursor.peek(0);
            let fits = is_word(byte)
                || matches!(
                    byte,
                    b';' | b'/'
                        | b'?'
                        | b':'
                        | b'@'
                        | b'&'
                        | b'='
                        | b'+'
                        | b'$'
                        | b'.'
                        | b'!'
                        | b'~'
                        | b'*'
                        | b'\''
                        | b'('
                        | b')'
                )
                || (indicators == FlowIndicators::Belong && matches!(byte, b',' | b'[' | b']'));
            if byte == b'%' {
                let text = text.get_or_insert_default();
                text.push_str(self.cursor.between(run, self.cursor.offset()));
                text.push(self.scan_uri_escape()?);
                run = self.cursor.offset();
            } else if fits {
                self.cursor.skip_ascii();
            } else {
                break;
            }
        }
        let last = self.cursor.between(run, self.cursor.offset());
        Ok(match text {
            Some(text) => Cow::Owned(text + last),
            None => Cow::Borrowed(last),
        })
    }

    /// One character as `%` and hexadecimal digits of its bytes.
    fn scan_uri_escape(&mut self) -> Outcome<char> {
        let mut bytes = Vec::new();
        loop {
            let digit = |ahead| char::from(self.cursor.peek(ahead)).to_digit(16);
            let (b'%', Some(high), Some(low)) = (self.cursor.peek(0), digit(1), digit(2)) else {
                return self.trouble("did not find two hexadecimal digits behind the % of a tag");
            };
            bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            for _ in 0..3 {
                self.cursor.skip_ascii();
            }
            match std::str::from_utf8(&bytes) {
                Ok(text) => {
                    if let Some(character) = text.chars().next() {
                        return Ok(character);
                    }
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return self.trouble("the escapes of a tag are not UTF-8"),
            }
        }
    }

    pub(super) fn scan_directive(&mut self) -> Outcome<Token<'t>> {
        let start = self.cursor.mark();
        self.cursor.skip_ascii();
        let name = self.scan_word();
        let kind = match name {
            "YAML" if self.cursor.is_blankz(0) => self.scan_version(start)?,
            "TAG" if self.cursor.is_blankz(0) => self.scan_tag_directive()?,
            _ => return self.trouble("found an unknown directive; only %YAML and %TAG are known"),
        };
        self.cursor.skip_blanks();
        if self.cursor.peek(0) == b'#' {
            self.cursor.skip_line();
        }
        if !self.cursor.is_breakz(0) {
            return self.trouble("did not find the expected end of a directive's line");
        }
        let token = self.token(kind, start);
        self.cursor.skip_break();
        Ok(token)
    }

    fn scan_version(&mut self, start: Mark) -> Outcome<Kind<'t>> {
        self.cursor.skip_blanks();
        let from = self.cursor.offset();
        while matches!(self.cursor.peek(0), b'0'..=b'9' | b'.') {
            self.cursor.skip_ascii();
        }
        match self.cursor.between(from, self.cursor.offset()) {
            "1.1" | "1.2" => Ok(Kind::Version),
            _ => Err(SyntaxError {
                mark: start,
                message: "only versions 1.1 and 1.2 of YAML are read".to_owned(),
            }),
        }
    }

    fn scan_tag_directive(&mut self) -> Outcome<Kind<'t>> {
        self.cursor.skip_blanks();
        let handle = self.scan_handle();
        let closed = handle == "!" || (handle.len() > 1 && handle.ends_with('!'));
        if !closed || !self.cursor.is_blank(0) {
            return self.trouble("a %TAG directive takes a handle such as `!name!` and a prefix");
        }
        self.cursor.skip_blanks();
        let prefix = self.scan_uri(FlowIndicators::Belong)?;
        if prefix.is_empty() || !self.cursor.is_blankz(0) {
            return self.trouble("a %TAG directive takes a handle such as `!name!` and a prefix");
        }
        Ok(Kind::TagDirective(Cow::Borrowed(handle), prefix))
    }
}
