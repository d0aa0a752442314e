//! BurntSushi's TOML.

mod parse;

use super::bounds::{MAX_NESTING, MAX_SIZE};
use super::number::float_text;
use crate::message::Message;
use crate::value::{List, Map, Str, Value};

pub use parse::parse;

/// As `toToml` writes.
///
/// # Errors
///
/// The library's message.
pub fn emit(value: &Value) -> Result<Str, Message> {
    let mut writer = Writer { out: String::new() };
    match value {
        // The library cannot encode Go's nil.
        Value::Nil => {
            let message = "toml: top-level values must be Go maps or structs";
            return Err(message.to_owned().into());
        }
        other => writer.entry(&[], other)?,
    }
    Ok(Str::from(writer.out))
}

struct Writer {
    out: String,
}

fn is_table_array(list: &List) -> Result<bool, String> {
    let items = list.items();
    if items.iter().any(Value::is_nil) {
        return Err("toml: cannot encode array with nil element".to_owned());
    }
    Ok(!items.is_empty() && items.iter().all(|item| matches!(item, Value::Map(_))))
}

/// Whether a value is written after all simple ones, under a header of its own.
fn is_table(value: &Value) -> Result<bool, String> {
    match value {
        Value::Map(_) => Ok(true),
        Value::List(list) => is_table_array(list),
        _ => Ok(false),
    }
}

impl Writer {
    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn indent(&mut self, key: &[Str]) {
        self.out
            .extend(std::iter::repeat_n("  ", key.len().saturating_sub(1)));
    }

    fn entry(&mut self, key: &[Str], value: &Value) -> Result<(), String> {
        if self.out.len() > MAX_SIZE {
            return Err(super::json::too_large());
        }
        if key.len() > MAX_NESTING {
            return Err("toml: nested too deep".to_owned());
        }
        match value {
            Value::Nil => Ok(()),
            Value::Map(map) => {
                if key.len() == 1 {
                    self.newline();
                }
                if !key.is_empty() {
                    self.header(key, "[", "]");
                }
                self.table(key, map)
            }
            Value::List(list) if is_table_array(list)? => {
                if key.is_empty() {
                    return Err("toml: top-level values must be Go maps or structs".to_owned());
                }
                for item in list.items().iter() {
                    self.newline();
                    self.header(key, "[[", "]]");
                    if let Value::Map(map) = item {
                        self.table(key, map)?;
                    }
                }
                Ok(())
            }
            simple => {
                if let Some(last) = key.last() {
                    self.indent(key);
                    self.key(last);
                    self.out.push_str(" = ");
                    self.element(simple, 0)?;
                    self.newline();
                    return Ok(());
                }
                self.element(simple, 0)
            }
        }
    }

    fn header(&mut self, key: &[Str], open: &str, close: &str) {
        self.indent(key);
        self.out.push_str(open);
        for (index, part) in key.iter().enumerate() {
            if index > 0 {
                self.out.push('.');
            }
            self.key(part);
        }
        self.out.push_str(close);
        self.newline();
    }

    fn key(&mut self, key: &Str) {
        let text = key.lossy();
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !text.is_empty() && text.bytes().all(bare) {
            self.out.push_str(&text);
        } else {
            self.quoted(&text);
        }
    }

    fn table(&mut self, key: &[Str], map: &Map) -> Result<(), String> {
        let mut tables = Vec::new();
        let mut path = key.to_vec();
        for (name, value) in map.entries() {
            if is_table(&value)? {
                tables.push((name, value));
                continue;
            }
            path.push(name);
            self.entry(&path, &value)?;
            path.pop();
        }
        for (name, value) in tables {
            path.push(name);
            self.entry(&path, &value)?;
            path.pop();
        }
        Ok(())
    }

    fn element(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if self.out.len() > MAX_SIZE {
            return Err(super::json::too_large());
        }
        if depth > MAX_NESTING {
            return Err("toml: nested too deep".to_owned());
        }
        match value {
            Value::Nil => return Err("toml: cannot encode array with nil element".to_owned()),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value, _) => self.out.push_str(&value.to_string()),
            Value::Uint(value, _) => self.out.push_str(&value.to_string()),
            Value::Float(value) => self.out.push_str(&float(*value)),
            Value::Str(text) => self.quoted(&text.lossy()),
            Value::List(list) => {
                self.out.push('[');
                for (index, item) in list.items().iter().enumerate() {
                    if index > 0 {
                        self.out.push_str(", ");
                    }
                    self.element(item, depth + 1)?;
                }
                self.out.push(']');
            }
            Value::Map(map) => self.inline_table(map, depth)?,
            Value::Host(host) => self.element(&host.to_data(), depth + 1)?,
        }
        Ok(())
    }

    fn inline_table(&mut self, map: &Map, depth: usize) -> Result<(), String> {
        let mut simple = Vec::new();
        let mut tables = Vec::new();
        for (name, value) in map.entries() {
            if is_table(&value)? {
                tables.push((name, value));
            } else {
                simple.push((name, value));
            }
        }
        let trailing = !tables.is_empty();
        self.out.push('{');
        for (entries, trailing) in [(simple, trailing), (tables, false)] {
            let count = entries.len();
            for (index, (name, value)) in entries.into_iter().enumerate() {
                if value.is_nil() {
                    continue;
                }
                self.key(&name);
                self.out.push_str(" = ");
                self.element(&value, depth + 1)?;
                if trailing || index + 1 < count {
                    self.out.push_str(", ");
                }
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\u{8}' => self.out.push_str("\\b"),
                '\t' => self.out.push_str("\\t"),
                '\n' => self.out.push_str("\\n"),
                '\u{c}' => self.out.push_str("\\f"),
                '\r' => self.out.push_str("\\r"),
                '\0'..='\u{1F}' | '\u{7F}' => {
                    self.out
                        .push_str(&format!("\\u{:04x}", u32::from(character)));
                }
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = float_text(value);
    if text.contains(['e', '.']) {
        text
    } else {
        format!("{text}.0")
    }
}
