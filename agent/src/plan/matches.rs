//! Whether a live object already says everything that we want it to say.

use serde_json::Value;

/// Whether every field of `wanted` is in `live` with the same value. Fields that only `live` has are
/// the server's or somebody else's. Lists must have the same length; their items are compared in
/// order, each as a subset, since the server adds defaults inside of them.
#[must_use]
pub fn is_subset(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(key, value)| {
            match live.get(key) {
                Some(live) => is_subset(value, live),
                // The server drops what is null or empty.
                None => is_nothing(value),
            }
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(w, l)| is_subset(w, l))
        }
        (Value::Number(wanted), Value::Number(live)) => {
            wanted == live || wanted.as_f64() == live.as_f64()
        }
        _ => wanted == live,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_may_add_and_we_may_want_nothing() {
        let live = json!({"spec": {"replicas": 1, "list": [{"a": 1, "default": true}], "x": "y"}});
        assert!(is_subset(
            &json!({"spec": {"replicas": 1.0, "list": [{"a": 1}]}}),
            &live
        ));
        assert!(is_subset(
            &json!({"spec": {"gone": null, "empty": {}}}),
            &live
        ));
        assert!(!is_subset(&json!({"spec": {"replicas": 2}}), &live));
        assert!(!is_subset(&json!({"spec": {"list": []}}), &live));
        assert!(!is_subset(&json!({"spec": {"new": "z"}}), &live));
    }
}
