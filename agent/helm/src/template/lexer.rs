//! Text to tokens, with trim markers and lines as Go counts them.

mod number;

use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    End,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    // Keywords from here on.
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    KeywordEnd,
    If,
    Nil,
    Range,
    Template,
    With,
}

#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) at: usize,
    pub(super) text: Cow<'t, str>,
    pub(super) line: usize,
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::End => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            kind if kind as u8 >= Kind::Block as u8 => write!(f, "<{}>", self.text),
            _ if self.text.len() > 10 => {
                let start: String = self.text.chars().take(10).collect();
                write!(f, "{}...", crate::fmt::quote(start.as_bytes()))
            }
            _ => f.write_str(&crate::fmt::quote(self.text.as_bytes())),
        }
    }
}

fn keyword(word: &str) -> Option<Kind> {
    Some(match word {
        "." => Kind::Dot,
        "block" => Kind::Block,
        "break" => Kind::Break,
        "continue" => Kind::Continue,
        "define" => Kind::Define,
        "else" => Kind::Else,
        "end" => Kind::KeywordEnd,
        "if" => Kind::If,
        "nil" => Kind::Nil,
        "range" => Kind::Range,
        "template" => Kind::Template,
        "with" => Kind::With,
        _ => return None,
    })
}

/// What happens to the spaces after an action or comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrailingSpace {
    Kept,
    Trimmed,
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) struct Lexer<'t> {
    input: &'t str,
    at: usize,
    start: usize,
    parens: usize,
    line: usize,
    start_line: usize,
    inside: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(input: &'t str) -> Self {
        Self {
            input,
            at: 0,
            start: 0,
            parens: 0,
            line: 1,
            start_line: 1,
            inside: false,
        }
    }

    fn rest(&self) -> &'t str {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        self.line += usize::from(letter == '\n');
        Some(letter)
    }

    fn token(&mut self, kind: Kind) -> Token<'t> {
        let token = Token {
            kind,
            at: self.start,
            text: Cow::Borrowed(&self.input[self.start..self.at]),
            line: self.start_line,
        };
        self.start = self.at;
        self.start_line = self.line;
        token
    }

    /// Moves past text that was skipped without [`Self::advance`].
    fn ignore(&mut self) {
        self.line += newlines(&self.input[self.start..self.at]);
        self.start = self.at;
        self.start_line = self.line;
    }

    fn error(&mut self, message: impl Into<String>) -> Token<'t> {
        let token = Token {
            kind: Kind::Error,
            at: self.start,
            text: Cow::Owned(message.into()),
            line: self.start_line,
        };
        self.input = "";
        self.start = 0;
        self.at = 0;
        token
    }

    pub(super) fn next(&mut self) -> Token<'t> {
        if self.inside {
            return self.action();
        }
        loop {
            if let Some(token) = self.text() {
                return token;
            }
        }
    }

    /// Reads the text up to an action, or an action's delimiter; none: after a comment.
    fn text(&mut self) -> Option<Token<'t>> {
        let Some(offset) = self.rest().find(LEFT) else {
            self.at = self.input.len();
            if self.at > self.start {
                self.line += newlines(&self.input[self.start..]);
                return Some(self.token(Kind::Text));
            }
            return Some(self.token(Kind::End));
        };
        if offset > 0 {
            self.at += offset;
            let before = &self.input[self.start..self.at];
            let trim = if has_left_marker(&self.input[self.at + LEFT.len()..]) {
                before.len() - before.trim_end_matches(SPACES).len()
            } else {
                0
            };
            self.at -= trim;
            self.line += newlines(&self.input[self.start..self.at]);
            let token = self.token(Kind::Text);
            self.at += trim;
            self.ignore();
            if !token.text.is_empty() {
                return Some(token);
            }
        }
        self.left_delimiter()
    }

    fn left_delimiter(&mut self) -> Option<Token<'t>> {
        self.at += LEFT.len();
        let marker = if has_left_marker(self.rest()) { 2 } else { 0 };
        if self.rest()[marker..].starts_with("/*") {
            self.at += marker;
            self.ignore();
            return self.comment();
        }
        let token = self.token(Kind::LeftDelim);
        self.inside = true;
        self.at += marker;
        self.ignore();
        self.parens = 0;
        Some(token)
    }

    fn comment(&mut self) -> Option<Token<'t>> {
        self.at += 2;
        let Some(end) = self.rest().find("*/") else {
            return Some(self.error("unclosed comment"));
        };
        self.at += end + 2;
        let Some(after) = self.right_delimiter_here() else {
            return Some(self.error("comment ends before closing delimiter"));
        };
        self.line += newlines(&self.input[self.start..self.at]);
        let _ = self.token(Kind::Text);
        match after {
            TrailingSpace::Kept => self.at += RIGHT.len(),
            TrailingSpace::Trimmed => {
                self.at += 2 + RIGHT.len();
                self.trim_left();
            }
        }
        self.ignore();
        None
    }

    fn trim_left(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(SPACES).len();
    }

    /// Returns whether the action ends here, and if so how the spaces after it are handled.
    fn right_delimiter_here(&self) -> Option<TrailingSpace> {
        let rest = self.rest();
        if has_right_marker(rest) && rest[2..].starts_with(RIGHT) {
            Some(TrailingSpace::Trimmed)
        } else {
            rest.starts_with(RIGHT).then_some(TrailingSpace::Kept)
        }
    }

    fn right_delimiter(&mut self, after: TrailingSpace) -> Token<'t> {
        if after == TrailingSpace::Trimmed {
            self.at += 2;
            self.ignore();
        }
        self.at += RIGHT.len();
        let token = self.token(Kind::RightDelim);
        if after == TrailingSpace::Trimmed {
            self.trim_left();
            self.ignore();
        }
        self.inside = false;
        token
    }

    fn action(&mut self) -> Token<'t> {
        if let Some(after) = self.right_delimiter_here() {
            if self.parens == 0 {
                return self.right_delimiter(after);
            }
            return self.error("unclosed left paren");
        }
        let Some(letter) = self.peek() else {
            return self.error("unclosed action");
        };
        if is_space(letter) {
            return self.spaces();
        }
        if matches!(letter, '+' | '-' | '0'..='9') {
            return self.number();
        }
        if is_alphanumeric(letter) {
            return self.identifier();
        }
        self.advance();
        match letter {
            '=' => self.token(Kind::Assign),
            ':' => {
                if self.advance() == Some('=') {
                    self.token(Kind::Declare)
                } else {
                    self.error("expected :=")
                }
            }
            '|' => self.token(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => loop {
                match self.advance() {
                    None => break self.error("unterminated raw quoted string"),
                    Some('`') => break self.token(Kind::RawString),
                    Some(_) => {}
                }
            },
            '$' => self.name(Kind::Variable, Kind::Variable),
            '.' => {
                if self.peek().is_some_and(|next| next.is_ascii_digit()) {
                    self.at -= 1;
                    return self.number();
                }
                self.name(Kind::Field, Kind::Dot)
            }
            '(' => {
                self.parens += 1;
                self.token(Kind::LeftParen)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.token(Kind::RightParen)
            }
            '!'..='~' => self.token(Kind::Char),
            other => {
                let named = named(other);
                self.error(format!("unrecognized character in action: {named}"))
            }
        }
    }

    fn spaces(&mut self) -> Token<'t> {
        let mut count = 0;
        while self.peek().is_some_and(is_space) {
            self.advance();
            count += 1;
        }
        // The space before a trim marker belongs to it.
        let last = &self.input[self.at - 1..];
        if has_right_marker(last) && last[2..].starts_with(RIGHT) {
            self.at -= 1;
            self.line -= usize::from(last.starts_with('\n'));
            if count == 1 {
                return self.right_delimiter(TrailingSpace::Trimmed);
            }
        }
        self.token(Kind::Space)
    }

    fn run(&mut self) {
        while self.peek().is_some_and(is_alphanumeric) {
            self.advance();
        }
    }

    fn identifier(&mut self) -> Token<'t> {
        self.run();
        if !self.at_terminator() {
            return self.bad_character();
        }
        let word = &self.input[self.start..self.at];
        let kind = match word {
            "true" | "false" => Kind::Bool,
            _ => keyword(word).unwrap_or(Kind::Identifier),
        };
        self.token(kind)
    }

    /// Reads `.Field` or `$variable`, or the sign alone.
    fn name(&mut self, kind: Kind, alone: Kind) -> Token<'t> {
        if self.at_terminator() {
            return self.token(alone);
        }
        self.run();
        if !self.at_terminator() {
            return self.bad_character();
        }
        self.token(kind)
    }

    fn bad_character(&mut self) -> Token<'t> {
        let named = self.peek().map(named).unwrap_or_default();
        self.error(format!("bad character {named}"))
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(letter) => is_space(letter) || self.rest().starts_with(RIGHT),
        }
    }

    fn quoted(&mut self, mark: char, kind: Kind, open: &str) -> Token<'t> {
        loop {
            match self.advance() {
                Some('\\') => {
                    if matches!(self.advance(), None | Some('\n')) {
                        return self.error(open);
                    }
                }
                None | Some('\n') => return self.error(open),
                Some(letter) if letter == mark => return self.token(kind),
                Some(_) => {}
            }
        }
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn is_space(letter: char) -> bool {
    SPACES.contains(&letter)
}

fn is_alphanumeric(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

fn has_left_marker(text: &str) -> bool {
    matches!(text.as_bytes(), [b'-', space, ..] if is_space(*space as char))
}

fn has_right_marker(text: &str) -> bool {
    matches!(text.as_bytes(), [space, b'-', ..] if is_space(*space as char))
}

/// `%#U`
fn named(letter: char) -> String {
    let code = u32::from(letter);
    if crate::fmt::is_print(letter) {
        format!("U+{code:04X} '{letter}'")
    } else {
        format!("U+{code:04X}")
    }
}
