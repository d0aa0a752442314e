//! Values by dotted paths.

use crate::value::{Map, Value};

/// The table at a path.
pub(crate) fn table(values: &Map, path: &str) -> Option<Map> {
    let mut table = values.clone();
    for part in path.split('.') {
        match table.get(part) {
            Some(Value::Map(inner)) => table = inner,
            _ => return None,
        }
    }
    Some(table)
}

/// What is at a path, where that is no table.
pub(crate) fn value(values: &Map, path: &str) -> Option<Value> {
    let found = match path.rsplit_once('.') {
        Some((parent, key)) => table(values, parent)?.get(key),
        None => values.get(path),
    };
    found.filter(|value| !matches!(value, Value::Map(_)))
}
