//! Reading of TOML. No known chart does it, so messages match BurntSushi's only in likely cases.

use std::collections::BTreeMap;

use crate::message::Message;
use crate::value::{Map, MapKind, Str, Value};

/// Deepest nesting, more than any file for people needs.
const MAX_DEPTH: usize = 100;

/// As `fromToml` reads: integers are `int64`, dates are text.
///
/// # Errors
///
/// What is wrong, and in which line.
pub fn parse(text: &[u8]) -> Result<Value, Message> {
    let text =
        std::str::from_utf8(text).map_err(|_| "toml: line 1: invalid UTF-8 byte".to_owned())?;
    let mut parser = Parser {
        rest: text,
        all: text,
        last_key: None,
    };
    parser
        .document()
        .map(Table::into_value)
        .map_err(|message| Message::from(parser.failure(&message)))
}

/// Whether a quoted text may span lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Line,
    Lines,
}

/// A table while it is read; unlike values, it is not shared.
#[derive(Default)]
struct Table(BTreeMap<String, Item>);

enum Item {
    Value(Value),
    Table(Table),
    /// `[[name]]`, of which the last is open.
    Tables(Vec<Table>),
}

impl Table {
    fn into_value(self) -> Value {
        let entries = self.0.into_iter().map(|(key, item)| {
            let value = match item {
                Item::Value(value) => value,
                Item::Table(table) => table.into_value(),
                Item::Tables(tables) => {
                    Value::list(tables.into_iter().map(Self::into_value).collect())
                }
            };
            (Str::from(key), value)
        });
        Value::Map(Map::of(MapKind::Any, entries.collect()))
    }

    /// The table at a path, made where it is missing.
    fn at(&mut self, path: &[String]) -> Result<&mut Self, String> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(self);
        };
        let item = self
            .0
            .entry(first.clone())
            .or_insert_with(|| Item::Table(Self::default()));
        let inner = match item {
            Item::Table(table) => Some(table),
            Item::Tables(tables) => tables.last_mut(),
            Item::Value(_) => None,
        };
        inner
            .ok_or_else(|| format!("Key '{first}' has already been defined."))?
            .at(rest)
    }

    fn insert(&mut self, path: &[String], value: Item) -> Result<(), String> {
        let Some((last, parents)) = path.split_last() else {
            return Ok(());
        };
        let table = self.at(parents)?;
        if table.0.contains_key(last) {
            return Err(format!(
                "Key '{}' has already been defined.",
                path.join(".")
            ));
        }
        table.0.insert(last.clone(), value);
        Ok(())
    }
}

struct Parser<'a> {
    rest: &'a str,
    all: &'a str,
    last_key: Option<String>,
}

impl Parser<'_> {
    fn failure(&self, message: &str) -> String {
        let read = &self.all[..self.all.len() - self.rest.len()];
        let line = 1 + read.matches('\n').count();
        match &self.last_key {
            Some(key) => format!("toml: line {line} (last key {key:?}): {message}"),
            None => format!("toml: line {line}: {message}"),
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Skips blanks, comments and line breaks.
    fn empty_lines(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.find('\n').map_or("", |at| &self.rest[at..]);
        }
    }

    fn document(&mut self) -> Result<Table, String> {
        let mut root = Table::default();
        let mut current: Vec<String> = Vec::new();
        loop {
            self.empty_lines();
            if self.rest.is_empty() {
                return Ok(root);
            }
            if self.take("[[") {
                current = self.path()?;
                self.expect("]]")?;
                let Some((last, parents)) = current.split_last() else {
                    return Err("expected a name".to_owned());
                };
                let table = root.at(parents)?;
                let new = || Item::Tables(Vec::new());
                match table.0.entry(last.clone()).or_insert_with(new) {
                    Item::Tables(tables) => tables.push(Table::default()),
                    _ => return Err(format!("Key '{last}' has already been defined.")),
                }
            } else if self.take("[") {
                current = self.path()?;
                self.expect("]")?;
                root.at(&current)?;
            } else {
                let path = self.path()?;
                self.separator()?;
                self.last_key = path.last().cloned();
                let value = self.value(0)?;
                root.at(&current)?.insert(&path, Item::Value(value))?;
            }
            self.blanks();
            let ends = matches!(self.peek(), None | Some('\n' | '\r' | '#'));
            if !ends {
                return Err("expected a line break after a value".to_owned());
            }
        }
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        self.blanks();
        if self.take(text) {
            return Ok(());
        }
        Err(format!("expected {text:?}"))
    }

    fn separator(&mut self) -> Result<(), String> {
        self.blanks();
        match self.peek() {
            Some('=') => {
                self.take("=");
                Ok(())
            }
            None => Err("unexpected EOF; expected key separator '='".to_owned()),
            Some(other) => Err(format!("expected '.' or '=', but got {other:?} instead")),
        }
    }

    /// `a.b."c d"`
    fn path(&mut self) -> Result<Vec<String>, String> {
        let mut path = Vec::new();
        loop {
            self.blanks();
            let bare =
                |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
            match self.peek() {
                Some('"' | '\'') => path.push(self.string()?),
                Some(letter) if bare(letter) => {
                    let end = self.rest.find(|letter| !bare(letter));
                    let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                    path.push(name.to_owned());
                    self.rest = rest;
                }
                Some(other) => return Err(format!("expected a key, but got {other:?} instead")),
                None => return Err("unexpected EOF; expected a key".to_owned()),
            }
            if path.len() > MAX_DEPTH {
                return Err("nested too deep".to_owned());
            }
            self.blanks();
            if !self.take(".") {
                return Ok(path);
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("nested too deep".to_owned());
        }
        self.blanks();
        match self.peek() {
            Some('"' | '\'') => self.string().map(Value::from),
            Some('[') => {
                self.take("[");
                let mut items = Vec::new();
                loop {
                    self.empty_lines();
                    if self.take("]") {
                        return Ok(Value::list(items));
                    }
                    items.push(self.value(depth + 1)?);
                    self.empty_lines();
                    if !self.take(",") && !self.rest.starts_with(']') {
                        return Err("expected a comma (',') or array terminator (']')".to_owned());
                    }
                }
            }
            Some('{') => {
                self.take("{");
                let mut table = Table::default();
                loop {
                    self.blanks();
                    if self.take("}") {
                        return Ok(table.into_value());
                    }
                    let path = self.path()?;
                    self.separator()?;
                    let value = self.value(depth + 1)?;
                    table.insert(&path, Item::Value(value))?;
                    self.blanks();
                    if !self.take(",") && !self.rest.starts_with('}') {
                        return Err("expected a comma or an inline table terminator '}'".to_owned());
                    }
                }
            }
            None => Err("unexpected EOF; expected value".to_owned()),
            Some(_) => self.bare_value(),
        }
    }

    /// Booleans, numbers and dates.
    fn bare_value(&mut self) -> Result<Value, String> {
        let ends = |letter: char| matches!(letter, ',' | ']' | '}' | '\n' | '\r' | '#' | '\t');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let word = self.rest[..end].trim_end();
        let value = scalar(word).ok_or_else(|| match word {
            "" => "expected value but found '\\n' instead".to_owned(),
            _ => format!("expected value but found {word:?} instead"),
        })?;
        self.rest = &self.rest[word.len()..];
        Ok(value)
    }

    fn string(&mut self) -> Result<String, String> {
        for quote in ["\"\"\"", "'''"] {
            if self.take(quote) {
                self.take("\r");
                self.take("\n");
                return self.quoted(quote, Extent::Lines);
            }
        }
        if self.take("'") {
            return self.quoted("'", Extent::Line);
        }
        self.take("\"");
        self.quoted("\"", Extent::Line)
    }

    fn quoted(&mut self, end: &str, extent: Extent) -> Result<String, String> {
        let literal = end.starts_with('\'');
        let lines = extent == Extent::Lines;
        let mut out = String::new();
        loop {
            // If more than three quotes follow, the last three end the text.
            if self.rest.starts_with(end) {
                let more = lines && self.rest[end.len()..].starts_with(&end[..1]);
                if !more {
                    self.take(end);
                    return Ok(out);
                }
            }
            let Some(letter) = self.peek() else {
                return Err(format!("unexpected EOF; expected '{}'", &end[..1]));
            };
            if letter == '\n' && !lines {
                return Err("strings cannot contain newlines".to_owned());
            }
            self.rest = &self.rest[letter.len_utf8()..];
            if letter == '\\' && !literal {
                self.escape(&mut out, extent)?;
            } else {
                out.push(letter);
            }
        }
    }

    fn escape(&mut self, out: &mut String, extent: Extent) -> Result<(), String> {
        let Some(letter) = self.peek() else {
            return Err("unexpected EOF".to_owned());
        };
        self.rest = &self.rest[letter.len_utf8()..];
        let digits = match letter {
            'b' => {
                out.push('\u{8}');
                return Ok(());
            }
            't' => {
                out.push('\t');
                return Ok(());
            }
            'n' => {
                out.push('\n');
                return Ok(());
            }
            'f' => {
                out.push('\u{c}');
                return Ok(());
            }
            'r' => {
                out.push('\r');
                return Ok(());
            }
            'e' => {
                out.push('\u{1b}');
                return Ok(());
            }
            '"' | '\\' => {
                out.push(letter);
                return Ok(());
            }
            ' ' | '\t' | '\n' | '\r' if extent == Extent::Lines => {
                self.rest = self.rest.trim_start();
                return Ok(());
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => return Err(format!("invalid escape character {other:?}")),
        };
        let code = self
            .rest
            .get(..digits)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| format!("expected {digits} hexadecimal digits"))?;
        out.push(code);
        self.rest = &self.rest[digits..];
        Ok(())
    }
}

fn scalar(word: &str) -> Option<Value> {
    match word {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        "inf" | "+inf" => return Some(Value::Float(f64::INFINITY)),
        "-inf" => return Some(Value::Float(f64::NEG_INFINITY)),
        "nan" | "+nan" | "-nan" => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    let bytes = word.as_bytes();
    let is_date = bytes.get(4) == Some(&b'-') && bytes[..4].iter().all(u8::is_ascii_digit);
    let is_time = bytes.get(2) == Some(&b':') && bytes[..2].iter().all(u8::is_ascii_digit);
    if is_date || is_time {
        return Some(Value::from(word.replacen(' ', "T", 1)));
    }
    let plain = word.replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = plain.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(Value::int64);
        }
    }
    if !plain.starts_with(|letter: char| letter.is_ascii_digit() || letter == '-' || letter == '+')
    {
        return None;
    }
    match plain.parse::<i64>() {
        Ok(number) => Some(Value::int64(number)),
        Err(_) => plain.parse().ok().map(Value::Float),
    }
}
