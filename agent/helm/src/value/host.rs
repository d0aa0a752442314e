use std::any::Any;
use std::fmt::Debug;

use super::{Str, Value};

/// A Go value that has fields or methods of its own. Everything but the names has a default, so that a
/// host object says only what is special about it.
pub trait Host: Debug + Any {
    /// Go's name of its type, as `typeOf` prints it: `*common.Capabilities`.
    fn type_name(&self) -> &str;

    /// Go's kind, as `kindOf` prints it: `ptr`, `struct`, `map`, `slice`.
    fn kind(&self) -> &str {
        "struct"
    }

    /// A field: `.Name`. For a map-like host, the value at this key.
    fn field(&self, name: &str) -> Option<Value> {
        let _ = name;
        None
    }

    /// Whether there is a method of this name.
    fn has_method(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Calls a method; an error is its bare message, to which the executor adds the place.
    ///
    /// # Errors
    ///
    /// Whatever the method says, or that the arguments do not fit.
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let _ = arguments;
        Err(format!(
            "can't evaluate field {name} in type {}",
            self.type_name()
        ))
    }

    /// What `{{ . }}` and `%v` print.
    fn display(&self) -> String;

    /// Whether `if` takes it as true: Go takes every struct as true.
    fn truth(&self) -> bool {
        true
    }

    /// What `range` goes over, where it can: keys and values. A slice gives `Value::int` keys.
    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        None
    }

    /// Go's `len`, where it has one.
    fn len(&self) -> Option<usize> {
        self.entries().map(|entries| entries.len())
    }

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// What `toYaml` and `toJson` write for it.
    fn to_data(&self) -> Value {
        Value::Str(Str::from(self.display()))
    }
}
