//! From text to tokens, as libyaml does it: kubectl, kustomize and SOPS all use ports of its scanner, so that its
//! behaviour is what "YAML" means to their users.
//!
//! Where go-yaml accepts more than libyaml (`\'` in double quotes, `:` before `,` in a flow collection), so does this.

mod block;
mod cursor;
mod plain;
mod property;
mod quoted;

use std::borrow::Cow;
use std::collections::VecDeque;

use cursor::Cursor;
pub use cursor::Mark;

/// Style of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Without quotes: what it means depends on the text.
    Plain,
    /// In `'` or `"`.
    Quoted,
    /// After `|` or `>`.
    Block,
}

/// A syntax error with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) mark: Mark,
    pub(crate) message: String,
}

pub(crate) type Outcome<T> = Result<T, SyntaxError>;

#[derive(Debug, PartialEq)]
pub(crate) enum Kind<'t> {
    StreamEnd,
    Version,
    TagDirective(Cow<'t, str>, Cow<'t, str>),
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(&'t str),
    Anchor(&'t str),
    /// Handle (empty where the tag is written out) and suffix.
    Tag(Cow<'t, str>, Cow<'t, str>),
    Scalar(Cow<'t, str>, ScalarStyle),
}

#[derive(Debug)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind<'t>,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
}

/// A token that turns out to be a key where a `:` follows on the same line.
#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    /// Only a key is possible here, so that a missing `:` is an error.
    required: bool,
    token: usize,
    mark: Mark,
}

/// Maximum distance of a `:` from its key's first character.
const KEY_REACH: usize = 1024;

pub(crate) struct Scanner<'t> {
    cursor: Cursor<'t>,
    tokens: VecDeque<Token<'t>>,
    /// Number of tokens already returned: `SimpleKey::token` counts from the beginning.
    taken: usize,
    ended: bool,
    /// Column of the innermost open block collection; -1: there is none.
    indent: isize,
    indents: Vec<isize>,
    flow_level: usize,
    key_allowed: bool,
    /// One for each flow level, the block context included.
    keys: Vec<SimpleKey>,
}

impl<'t> Scanner<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            cursor: Cursor::new(text),
            tokens: VecDeque::new(),
            taken: 0,
            ended: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            key_allowed: true,
            keys: vec![SimpleKey::default()],
        }
    }

    /// Takes the next token; after the end, the end again.
    pub(crate) fn next(&mut self) -> Outcome<Token<'t>> {
        while self.needs_more()? {
            self.fetch()?;
        }
        match self.tokens.pop_front() {
            Some(token) => {
                self.taken += 1;
                Ok(token)
            }
            None => Ok(self.token(Kind::StreamEnd, self.cursor.mark())),
        }
    }

    /// Whether the first token may still turn out to be a key.
    fn needs_more(&mut self) -> Outcome<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.tokens.is_empty() {
            return Ok(true);
        }
        self.drop_stale_keys()?;
        let first = self.taken;
        Ok(self
            .keys
            .iter()
            .any(|key| key.possible && key.token == first))
    }

    fn token(&self, kind: Kind<'t>, start: Mark) -> Token<'t> {
        Token {
            kind,
            start,
            end: self.cursor.mark(),
        }
    }

    fn push(&mut self, kind: Kind<'t>, start: Mark) {
        let token = self.token(kind, start);
        self.tokens.push_back(token);
    }

    fn trouble<T>(&self, message: &str) -> Outcome<T> {
        Err(SyntaxError {
            mark: self.cursor.mark(),
            message: message.to_owned(),
        })
    }

    fn fetch(&mut self) -> Outcome<()> {
        self.skip_to_next_token();
        self.drop_stale_keys()?;
        self.unroll(self.cursor.column());
        if self.cursor.at_end() {
            return self.fetch_end();
        }
        let first = self.cursor.peek(0);
        let blank_follows = self.cursor.is_blankz(1);
        let is_flow = self.flow_level > 0;
        if self.cursor.column() == 0 {
            if first == b'%' {
                return self.fetch_directive();
            }
            if self.cursor.at_document_indicator() {
                return self.fetch_document_indicator();
            }
        }
        match first {
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if blank_follows => self.fetch_block_entry(),
            b'?' if is_flow || blank_follows => self.fetch_key(),
            b':' if is_flow || blank_follows => self.fetch_value(),
            b'*' | b'&' => {
                self.save_key()?;
                self.key_allowed = false;
                let token = self.scan_anchor()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'!' => {
                self.save_key()?;
                self.key_allowed = false;
                let token = self.scan_tag()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'|' | b'>' if !is_flow => {
                self.remove_key()?;
                self.key_allowed = true;
                let token = self.scan_block()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'\'' | b'"' => {
                self.save_key()?;
                self.key_allowed = false;
                let token = self.scan_quoted()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'-' if !self.cursor.is_blank(1) => self.fetch_plain(),
            b'?' | b':' if !is_flow => self.fetch_plain(),
            b'\t' => self.trouble("found a tab where spaces are needed to indent"),
            b'-' | b'?' | b':' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => {
                let message = format!(
                    "found `{}`, which cannot start any token; quote the text",
                    char::from(first)
                );
                self.trouble(&message)
            }
            _ => self.fetch_plain(),
        }
    }

    fn fetch_plain(&mut self) -> Outcome<()> {
        self.save_key()?;
        self.key_allowed = false;
        let token = self.scan_plain()?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn skip_to_next_token(&mut self) {
        loop {
            if self.cursor.column() == 0 {
                self.cursor.skip_byte_order_mark();
            }
            loop {
                match self.cursor.peek(0) {
                    b' ' => self.cursor.skip_ascii(),
                    // A tab is not indentation; where a key may begin it is an error.
                    b'\t' if self.flow_level > 0 || !self.key_allowed => self.cursor.skip_ascii(),
                    _ => break,
                }
            }
            if self.cursor.peek(0) == b'#' {
                self.cursor.skip_line();
            }
            if !self.cursor.skip_break() {
                break;
            }
            if self.flow_level == 0 {
                self.key_allowed = true;
            }
        }
    }

    fn drop_stale_keys(&mut self) -> Outcome<()> {
        let here = self.cursor.mark();
        for key in &mut self.keys {
            if key.possible
                && (key.mark.line < here.line || key.mark.column + KEY_REACH < here.column)
            {
                if key.required {
                    return Err(missing_colon(key.mark));
                }
                key.possible = false;
            }
        }
        Ok(())
    }

    fn save_key(&mut self) -> Outcome<()> {
        if !self.key_allowed {
            return Ok(());
        }
        let mark = self.cursor.mark();
        let required = self.flow_level == 0 && self.indent == signed(mark.column);
        self.remove_key()?;
        let token = self.taken + self.tokens.len();
        if let Some(key) = self.keys.last_mut() {
            *key = SimpleKey {
                possible: true,
                required,
                token,
                mark,
            };
        }
        Ok(())
    }

    fn remove_key(&mut self) -> Outcome<()> {
        if let Some(key) = self.keys.last_mut() {
            if key.possible && key.required {
                return Err(missing_colon(key.mark));
            }
            key.possible = false;
        }
        Ok(())
    }

    /// Opens a block collection if the column is further in than that of the innermost open one.
    fn roll(&mut self, column: usize, before: Option<usize>, kind: Kind<'t>, mark: Mark) {
        let column = signed(column);
        if self.flow_level > 0 || self.indent >= column {
            return;
        }
        self.indents.push(self.indent);
        self.indent = column;
        let token = Token {
            kind,
            start: mark,
            end: mark,
        };
        match before {
            Some(number) => {
                let at = number.saturating_sub(self.taken).min(self.tokens.len());
                self.tokens.insert(at, token);
            }
            None => self.tokens.push_back(token),
        }
    }

    /// Closes the block collections that are further in than the column.
    fn unroll(&mut self, column: usize) {
        self.unroll_to(signed(column));
    }

    fn unroll_to(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(Kind::BlockEnd, self.cursor.mark());
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch_end(&mut self) -> Outcome<()> {
        self.unroll_to(-1);
        self.remove_key()?;
        self.key_allowed = false;
        self.push(Kind::StreamEnd, self.cursor.mark());
        self.ended = true;
        Ok(())
    }

    fn fetch_directive(&mut self) -> Outcome<()> {
        self.unroll_to(-1);
        self.remove_key()?;
        self.key_allowed = false;
        let token = self.scan_directive()?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn fetch_document_indicator(&mut self) -> Outcome<()> {
        self.unroll_to(-1);
        self.remove_key()?;
        self.key_allowed = false;
        let start = self.cursor.mark();
        let kind = match self.cursor.peek(0) {
            b'-' => Kind::DocumentStart,
            _ => Kind::DocumentEnd,
        };
        for _ in 0..3 {
            self.cursor.skip_ascii();
        }
        self.push(kind, start);
        Ok(())
    }

    fn skip_as(&mut self, kind: Kind<'t>) {
        let start = self.cursor.mark();
        self.cursor.skip_ascii();
        self.push(kind, start);
    }

    fn fetch_flow_start(&mut self, kind: Kind<'t>) -> Outcome<()> {
        self.save_key()?;
        self.keys.push(SimpleKey::default());
        self.flow_level += 1;
        self.key_allowed = true;
        self.skip_as(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind<'t>) -> Outcome<()> {
        self.remove_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.keys.pop();
        }
        self.key_allowed = false;
        self.skip_as(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Outcome<()> {
        self.remove_key()?;
        self.key_allowed = true;
        self.skip_as(Kind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Outcome<()> {
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.trouble("a list item (`-`) cannot be here");
            }
            let mark = self.cursor.mark();
            self.roll(mark.column, None, Kind::BlockSequenceStart, mark);
        }
        self.remove_key()?;
        self.key_allowed = true;
        self.skip_as(Kind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Outcome<()> {
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.trouble("a mapping key cannot be here");
            }
            let mark = self.cursor.mark();
            self.roll(mark.column, None, Kind::BlockMappingStart, mark);
        }
        self.remove_key()?;
        self.key_allowed = self.flow_level == 0;
        self.skip_as(Kind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Outcome<()> {
        let key = self.keys.last().copied().unwrap_or_default();
        if key.possible {
            let at = key.token.saturating_sub(self.taken).min(self.tokens.len());
            let token = Token {
                kind: Kind::Key,
                start: key.mark,
                end: key.mark,
            };
            self.tokens.insert(at, token);
            let start = Kind::BlockMappingStart;
            self.roll(key.mark.column, Some(key.token), start, key.mark);
            if let Some(key) = self.keys.last_mut() {
                key.possible = false;
            }
            self.key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.key_allowed {
                    return self.trouble("mapping values are not allowed in this context");
                }
                let mark = self.cursor.mark();
                self.roll(mark.column, None, Kind::BlockMappingStart, mark);
            }
            self.key_allowed = self.flow_level == 0;
        }
        self.skip_as(Kind::Value);
        Ok(())
    }
}

fn missing_colon(mark: Mark) -> SyntaxError {
    SyntaxError {
        mark,
        message: "could not find expected ':' after this".to_owned(),
    }
}

fn signed(column: usize) -> isize {
    isize::try_from(column).unwrap_or(isize::MAX)
}
