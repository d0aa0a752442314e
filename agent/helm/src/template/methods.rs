//! Methods of Helm's own map type, `chartutil.Values`.

use super::function::Pure;
use crate::fmt;
use crate::value::Value;

/// A method by name; the receiver is the first argument.
pub(super) fn find(name: &str) -> Option<Pure> {
    match name {
        "AsMap" => Some(|arguments| Ok(arguments[0].clone())),
        "YAML" => Some(|arguments| Ok(crate::yaml::emit(&arguments[0])?.into())),
        "Table" => Some(|arguments| {
            let path = match arguments.get(1) {
                Some(Value::Str(path)) => path.lossy().into_owned(),
                _ => return Err("wrong number of args for Table: want 1 got 0".to_owned()),
            };
            let mut current = arguments[0].clone();
            for part in path.split('.') {
                let next = current.as_map().and_then(|map| map.get(part));
                match next {
                    Some(next @ Value::Map(_)) => current = next,
                    _ => return Err(format!("{} is not a table", fmt::quote(part.as_bytes()))),
                }
            }
            Ok(current)
        }),
        _ => None,
    }
}
