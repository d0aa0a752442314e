//! Tokens of YAML 1.1 as libyaml, and so goyaml.v2, finds them, with its messages: what a document means
//! and which documents are refused must not differ from Helm by a character.

mod block;
mod chars;
mod fetch;
mod flow;
mod tag;

use std::collections::VecDeque;

use chars::Cursor;
pub(super) use chars::{Mark, check_characters};

/// Deepest nesting, far more than any file for people needs; libyaml's limit is 10000.
const MAX_DEPTH: usize = 200;

/// Why a text is not YAML: libyaml's words, and the line that Go prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub message: String,
    pub line: Option<usize>,
}

impl Problem {
    pub(super) fn plain(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            line: None,
        }
    }

    /// The scanner's marks are one line behind those of the parser, and Go adds it only here.
    fn scanner(message: &str, context: Mark, at: Mark) -> Self {
        let line = if at.line != 0 {
            Some(at.line + 1)
        } else {
            Some(context.line).filter(|line| *line != 0)
        };
        Self {
            message: message.to_owned(),
            line,
        }
    }

    pub(super) fn parser(message: impl Into<String>, context: Mark, at: Mark) -> Self {
        let line = if at.line != 0 { at.line } else { context.line };
        Self {
            message: message.into(),
            line: Some(line).filter(|line| *line != 0),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "yaml: line {line}: {}", self.message),
            None => write!(f, "yaml: {}", self.message),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    StreamStart,
    StreamEnd,
    Version { major: u32, minor: u32 },
    TagDirective { handle: Vec<u8>, prefix: Vec<u8> },
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
    Alias(Vec<u8>),
    Anchor(Vec<u8>),
    Tag { handle: Vec<u8>, suffix: Vec<u8> },
    Scalar { value: Vec<u8>, plain: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: Mark,
}

/// Where a mapping may begin, which is known only when its `:` is seen.
#[derive(Clone, Debug, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    number: usize,
    mark: Mark,
}

pub(super) struct Scanner<'a> {
    cursor: Cursor<'a>,
    tokens: VecDeque<Token>,
    /// Tokens handed out so far; the head of the queue has this number.
    taken: usize,
    started: bool,
    ended: bool,
    indent: isize,
    indents: Vec<isize>,
    simple_key_allowed: bool,
    /// One for each level of flow collections; their numbers never fall.
    simple_keys: Vec<SimpleKey>,
    flow_level: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(text),
            tokens: VecDeque::new(),
            taken: 0,
            started: false,
            ended: false,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            flow_level: 0,
        }
    }

    /// The next token, left in place.
    pub(super) fn peek(&mut self) -> Result<&Token, Problem> {
        self.fetch_more()?;
        // `fetch_more` fails or leaves a token.
        self.tokens
            .front()
            .ok_or_else(|| Problem::plain("unexpected end of stream"))
    }

    pub(super) fn next(&mut self) -> Result<Token, Problem> {
        self.fetch_more()?;
        self.taken += 1;
        self.tokens
            .pop_front()
            .ok_or_else(|| Problem::plain("unexpected end of stream"))
    }

    /// Reads on until the head of the queue is final: a KEY may still be inserted before a possible key.
    fn fetch_more(&mut self) -> Result<(), Problem> {
        loop {
            if !self.tokens.is_empty() {
                let from = self
                    .simple_keys
                    .partition_point(|key| key.number < self.taken);
                let waiting = self.simple_keys[from..]
                    .iter()
                    .take_while(|key| key.number == self.taken)
                    .position(|key| key.possible);
                match waiting {
                    None => return Ok(()),
                    Some(offset) => {
                        if !self.key_is_valid(from + offset)? {
                            return Ok(());
                        }
                    }
                }
            }
            if self.ended {
                return Ok(());
            }
            self.fetch_next()?;
        }
    }

    fn fetch_next(&mut self) -> Result<(), Problem> {
        if !self.started {
            self.started = true;
            self.push(TokenKind::StreamStart, self.cursor.mark);
            return Ok(());
        }
        self.skip_to_token();
        self.unroll_indent(self.cursor.column());
        let first = self.cursor.at(0);
        if first == 0 {
            return self.fetch_stream_end();
        }
        if self.cursor.mark.column == 0 {
            if first == b'%' {
                return self.fetch_directive();
            }
            if self.cursor.document_indicator(b'-') {
                return self.fetch_document_indicator(TokenKind::DocumentStart);
            }
            if self.cursor.document_indicator(b'.') {
                return self.fetch_document_indicator(TokenKind::DocumentEnd);
            }
        }
        let in_flow = self.flow_level > 0;
        let blank_follows = self.cursor.is_blankz(1);
        match first {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if blank_follows => self.fetch_block_entry(),
            b'?' if in_flow || blank_follows => self.fetch_key(),
            b':' if in_flow || blank_follows => self.fetch_value(),
            b'*' | b'&' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                let token = self.scan_anchor()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'!' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                let token = self.scan_tag()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'|' | b'>' if !in_flow => {
                self.remove_simple_key()?;
                self.simple_key_allowed = true;
                let token = self.scan_block_scalar()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'\'' | b'"' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                let token = self.scan_quoted()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'\t' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => self.no_token(),
            _ => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                let token = self.scan_plain()?;
                self.tokens.push_back(token);
                Ok(())
            }
        }
    }

    fn no_token(&self) -> Result<(), Problem> {
        Err(self.problem(
            self.cursor.mark,
            "found character that cannot start any token",
        ))
    }

    fn problem(&self, context: Mark, message: &str) -> Problem {
        Problem::scanner(message, context, self.cursor.mark)
    }

    fn push(&mut self, kind: TokenKind, start: Mark) {
        self.tokens.push_back(Token { kind, start });
    }

    /// Puts a token before the one that has this number.
    fn insert(&mut self, number: usize, token: Token) {
        let index = number.saturating_sub(self.taken).min(self.tokens.len());
        self.tokens.insert(index, token);
    }

    fn key_is_valid(&mut self, index: usize) -> Result<bool, Problem> {
        let here = self.cursor.mark;
        let Some(key) = self.simple_keys.get_mut(index) else {
            return Ok(false);
        };
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < here.line || key.mark.index + 1024 < here.index {
            if key.required {
                let mark = key.mark;
                return Err(self.problem(mark, "could not find expected ':'"));
            }
            key.possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn save_simple_key(&mut self) -> Result<(), Problem> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = self.flow_level == 0 && self.indent == self.cursor.column();
        let number = self.taken + self.tokens.len();
        self.remove_simple_key()?;
        if let Some(key) = self.simple_keys.last_mut() {
            *key = SimpleKey {
                possible: true,
                required,
                number,
                mark: self.cursor.mark,
            };
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Result<(), Problem> {
        if let Some(key) = self.simple_keys.last_mut()
            && key.possible
        {
            if key.required {
                let mark = key.mark;
                return Err(self.problem(mark, "could not find expected ':'"));
            }
            key.possible = false;
        }
        Ok(())
    }

    fn roll_indent(
        &mut self,
        column: isize,
        at: Option<usize>,
        kind: TokenKind,
        mark: Mark,
    ) -> Result<(), Problem> {
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() + self.flow_level > MAX_DEPTH {
            return Err(self.problem(mark, &format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let token = Token { kind, start: mark };
        match at {
            Some(number) => self.insert(number, token),
            None => self.tokens.push_back(token),
        }
        Ok(())
    }

    fn unroll_indent(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(TokenKind::BlockEnd, self.cursor.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    /// Skips spaces, comments and line breaks.
    fn skip_to_token(&mut self) {
        loop {
            if self.cursor.mark.column == 0 && self.cursor.is_bom() {
                self.cursor.skip();
            }
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            while self.cursor.at(0) == b' ' || (tabs && self.cursor.at(0) == b'\t') {
                self.cursor.skip_ascii(1);
            }
            if self.cursor.at(0) == b'#' {
                self.cursor.skip_to_break();
            }
            if !self.cursor.is_break(0) {
                return;
            }
            self.cursor.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }
}
