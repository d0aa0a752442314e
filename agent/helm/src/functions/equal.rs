//! `reflect.DeepEqual`, and sprig's idea of emptiness.

use super::Value;
use crate::fmt::type_name;
use crate::value::{DEEPEST, LARGEST};

/// Equal in value and in Go type, all the way down.
pub(super) fn deep_equal(one: &Value, other: &Value) -> bool {
    equal(one, other, 0, &mut LARGEST.clone())
}

fn equal(one: &Value, other: &Value, depth: usize, left: &mut usize) -> bool {
    *left = left.saturating_sub(1);
    if *left == 0 || depth > DEEPEST || type_name(one) != type_name(other) {
        return false;
    }
    match (one, other) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Int(one, _), Value::Int(other, _)) => one == other,
        (Value::Uint(one, _), Value::Uint(other, _)) => one == other,
        #[expect(clippy::float_cmp, reason = "so does Go")]
        (Value::Float(one), Value::Float(other)) => one == other,
        (Value::Str(one), Value::Str(other)) => one == other,
        (Value::List(one), Value::List(other)) => {
            let same = one.same(other);
            let (one, other) = (one.items(), other.items());
            same || one.len() == other.len()
                && one
                    .iter()
                    .zip(other.iter())
                    .all(|(one, other)| equal(one, other, depth + 1, left))
        }
        (Value::Map(one), Value::Map(other)) => {
            one.same(other)
                || one.len() == other.len()
                    && one.entries().iter().all(|(key, value)| {
                        other
                            .get(key)
                            .is_some_and(|other| equal(value, &other, depth + 1, left))
                    })
        }
        (Value::Host(one), Value::Host(other)) => one.display() == other.display(),
        _ => false,
    }
}

/// sprig's `empty`: the zero value of any kind; a structure is never empty.
pub(super) fn empty(value: &Value) -> bool {
    !crate::template::truth(value)
}
