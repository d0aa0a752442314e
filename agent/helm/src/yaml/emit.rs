//! YAML in goyaml's layout: version 2 for `toYaml`, version 3 for `toYamlPretty`.

mod order;
mod scalar;
mod style;

use base64::Engine as _;

use super::bounds::{MAX_NESTING, MAX_SIZE};
use super::json;
use super::number::float_text;
use crate::value::{List, ListKind, Map, Value};
use style::Analysis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Through JSON, which goyaml.v2 then reads; the output shows what that does to a value.
    Compact,
    /// goyaml.v3 on the values themselves, with sequences indented and lines never folded.
    Pretty,
}

/// Position of a node in the document.
#[derive(Clone, Copy, Debug, Default)]
struct EmitContext {
    mapping: bool,
    simple_key: bool,
}

impl EmitContext {
    /// Whether a long text may be broken: a key in one line with its value may not.
    fn folds(self) -> bool {
        !self.simple_key
    }
}

/// How an indicator is spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Indicator {
    /// A blank is written before it, unless there is one.
    Apart,
    /// Without a blank before it.
    Attached,
    /// As apart; its content follows without a blank.
    Opening,
    /// As apart, and it counts as indentation: more of the block may follow on the same line.
    Block,
}

pub(super) struct Emitter {
    out: Vec<u8>,
    column: usize,
    /// The last character is a blank, or nothing was written yet.
    whitespace: bool,
    /// The line has held nothing but indentation and indicators so far.
    indention: bool,
    dialect: Dialect,
    width: usize,
}

pub(super) fn emit(value: &Value, dialect: Dialect) -> Result<Vec<u8>, String> {
    let mut emitter = Emitter {
        out: Vec::new(),
        column: 0,
        whitespace: true,
        indention: true,
        dialect,
        width: match dialect {
            Dialect::Compact => 80,
            Dialect::Pretty => usize::MAX,
        },
    };
    emitter.node(value, None, EmitContext::default(), 0)?;
    emitter.write_indent(0);
    Ok(emitter.out)
}

impl Emitter {
    fn node(
        &mut self,
        value: &Value,
        indent: Option<usize>,
        place: EmitContext,
        depth: usize,
    ) -> Result<(), String> {
        if depth > MAX_NESTING {
            return Err(json::cycle());
        }
        if self.out.len() > MAX_SIZE {
            return Err(json::too_large());
        }
        match value {
            Value::Nil => self.plain("null", indent, place),
            Value::Bool(true) => self.plain("true", indent, place),
            Value::Bool(false) => self.plain("false", indent, place),
            Value::Int(number, _) => self.plain(&number.to_string(), indent, place),
            Value::Uint(number, _) => self.plain(&number.to_string(), indent, place),
            Value::Float(number) => {
                let text = self.float(*number)?;
                self.plain(&text, indent, place);
            }
            Value::Str(text) => self.string(text.as_bytes(), indent, place)?,
            Value::List(list) => self.list(list, indent, place, depth)?,
            Value::Map(map) => self.map(map, indent, depth)?,
            Value::Host(host) => self.node(&host.to_data(), indent, place, depth + 1)?,
        }
        Ok(())
    }

    /// JSON has no integers of its own, so goyaml.v2 sees one wherever there is no fraction.
    fn float(&self, number: f64) -> Result<String, String> {
        if self.dialect == Dialect::Pretty {
            return Ok(match number {
                number if number.is_nan() => ".nan".to_owned(),
                f64::INFINITY => ".inf".to_owned(),
                f64::NEG_INFINITY => "-.inf".to_owned(),
                number => float_text(number),
            });
        }
        let text = json::number(number)?;
        let whole = number.fract() == 0.0
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-');
        if whole {
            if let Ok(integer) = text.parse::<i64>() {
                return Ok(integer.to_string());
            }
            if let Ok(integer) = text.parse::<u64>() {
                return Ok(integer.to_string());
            }
        }
        Ok(float_text(number))
    }

    fn string(
        &mut self,
        bytes: &[u8],
        indent: Option<usize>,
        place: EmitContext,
    ) -> Result<(), String> {
        match self.dialect {
            Dialect::Compact => {
                let text = json::as_yaml_reads(bytes)?;
                self.scalar(&text, indent, place);
            }
            Dialect::Pretty => match std::str::from_utf8(bytes) {
                Ok(text) => self.scalar(text, indent, place),
                Err(_) => {
                    self.indicator("!!binary", Indicator::Apart);
                    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                    self.scalar(&in_lines(&text), indent, place);
                }
            },
        }
        Ok(())
    }

    fn map(&mut self, map: &Map, indent: Option<usize>, depth: usize) -> Result<(), String> {
        let entries = map.entries();
        if entries.is_empty() {
            self.indicator("{", Indicator::Opening);
            self.indicator("}", Indicator::Attached);
            return Ok(());
        }
        let inner = indent.map_or(0, |indent| indent + 2);
        for (key, value) in order::natural(entries, self.dialect) {
            let key = match self.dialect {
                Dialect::Compact => {
                    json::check_key(key.as_bytes())?;
                    json::as_yaml_reads(key.as_bytes())?.into_owned()
                }
                Dialect::Pretty => key.lossy().into_owned(),
            };
            self.write_indent(inner);
            let simple = key.len() <= 128 && !Analysis::of(&key, self.dialect).multiline;
            let place = EmitContext {
                mapping: true,
                simple_key: simple,
            };
            if simple {
                self.scalar(&key, Some(inner), place);
                self.indicator(":", Indicator::Attached);
            } else {
                self.indicator("?", Indicator::Block);
                self.scalar(&key, Some(inner), place);
                self.write_indent(inner);
                self.indicator(":", Indicator::Block);
            }
            let place = EmitContext {
                mapping: true,
                simple_key: false,
            };
            self.node(&value, Some(inner), place, depth + 1)?;
        }
        Ok(())
    }

    fn list(
        &mut self,
        list: &List,
        indent: Option<usize>,
        place: EmitContext,
        depth: usize,
    ) -> Result<(), String> {
        let items = list.items();
        if list.kind() == ListKind::Bytes && self.dialect == Dialect::Compact {
            let text = json::bytes(&items);
            self.scalar(&text, indent, place);
            return Ok(());
        }
        if items.is_empty() {
            self.indicator("[", Indicator::Opening);
            self.indicator("]", Indicator::Attached);
            return Ok(());
        }
        let indentless = self.dialect == Dialect::Compact && place.mapping && !self.indention;
        let inner = match indent {
            None => 0,
            Some(indent) if indentless => indent,
            Some(indent) => indent + 2,
        };
        for item in items.iter() {
            self.write_indent(inner);
            self.indicator("-", Indicator::Block);
            self.node(item, Some(inner), EmitContext::default(), depth + 1)?;
        }
        Ok(())
    }

    fn put_break(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
        self.indention = true;
    }

    fn write_indent(&mut self, indent: usize) {
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        while self.column < indent {
            self.out.push(b' ');
            self.column += 1;
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn indicator(&mut self, text: &str, indicator: Indicator) {
        if indicator != Indicator::Attached && !self.whitespace {
            self.out.push(b' ');
            self.column += 1;
        }
        self.out.extend_from_slice(text.as_bytes());
        self.column += text.len();
        self.whitespace = indicator == Indicator::Opening;
        self.indention = self.indention && indicator == Indicator::Block;
    }
}

/// goyaml breaks long base64 after 70 characters.
fn in_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 70 + 1);
    let several = text.len() / 70 + 1 > 1;
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 70 == 0 {
            out.push('\n');
        }
        out.push(character);
    }
    if several && !text.is_empty() {
        out.push('\n');
    }
    out
}
