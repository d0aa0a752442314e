//! Numbers between Go and JSON.

use serde_json::{Number, Value};

/// A number as Go writes it: without a fraction where it has none, since fields of whole numbers take
/// no `1.0`.
pub(crate) fn number(float: f64) -> Option<Value> {
    let text = format!("{float}");
    match text.parse::<i64>() {
        Ok(whole) if text != "-0" => Some(Value::from(whole)),
        _ => Number::from_f64(float).map(Value::Number),
    }
}
