//! Validation of custom kinds (`apiextensions.k8s.io/v1` schemas): types, required fields, bounds, patterns,
//! enumerations, compositions. CEL rules (`x-kubernetes-validations`) are not evaluated; see the README.

use serde_json::{Map, Value, json};

use crate::schema::{Merge, Schema, Shape};
use crate::status::Cause;

/// All validation errors of an object of a custom kind.
pub(crate) fn validate(schema: &Schema, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, object, "", &mut causes);
    causes
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type(path: &str, value: &Value, expected: &str) -> Cause {
    let shown = match value {
        Value::Array(_) => json!("array"),
        Value::Object(_) => json!("object"),
        Value::Null => json!("null"),
        value => json!(kind_of(value)),
    };
    Cause {
        reason: "FieldValueTypeInvalid",
        field: path.to_owned(),
        message: format!(
            "Invalid value: {shown}: {path} in body must be of type {expected}: {shown}"
        ),
    }
}

fn check(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && schema.nullable {
        return;
    }
    let place = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match (schema.shape(), value) {
        (Shape::Object(object), Value::Object(map)) => {
            for name in &object.required {
                if !map.contains_key(name) {
                    causes.push(Cause::required(place(name), ""));
                }
            }
            for (name, value) in map {
                if path.is_empty() && name == "metadata" {
                    continue;
                }
                let field = object.fields.get(name).or(object.additional.as_deref());
                if let Some(field) = field {
                    check(field, value, &place(name), causes);
                }
            }
        }
        (Shape::List(list), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                check(&list.items, value, &format!("{path}[{index}]"), causes);
            }
            duplicates(schema, &list.merge, values, path, causes);
        }
        (Shape::Any, _)
        | (Shape::String | Shape::MicroTime, Value::String(_))
        | (Shape::Boolean, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::IntOrString | Shape::Quantity, Value::String(_) | Value::Number(_)) => {}
        (Shape::Integer(_), Value::Number(number))
            if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {}
        (shape, value) => {
            let expected = match shape {
                Shape::Object(_) => "object",
                Shape::List(_) => "array",
                Shape::Integer(_) => "integer",
                Shape::Number => "number",
                Shape::Boolean => "boolean",
                Shape::IntOrString => "integer,string",
                _ => "string",
            };
            causes.push(wrong_type(path, value, expected));
            return;
        }
    }
    if let Some(rules) = &schema.rules {
        bounds(rules, value, path, causes);
    }
}

fn duplicates(
    schema: &Schema,
    merge: &Merge,
    values: &[Value],
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if *merge == Merge::Atomic {
        return;
    }
    let mut seen: Vec<String> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let Some(element) = crate::fieldset::item(schema, value) else {
            continue;
        };
        if seen.contains(&element) {
            let shown = element.get(2..).unwrap_or_default();
            causes.push(Cause {
                reason: "FieldValueDuplicate",
                field: format!("{path}[{index}]"),
                message: format!("Duplicate value: {shown}"),
            });
        } else {
            seen.push(element);
        }
    }
}

/// A value and the validation rules of its schema.
struct CheckedValue<'v> {
    rules: &'v Map<String, Value>,
    value: &'v Value,
    path: &'v str,
}

impl CheckedValue<'_> {
    /// A numeric rule.
    fn number(&self, name: &str) -> Option<f64> {
        self.rules.get(name).and_then(Value::as_f64)
    }

    /// A rule as written in the schema.
    fn shown(&self, name: &str) -> String {
        self.rules
            .get(name)
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Whether the schema makes this bound exclusive.
    fn exclusive(&self, name: &str) -> bool {
        self.rules.get(name) == Some(&Value::Bool(true))
    }

    /// A validation error in the words of the server.
    fn wrong(&self, why: &str) -> Cause {
        Cause::invalid(
            self.path,
            self.value,
            &format!("{} in body {why}", self.path),
        )
    }

    /// Checks the bounds of a number.
    fn amount(&self, have: f64, causes: &mut Vec<Cause>) {
        if let Some(minimum) = self.number("minimum") {
            if self.exclusive("exclusiveMinimum") && have <= minimum {
                causes
                    .push(self.wrong(&format!("should be greater than {}", self.shown("minimum"))));
            } else if have < minimum {
                causes.push(self.wrong(&format!(
                    "should be greater than or equal to {}",
                    self.shown("minimum")
                )));
            }
        }
        if let Some(maximum) = self.number("maximum") {
            if self.exclusive("exclusiveMaximum") && have >= maximum {
                causes.push(self.wrong(&format!("should be less than {}", self.shown("maximum"))));
            } else if have > maximum {
                causes.push(self.wrong(&format!(
                    "should be less than or equal to {}",
                    self.shown("maximum")
                )));
            }
        }
        if let Some(factor) = self.number("multipleOf")
            && factor != 0.0
            && (have / factor).fract() != 0.0
        {
            causes.push(self.wrong(&format!(
                "should be a multiple of {}",
                self.shown("multipleOf")
            )));
        }
    }

    /// Checks the length and the pattern of a string.
    fn text(&self, text: &str, causes: &mut Vec<Cause>) {
        let length = u32::try_from(text.chars().count()).map_or(f64::MAX, f64::from);
        if self.number("minLength").is_some_and(|least| length < least) {
            causes.push(self.wrong(&format!(
                "should be at least {} chars long",
                self.shown("minLength")
            )));
        }
        if self.number("maxLength").is_some_and(|most| length > most) {
            causes.push(Cause {
                reason: "FieldValueTooLong",
                field: self.path.to_owned(),
                message: format!(
                    "Too long: may not be more than {} bytes",
                    self.shown("maxLength")
                ),
            });
        }
        let pattern = self.rules.get("pattern").and_then(Value::as_str);
        if let Some(pattern) = pattern {
            // A pattern that this regex engine cannot parse is not enforced.
            let fits = regex::Regex::new(pattern).is_ok_and(|re| !re.is_match(text));
            if fits {
                causes.push(self.wrong(&format!("should match '{pattern}'")));
            }
        }
    }

    /// Checks the number of items of a list.
    fn count(&self, list: &[Value], causes: &mut Vec<Cause>) {
        let count = u32::try_from(list.len()).map_or(f64::MAX, f64::from);
        if self.number("minItems").is_some_and(|least| count < least) {
            let why = format!(
                "{} in body should have at least {} items",
                self.path,
                self.shown("minItems")
            );
            causes.push(Cause::invalid(self.path, &json!(list.len()), &why));
        }
        if self.number("maxItems").is_some_and(|most| count > most) {
            causes.push(Cause {
                reason: "FieldValueTooMany",
                field: self.path.to_owned(),
                message: format!(
                    "Too many: {}: must have at most {} items",
                    list.len(),
                    self.shown("maxItems")
                ),
            });
        }
    }

    /// Checks the enumeration.
    fn enumeration(&self, causes: &mut Vec<Cause>) {
        let value = self.value;
        if let Some(allowed) = self.rules.get("enum").and_then(Value::as_array)
            && !allowed.contains(value)
        {
            let texts: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            causes.push(Cause {
                reason: "FieldValueNotSupported",
                field: self.path.to_owned(),
                message: format!(
                    "Unsupported value: {value}: supported values: {}",
                    texts.join(", ")
                ),
            });
        }
    }
}

/// All errors of a value against its schema.
fn bounds(rules: &Map<String, Value>, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let bounded = CheckedValue { rules, value, path };
    if let Some(have) = value.as_f64() {
        bounded.amount(have, causes);
    }
    if let Some(text) = value.as_str() {
        bounded.text(text, causes);
    }
    if let Some(list) = value.as_array() {
        bounded.count(list, causes);
    }
    bounded.enumeration(causes);
    compositions(rules, value, path, causes);
}

fn compositions(rules: &Map<String, Value>, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let holds = |schema: &Value| validate_part(schema, value, path).is_empty();
    let list = |name: &str| rules.get(name).and_then(Value::as_array);
    for schema in list("allOf").into_iter().flatten() {
        causes.extend(validate_part(schema, value, path));
    }
    let mut wrong = |why: &str| {
        causes.push(Cause::invalid(
            path,
            value,
            &format!("{path} in body {why}"),
        ));
    };
    if list("anyOf").is_some_and(|all| !all.iter().any(holds)) {
        wrong("must validate at least one schema (anyOf)");
    }
    if list("oneOf").is_some_and(|all| all.iter().filter(|schema| holds(schema)).count() != 1) {
        wrong("must validate one and only one schema (oneOf)");
    }
    if rules.get("not").is_some_and(holds) {
        wrong("must not validate the schema (not)");
    }
}

/// A branch of a composition has no type of its own, only bounds and required fields.
fn validate_part(schema: &Value, value: &Value, path: &str) -> Vec<Cause> {
    let mut read = Schema::read_structural(schema);
    if schema.get("required").is_some() && !matches!(read.shape, Shape::Object(_)) {
        let mut typed = schema.clone();
        if let Value::Object(map) = &mut typed {
            map.insert("type".to_owned(), json!("object"));
        }
        if value.is_object() {
            read = Schema::read_structural(&typed);
        }
    }
    let mut causes = Vec::new();
    check(&read, value, path, &mut causes);
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named() {
        let schema = Schema::read_structural(
            &json!({"type": "object", "required": ["size"], "properties": {
                "size": {"type": "integer", "minimum": 1},
                "color": {"type": "string", "enum": ["red"], "pattern": "^r"},
                "when": {"type": "string", "nullable": true},
            }}),
        );
        let fields = |value: Value| -> Vec<String> {
            let causes = validate(&schema, &value);
            causes.into_iter().map(|cause| cause.field).collect()
        };
        assert_eq!(
            fields(json!({"size": 1, "when": null})),
            Vec::<String>::new()
        );
        assert_eq!(fields(json!({})), ["size"]);
        assert_eq!(
            fields(json!({"size": 0, "color": "blue"})),
            ["color", "color", "size"]
        );
        assert_eq!(fields(json!({"size": "x"})), ["size"]);
    }
}
