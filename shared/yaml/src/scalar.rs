//! What a plain scalar means, by the resolver of goyaml.v2 (`resolve.go`), which is YAML 1.1 with
//! the exceptions that made it useful.

use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, general_purpose::PAD};
use serde_json::{Number, Value};

use crate::events::CORE_TAG;

/// As Go decodes: bits after the last whole byte are ignored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_allow_trailing_bits(true),
);

/// Why a scalar has no JSON value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotJson(pub(crate) &'static str);

impl NotJson {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

/// Resolves an untagged plain scalar.
///
/// # Errors
/// When it has no JSON value.
pub fn resolve_plain(text: &str) -> Result<Value, NotJson> {
    let Some(first) = text.bytes().next() else {
        return Ok(Value::Null);
    };
    match first {
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => {
            if let Some(word) = keyword(text) {
                return Ok(word);
            }
        }
        b'.' => {
            if is_not_finite(text) {
                return Err(NotJson(
                    "infinity and not-a-number have no JSON form; quote it",
                ));
            }
            if let Some(number) = float(text) {
                return Ok(number);
            }
        }
        b'0'..=b'9' | b'+' | b'-' => {
            if is_not_finite(text) {
                return Err(NotJson(
                    "infinity and not-a-number have no JSON form; quote it",
                ));
            }
            if let Some(number) = integer(text).or_else(|| float(text)) {
                return Ok(number);
            }
        }
        _ => {}
    }
    Ok(Value::String(text.to_owned()))
}

fn keyword(text: &str) -> Option<Value> {
    match text {
        "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Value::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        _ => None,
    }
}

fn is_not_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// Go's `strconv.ParseInt(text, 0, 64)` and `ParseUint`, after underscores are dropped, plus `0o`.
fn integer(text: &str) -> Option<Value> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.get(1..)?)
    } else {
        (10, lower.as_str())
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        let value = i64::try_from(-i128::from(magnitude)).ok()?;
        return Some(Value::Number(value.into()));
    }
    Some(Value::Number(magnitude.into()))
}

/// goyaml's `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`.
fn float(text: &str) -> Option<Value> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !mantissa_ok || !exponent_ok {
        return None;
    }
    let value: f64 = plain.parse().ok()?;
    number(value)
}

/// Returns a float as Go's JSON encoder writes it: without a fraction it becomes an integer, as in sigs.k8s.io/yaml.
pub(crate) fn number(value: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        // In range and whole, so nothing is lost.
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return Some(Value::Number((value as i64).into()));
    }
    Number::from_f64(value).map(Value::Number)
}

/// A number as sigs.k8s.io/yaml writes it where it is a key: floats in single precision, with an
/// exponent where Go's `%g` has one.
pub(crate) fn number_as_key(number: &Number) -> String {
    if !number.is_f64() {
        return number.to_string();
    }
    #[expect(clippy::cast_possible_truncation, reason = "what Go does here")]
    let value = number.as_f64().unwrap_or_default() as f32;
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return value.to_string();
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if (-4..21).contains(&exponent) => value.to_string(),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        Err(_) => value.to_string(),
    }
}

/// Resolves a scalar with an explicit tag; a tag that is not YAML's own leaves it as text.
pub(crate) fn tagged(tag: &str, text: &str) -> Result<Value, NotJson> {
    let resolved = || resolve_plain(text);
    match tag.strip_prefix(CORE_TAG) {
        Some("null") => match resolved()? {
            Value::Null => Ok(Value::Null),
            _ => Err(NotJson("the value is not null")),
        },
        Some("bool") => match resolved()? {
            value @ Value::Bool(_) => Ok(value),
            _ => Err(NotJson("the value is not a boolean")),
        },
        Some("int") => match resolved()? {
            value @ Value::Number(_) if value.as_f64().is_some_and(|f| f.fract() == 0.0) => {
                Ok(value)
            }
            _ => Err(NotJson("the value is not an integer")),
        },
        Some("float") => match resolved()? {
            value @ Value::Number(_) => Ok(value),
            _ => Err(NotJson("the value is not a number")),
        },
        Some("binary") => binary(text),
        // Timestamps stay the text they are, as JSON has none.
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn binary(text: &str) -> Result<Value, NotJson> {
    let plain: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = LENIENT
        .decode(plain)
        .map_err(|_| NotJson("the value is not base64"))?;
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // As Go writes JSON: one replacement character for each invalid byte.
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    Ok(Value::String(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn r01_plain_scalars_read_as_the_api_server_reads_them() {
        for (text, expected) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("null", json!(null)),
            ("nULL", json!("nULL")),
            ("yes", json!(true)),
            ("no", json!(false)),
            ("On", json!(true)),
            ("y", json!(true)),
            ("yEs", json!("yEs")),
            ("0777", json!(511)),
            ("0o777", json!(511)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("1_000", json!(1000)),
            ("089", json!(89)),
            ("-12", json!(-12)),
            ("+12", json!(12)),
            ("1e3", json!(1000)),
            ("1.5", json!(1.5)),
            ("1.0", json!(1)),
            (".5", json!(0.5)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615u64)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("1.2.3", json!("1.2.3")),
            ("12h", json!("12h")),
            ("2024-01-01", json!("2024-01-01")),
            ("1:30", json!("1:30")),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("100m", json!("100m")),
        ] {
            assert_eq!(resolve_plain(text), Ok(expected), "{text}");
        }
        for text in [".inf", "-.Inf", ".nan"] {
            assert!(resolve_plain(text).is_err(), "{text}");
        }
    }
}
