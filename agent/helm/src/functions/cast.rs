//! The conversions of the cast library: what cannot be converted is zero.

use super::Value;
use crate::fmt::{parse_float, parse_int};

/// Go's conversion of a float on amd64: out of range is the smallest number.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn truncate(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// `cast.ToInt64`
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => number.cast_signed(),
        Value::Float(number) => truncate(*number),
        Value::Bool(value) => i64::from(*value),
        Value::Str(text) => {
            let text = text.lossy();
            parse_int(without_zeros(&text), 0).unwrap_or(0)
        }
        _ => 0,
    }
}

/// `12.00` is a whole number, too.
fn without_zeros(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => {
            if whole.is_empty() {
                text
            } else {
                whole
            }
        }
        _ => text,
    }
}

/// `cast.ToFloat64`
#[expect(clippy::cast_precision_loss, reason = "Go rounds here, too")]
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(number, _) => *number as f64,
        Value::Uint(number, _) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Str(text) => parse_float(&text.lossy()).unwrap_or(0.0),
        _ => 0.0,
    }
}
