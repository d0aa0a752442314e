//! YAML, JSON and TOML, read and written byte for byte as the libraries that Helm uses do.
//!
//! Errors are the bare messages of those libraries (`error converting YAML to JSON: …`).
//!
//! ```text
//!   text --scan--> tokens --node--> tree of one document --decode (resolve)--> Value
//!   Value --emit (style, order)--> text
//! ```

mod bounds;
mod decode;
mod emit;
pub mod json;
mod node;
mod number;
mod resolve;
mod scan;
#[cfg(test)]
mod tests;
pub mod toml;

use crate::message::Message;
use crate::value::{Str, Value};
use emit::Dialect;

/// `sigs.k8s.io/yaml.Marshal`: sorted keys, sequences not indented, a newline at the end.
///
/// # Errors
///
/// What cannot be written: an infinite number, a map that holds itself.
pub fn emit(value: &Value) -> Result<Str, Message> {
    Ok(Str::from(emit::emit(value, Dialect::Compact)?))
}

/// What `toYamlPretty` writes: sequences indented by two.
///
/// # Errors
///
/// As [`emit`].
pub fn emit_pretty(value: &Value) -> Result<Str, Message> {
    Ok(Str::from(emit::emit(value, Dialect::Pretty)?))
}

/// `sigs.k8s.io/yaml.Unmarshal` into an empty interface: one document, numbers as `float64`.
///
/// # Errors
///
/// The library's message.
pub fn parse(text: &[u8]) -> Result<Value, Message> {
    decode::decode(text, decode::Numbers::Floats).map_err(Message::from)
}

/// As [`parse`], but whole numbers stay integers: where Helm wants text, it writes the number that stood
/// there.
pub(crate) fn parse_typed(text: &[u8]) -> Result<Value, String> {
    decode::decode(text, decode::Numbers::Typed)
}

pub(crate) use number::{float_text as float64_text, float32_text};
