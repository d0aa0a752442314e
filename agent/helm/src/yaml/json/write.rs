//! JSON as Go writes it, and what goyaml.v2 makes of it when it reads it back.

use base64::Engine as _;
use std::borrow::Cow;
use std::fmt::Write as _;

use crate::message::Message;
use crate::value::{ListKind, Str, Value, bytes_of};
use crate::yaml::bounds::{MAX_NESTING, MAX_SIZE};
use crate::yaml::node::{Node, first_document};
use crate::yaml::number::json_text;

/// How `<`, `>` and `&` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Html {
    Escaped,
    Raw,
}

/// `json.Marshal`: no spaces, sorted keys, `<`, `>` and `&` escaped, as `toJson` does.
///
/// # Errors
///
/// What cannot be written: an infinite number, a map that holds itself.
pub fn emit(value: &Value) -> Result<Str, Message> {
    compact(value, Html::Escaped)
}

/// As [`emit`], but `<`, `>` and `&` stay, as in `toRawJson`.
///
/// # Errors
///
/// As [`emit`].
pub fn emit_raw(value: &Value) -> Result<Str, Message> {
    compact(value, Html::Raw)
}

fn compact(value: &Value, html: Html) -> Result<Str, Message> {
    let mut writer = Writer {
        out: String::new(),
        html,
        pretty: false,
    };
    writer.value(value, 0)?;
    Ok(Str::from(writer.out))
}

/// `json.MarshalIndent` with two spaces, as `toPrettyJson` does.
///
/// # Errors
///
/// As [`emit`].
pub fn emit_pretty(value: &Value) -> Result<Str, Message> {
    let mut writer = Writer {
        out: String::new(),
        html: Html::Escaped,
        pretty: true,
    };
    writer.value(value, 0)?;
    Ok(Str::from(writer.out))
}

/// Go's words for a value that holds itself.
pub(in crate::yaml) fn cycle() -> String {
    "json: unsupported value: encountered a cycle via map[string]interface {}".to_owned()
}

/// The error of this project's own limit, which `toYaml` and the like do not ignore.
pub(in crate::yaml) fn too_large() -> String {
    format!("{TOO_LARGE} than {} MiB", MAX_SIZE >> 20)
}

/// How the message of a bound begins.
pub(crate) const TOO_LARGE: &str = "the value as text is larger";

/// A number, where JSON has it.
pub(in crate::yaml) fn number(value: f64) -> Result<String, String> {
    if value.is_finite() {
        return Ok(json_text(value));
    }
    let name = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    };
    Err(format!("json: unsupported value: {name}"))
}

/// Go writes bytes as base64.
pub(in crate::yaml) fn bytes(items: &[Value]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes_of(items))
}

/// Returns what goyaml.v2 reads for this string in JSON: not all of JSON is YAML.
pub(in crate::yaml) fn as_yaml_reads(text: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = String::from_utf8_lossy(text);
    // JSON escapes all characters that YAML's reader refuses, except for these; and NEL is a line break in YAML.
    let raw = |character: char| matches!(character, '\u{7F}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}');
    if !text.contains(raw) {
        return Ok(text);
    }
    if text.contains(|character| raw(character) && character != '\u{85}') {
        return Err("yaml: control characters are not allowed".to_owned());
    }
    let mut quoted = String::new();
    quote(&mut quoted, &text, Html::Escaped);
    match first_document(quoted.as_bytes()) {
        Ok(Some(Node::Scalar { value, .. })) => {
            Ok(Cow::Owned(String::from_utf8_lossy(&value).into_owned()))
        }
        Ok(_) => Ok(text),
        Err(problem) => Err(problem.to_string()),
    }
}

/// YAML looks no further than 1024 characters for the colon after a key, and not into the next line.
pub(in crate::yaml) fn check_key(key: &[u8]) -> Result<(), String> {
    if key.len() < 150 && !key.contains(&0xC2) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(key);
    let mut quoted = String::new();
    quote(&mut quoted, &text, Html::Escaped);
    if quoted.chars().count() > 1024 || text.contains('\u{85}') {
        return Err("yaml: line 1: did not find expected ',' or '}'".to_owned());
    }
    Ok(())
}

struct Writer {
    out: String,
    html: Html,
    pretty: bool,
}

impl Writer {
    fn line(&mut self, depth: usize) {
        if self.pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_NESTING {
            return Err(cycle());
        }
        if self.out.len() > MAX_SIZE {
            return Err(too_large());
        }
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value, _) => self.out.push_str(&value.to_string()),
            Value::Uint(value, _) => self.out.push_str(&value.to_string()),
            Value::Float(value) => self.out.push_str(&number(*value)?),
            Value::Str(text) => quote(&mut self.out, &text.lossy(), self.html),
            Value::List(list) if list.kind() == ListKind::Bytes => {
                let text = bytes(&list.items());
                quote(&mut self.out, &text, self.html);
            }
            Value::List(list) => {
                let items = list.items();
                if items.is_empty() {
                    self.out.push_str("[]");
                    return Ok(());
                }
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.line(depth + 1);
                    self.value(item, depth + 1)?;
                }
                self.line(depth);
                self.out.push(']');
            }
            Value::Map(map) => {
                let entries = map.entries();
                if entries.is_empty() {
                    self.out.push_str("{}");
                    return Ok(());
                }
                self.out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.line(depth + 1);
                    quote(&mut self.out, &key.lossy(), self.html);
                    self.out.push_str(if self.pretty { ": " } else { ":" });
                    self.value(value, depth + 1)?;
                }
                self.line(depth);
                self.out.push('}');
            }
            Value::Host(host) => self.value(&host.to_data(), depth + 1)?,
        }
        Ok(())
    }
}

fn quote(out: &mut String, text: &str, html: Html) {
    out.push('"');
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let escape = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '<' | '>' | '&' if html == Html::Escaped => "",
            '\0'..='\u{1F}' | '\u{2028}' | '\u{2029}' => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + character.len_utf8();
        if escape.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}
