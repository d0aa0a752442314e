//! Decodes an object into the API server's own types and encodes it again: unknown fields are dropped, wrong types are
//! refused, empty values are not stored, quantities become canonical.

use serde_json::{Map, Value, json};

use crate::quantity;
use crate::schema::{Object, Schema, Shape, any};

/// A value of the wrong type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrongType {
    /// The JSON type that was found, such as `number`.
    pub(crate) got: &'static str,
    /// The field, such as `Deployment.spec.replicas`.
    pub(crate) field: String,
    /// The expected type, such as `int32`.
    pub(crate) expected: String,
    /// A quantity that cannot be parsed.
    pub(crate) is_quantity: bool,
}

impl WrongType {
    /// In the words of the API server's decoder.
    pub(crate) fn message(&self) -> String {
        if self.is_quantity {
            return "quantities must match the regular expression \
                    '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned();
        }
        format!(
            "json: cannot unmarshal {} into Go struct field {} of type {}",
            self.got, self.field, self.expected
        )
    }
}

/// The position of the decoder in the object.
struct Position<'p> {
    /// The innermost type's short name.
    owner: &'p str,
    /// The path without indexes, as in errors of the decoder.
    fields: String,
    /// The path with indexes, as in errors about unknown fields.
    path: String,
}

/// Decodes an object of a built-in kind. Collects the paths of unknown fields.
pub(crate) fn decode(
    schema: &Schema,
    value: &Value,
    unknown: &mut Vec<String>,
) -> Result<Value, WrongType> {
    let place = Position {
        owner: "",
        fields: String::new(),
        path: String::new(),
    };
    read(schema, value, &place, unknown)
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `PodSpec` of `io.k8s.api.core.v1.PodSpec`.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The Go name of a type.
fn go(schema: &Schema) -> String {
    match &schema.shape {
        Shape::Named(name) => {
            let mut parts = name.rsplit('.');
            let kind = parts.next().unwrap_or_default();
            format!("{}.{kind}", parts.next().unwrap_or_default())
        }
        Shape::String | Shape::MicroTime => "string".to_owned(),
        Shape::Integer(true) => "int64".to_owned(),
        Shape::Integer(false) => "int32".to_owned(),
        Shape::Number => "float64".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::List(list) => format!("[]{}", go(&list.items)),
        Shape::Object(Object {
            additional: Some(schema),
            ..
        }) => format!("map[string]{}", go(schema)),
        _ => "map[string]interface {}".to_owned(),
    }
}

fn read(
    schema: &Schema,
    value: &Value,
    place: &Position<'_>,
    unknown: &mut Vec<String>,
) -> Result<Value, WrongType> {
    let wrong = || WrongType {
        got: word(value),
        field: format!("{}.{}", place.owner, place.fields),
        expected: go(schema),
        is_quantity: false,
    };
    match (schema.shape(), value) {
        (Shape::Any, value) => Ok(value.clone()),
        (Shape::String | Shape::MicroTime, Value::String(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Boolean, Value::Bool(_))
        | (Shape::IntOrString, Value::String(_) | Value::Number(_)) => Ok(value.clone()),
        (Shape::Integer(_), Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Ok(value.clone())
        }
        (Shape::Quantity, Value::String(_) | Value::Number(_)) => {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match quantity::canonical(&text) {
                Some(text) => Ok(Value::String(text)),
                None => Err(WrongType {
                    is_quantity: true,
                    ..wrong()
                }),
            }
        }
        (Shape::List(list), Value::Array(values)) => {
            let mut out = Vec::with_capacity(values.len());
            for (index, value) in values.iter().enumerate() {
                let place = Position {
                    owner: place.owner,
                    fields: place.fields.clone(),
                    path: format!("{}[{index}]", place.path),
                };
                out.push(match value {
                    Value::Null => zero(&list.items),
                    value => read(&list.items, value, &place, unknown)?,
                });
            }
            Ok(Value::Array(out))
        }
        (Shape::Object(object), Value::Object(map)) => {
            let owner = match &schema.shape {
                Shape::Named(name) => short(name),
                _ => place.owner,
            };
            let place = Position {
                owner,
                fields: place.fields.clone(),
                path: place.path.clone(),
            };
            read_object(object, map, &place, unknown)
        }
        (_, Value::Null) => Ok(Value::Null),
        _ => Err(wrong()),
    }
}

fn read_object(
    object: &Object,
    map: &Map<String, Value>,
    place: &Position<'_>,
    unknown: &mut Vec<String>,
) -> Result<Value, WrongType> {
    let mut out = Map::new();
    let join = |prefix: &str, name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        }
    };
    for (name, value) in map {
        let field = object.fields.get(name);
        let inner = Position {
            owner: place.owner,
            fields: match field {
                Some(_) => join(&place.fields, name),
                None => place.fields.clone(),
            },
            path: join(&place.path, name),
        };
        if let Some(schema) = field {
            if value.is_null() {
                continue;
            }
            let value = read(schema, value, &inner, unknown)?;
            if !is_dropped(object, name, schema, &value) {
                out.insert(name.clone(), value);
            }
        } else if let Some(schema) = &object.additional {
            let value = match value {
                Value::Null => zero(schema),
                value => read(schema, value, &inner, unknown)?,
            };
            out.insert(name.clone(), value);
        } else if object.fields.is_empty() {
            out.insert(name.clone(), value.clone());
        } else {
            unknown.push(inner.path);
        }
    }
    for (name, schema) in &object.fields {
        if out.contains_key(name) {
            continue;
        }
        if let Some(default) = &schema.default {
            let mut nothing = Vec::new();
            let inner = Position {
                owner: place.owner,
                fields: String::new(),
                path: String::new(),
            };
            let value = read(schema, default, &inner, &mut nothing)?;
            out.insert(name.clone(), value);
        } else if object.always.contains(name) {
            out.insert(name.clone(), Value::Null);
        }
    }
    Ok(Value::Object(out))
}

/// Whether Go's `omitempty` leaves a value out.
fn is_dropped(object: &Object, name: &String, schema: &Schema, value: &Value) -> bool {
    if object.always.contains(name) {
        return value.is_null();
    }
    match value {
        Value::Null => true,
        // A field whose default is the empty string is always written.
        Value::String(text) => {
            text.is_empty() && schema.default != Some(json!("")) && !object.kept.contains(name)
        }
        Value::Bool(false) => object.dropped.contains(name),
        Value::Number(number) => number.as_f64() == Some(0.0) && object.dropped.contains(name),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => {
            let is_map = matches!(
                schema.shape(),
                Shape::Object(Object { additional: Some(_), fields, .. }) if fields.is_empty()
            );
            is_map && map.is_empty()
        }
        Value::Bool(true) => false,
    }
}

/// The value that Go decodes from a null in a list or map.
fn zero(schema: &Schema) -> Value {
    match schema.shape() {
        Shape::String => json!(""),
        Shape::Integer(_) | Shape::Number | Shape::IntOrString => json!(0),
        Shape::Boolean => json!(false),
        Shape::Quantity => json!("0"),
        Shape::Object(_) => json!({}),
        _ => Value::Null,
    }
}

/// Decodes an object of a custom kind: drops unknown fields (and collects them), and applies defaults.
pub(crate) fn prune(schema: &Schema, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match (schema.shape(), value) {
        (Shape::Object(object), Value::Object(map)) => {
            if schema.embedded {
                return;
            }
            let names: Vec<String> = map.keys().cloned().collect();
            for name in names {
                let inner = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let field = object.fields.get(&name).or(object.additional.as_deref());
                match field {
                    Some(field) if inner != "metadata" => {
                        if let Some(value) = map.get_mut(&name) {
                            prune(field, value, &inner, unknown);
                        }
                    }
                    Some(_) => {}
                    None if schema.preserve => {}
                    None => {
                        map.remove(&name);
                        unknown.push(inner);
                    }
                }
            }
        }
        (Shape::List(list), Value::Array(values)) => {
            for (index, value) in values.iter_mut().enumerate() {
                prune(&list.items, value, &format!("{path}[{index}]"), unknown);
            }
        }
        (
            Shape::String | Shape::Integer(_) | Shape::Number | Shape::Boolean,
            Value::Object(map),
        ) => {
            for name in map.keys() {
                unknown.push(format!("{path}.{name}"));
            }
        }
        (Shape::Any, Value::Object(map)) if !schema.preserve && schema.rules.is_some() => {
            for name in map.keys() {
                unknown.push(format!("{path}.{name}"));
            }
            map.clear();
        }
        _ => {}
    }
}

/// Applies the defaults of a custom kind's schema.
pub(crate) fn fill(schema: &Schema, value: &mut Value) {
    match (schema.shape(), value) {
        (Shape::Object(object), Value::Object(map)) => {
            for (name, field) in &object.fields {
                if name == "metadata" {
                    continue;
                }
                let is_missing = match map.get(name) {
                    None => true,
                    Some(Value::Null) => !field.nullable,
                    Some(_) => false,
                };
                if let (true, Some(default)) = (is_missing, &field.default) {
                    map.insert(name.clone(), default.clone());
                }
                if let Some(value) = map.get_mut(name) {
                    fill(field, value);
                }
            }
            if let Some(field) = &object.additional {
                for (name, value) in map.iter_mut() {
                    if !object.fields.contains_key(name) {
                        fill(field, value);
                    }
                }
            }
        }
        (Shape::List(list), Value::Array(values)) => {
            for value in values {
                fill(&list.items, value);
            }
        }
        _ => {}
    }
}

/// Calls `each` for every object of a named type, outer ones first.
pub(crate) fn visit(
    schema: &Schema,
    value: &mut Value,
    each: &mut impl FnMut(&str, &mut Map<String, Value>),
) {
    if let (Shape::Named(name), Value::Object(map)) = (&schema.shape, &mut *value) {
        each(name, map);
    }
    match (schema.shape(), value) {
        (Shape::Object(object), Value::Object(map)) => {
            for (name, value) in map {
                let field = object.fields.get(name).or(object.additional.as_deref());
                visit(field.unwrap_or_else(|| any()), value, each);
            }
        }
        (Shape::List(list), Value::Array(values)) => {
            for value in values {
                visit(&list.items, value, each);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::named;

    #[test]
    fn an_object_is_read_as_go_reads_it() {
        let schema = named("io.k8s.api.core.v1.Container");
        let value = json!({"name": "a", "tty": false, "args": [], "odd": 1, "image": "",
            "resources": {"limits": {"cpu": "1000m"}}, "securityContext": {"privileged": false}});
        let mut unknown = Vec::new();
        let read = decode(&schema, &value, &mut unknown).unwrap();
        assert_eq!(
            read,
            json!({"name": "a", "resources": {"limits": {"cpu": "1"}}, "securityContext": {"privileged": false}})
        );
        assert_eq!(unknown, ["odd"]);
        let value = json!({"name": "a", "ports": [{"containerPort": "80"}]});
        let wrong = decode(&schema, &value, &mut unknown).unwrap_err();
        assert_eq!(
            wrong.message(),
            "json: cannot unmarshal string into Go struct field ContainerPort.ports.containerPort of type int32"
        );
    }
}
