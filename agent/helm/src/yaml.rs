//! YAML, JSON and TOML, read and written byte for byte as the libraries that Helm uses do.
//!
//! Errors are the bare messages of those libraries (`error converting YAML to JSON: …`).

use crate::value::{Str, Value};

/// `sigs.k8s.io/yaml.Marshal`: sorted keys, sequences not indented, a newline at the end.
///
/// # Errors
///
/// What cannot be written: an infinite number.
pub fn emit(value: &Value) -> Result<Str, String> {
    let _ = value;
    Err("not yet".to_owned())
}

/// What `toYamlPretty` writes: sequences indented by two.
///
/// # Errors
///
/// As [`emit`].
pub fn emit_pretty(value: &Value) -> Result<Str, String> {
    let _ = value;
    Err("not yet".to_owned())
}

/// `sigs.k8s.io/yaml.Unmarshal` into an empty interface: one document, numbers as `float64`.
///
/// # Errors
///
/// The library's message.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let _ = text;
    Err("not yet".to_owned())
}

/// `encoding/json`.
pub mod json {
    use super::{Str, Value};

    /// `json.Marshal`: no spaces, sorted keys; `html` escapes `<`, `>` and `&`, as `toJson` does and
    /// `toRawJson` does not.
    ///
    /// # Errors
    ///
    /// What cannot be written: an infinite number.
    pub fn emit(value: &Value, html: bool) -> Result<Str, String> {
        let _ = (value, html);
        Err("not yet".to_owned())
    }

    /// `json.MarshalIndent` with two spaces, as `toPrettyJson` does.
    ///
    /// # Errors
    ///
    /// As [`emit`].
    pub fn emit_pretty(value: &Value) -> Result<Str, String> {
        let _ = value;
        Err("not yet".to_owned())
    }

    /// `json.Unmarshal` into an empty interface.
    ///
    /// # Errors
    ///
    /// The library's message.
    pub fn parse(text: &[u8]) -> Result<Value, String> {
        let _ = text;
        Err("not yet".to_owned())
    }
}

/// BurntSushi's TOML.
pub mod toml {
    use super::{Str, Value};

    /// As `toToml` writes.
    ///
    /// # Errors
    ///
    /// The library's message.
    pub fn emit(value: &Value) -> Result<Str, String> {
        let _ = value;
        Err("not yet".to_owned())
    }

    /// As `fromToml` reads; integers are `int64`.
    ///
    /// # Errors
    ///
    /// The library's message.
    pub fn parse(text: &[u8]) -> Result<Value, String> {
        let _ = text;
        Err("not yet".to_owned())
    }
}
