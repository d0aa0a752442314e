//! Failures in the API server's own words (`metav1.Status`).

use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::managed::Conflict;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) retry_after: Option<u32>,
    /// For `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

impl Failure {
    /// Warnings issued before the failure.
    pub(crate) fn warned(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    /// Adds or replaces a field of the body.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        if let Value::Object(body) = &mut self.body {
            body.insert(name.to_owned(), value);
        }
        self
    }
}

/// A cause: what is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Cause {
    pub(crate) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self {
            reason: "FieldValueRequired",
            field: field.into(),
            message,
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {value}: {why}"),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {why}"),
        }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {value}"),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let allowed: Vec<String> = allowed.iter().map(|value| format!("\"{value}\"")).collect();
        Self {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                allowed.join(", ")
            ),
        }
    }
}

pub(crate) fn failure(code: u16, reason: &str, message: impl Into<String>) -> Failure {
    let mut body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message.into(),
        "code": code,
    });
    if let (false, Value::Object(body)) = (reason.is_empty(), &mut body) {
        body.insert("reason".to_owned(), json!(reason));
    }
    Failure {
        code,
        body,
        retry_after: None,
        warnings: Vec::new(),
    }
}

/// `configmaps`, `deployments.apps`.
fn resource(group: &str, plural: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

/// The details of most failures; empty fields are left out.
pub(crate) fn details(name: &str, group: &str, kind: &str) -> Map<String, Value> {
    let mut details = Map::new();
    for (field, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(field.to_owned(), json!(value));
        }
    }
    details
}

pub(crate) fn not_found(group: &str, plural: &str, name: &str) -> Failure {
    failure(
        404,
        "NotFound",
        format!("{} \"{name}\" not found", resource(group, plural)),
    )
    .with("details", Value::Object(details(name, group, plural)))
}

pub(crate) fn no_such_path() -> Failure {
    failure(
        404,
        "NotFound",
        "the server could not find the requested resource",
    )
    .with("details", json!({}))
}

pub(crate) fn already_exists(group: &str, plural: &str, name: &str) -> Failure {
    failure(
        409,
        "AlreadyExists",
        format!("{} \"{name}\" already exists", resource(group, plural)),
    )
    .with("details", Value::Object(details(name, group, plural)))
}

pub(crate) fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Failure {
    failure(
        409,
        "Conflict",
        format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            resource(group, plural)
        ),
    )
    .with("details", Value::Object(details(name, group, plural)))
}

pub(crate) fn modified(kind: &Kind, name: &str) -> Failure {
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    conflict(&kind.group, &kind.plural, name, why)
}

pub(crate) fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Failure {
    let what = if name.is_empty() {
        format!("{} is forbidden", resource(group, plural))
    } else {
        format!("{} \"{name}\" is forbidden", resource(group, plural))
    };
    failure(403, "Forbidden", format!("{what}: {why}"))
        .with("details", Value::Object(details(name, group, plural)))
}

/// Refuses an object with invalid fields.
pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Failure {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes {
        let text = format!("{}: {}", cause.field, cause.message);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let why = match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    let mut details = details(name, group, kind);
    let causes: Vec<Value> = causes
        .iter()
        .map(
            |cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}),
        )
        .collect();
    details.insert("causes".to_owned(), Value::Array(causes));
    failure(
        422,
        "Invalid",
        format!("{} \"{name}\" is invalid: {why}", resource(group, kind)),
    )
    .with("details", Value::Object(details))
}

pub(crate) fn bad_request(why: impl Into<String>) -> Failure {
    failure(400, "BadRequest", why)
}

pub(crate) fn unsupported_media_type() -> Failure {
    failure(415, "UnsupportedMediaType", "415: Unsupported Media Type").with("details", json!({}))
}

pub(crate) fn not_allowed() -> Failure {
    failure(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )
    .with("details", json!({}))
}

/// A JSON patch that cannot be applied.
pub(crate) fn rejected() -> Failure {
    failure(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
    )
    .with("details", json!({}))
}

/// A field that the kind does not support in field selectors.
pub(crate) fn unknown_field(key: &str, has_own: bool) -> Failure {
    if has_own {
        return bad_request(format!("field label not supported: {key}"));
    }
    bad_request(format!(
        "\"{key}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    ))
}

/// A patch whose result cannot be read.
pub(crate) fn invalid_patch(patched: &Value, why: &str) -> Failure {
    let text = Value::String(patched.to_string());
    invalid("", "", "", &[Cause::invalid("patch", &text, why)])
}

/// A watch from a compacted resourceVersion.
pub(crate) fn too_old(asked: u64, oldest: u64) -> Failure {
    failure(
        410,
        "Expired",
        format!("too old resource version: {asked} ({oldest})"),
    )
}

/// A list that continues from a compacted resourceVersion; `next` continues without consistency.
pub(crate) fn continue_expired(next: &str) -> Failure {
    failure(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start \
         a new list without the continue parameter, or use the continue token in this response to \
         retrieve the remainder of the results. Continuing with the provided token results in an \
         inconsistent list - objects that were created, modified, or deleted between the time the first \
         chunk was returned and now may show up in the list.",
    )
    .with("metadata", json!({ "continue": next }))
}

pub(crate) fn too_large_version(asked: u64, current: u64) -> Failure {
    failure(
        504,
        "Timeout",
        format!("Timeout: Too large resource version: {asked}, current: {current}"),
    )
    .with(
        "details",
        json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }),
    )
}

fn told(conflict: &Conflict) -> String {
    let mut text = format!("\"{}\"", conflict.manager.name);
    if !conflict.manager.subresource.is_empty() {
        text = format!(
            "{text} with subresource \"{}\"",
            conflict.manager.subresource
        );
    }
    if conflict.manager.operation == "Update" {
        text = format!("{text} using {}", conflict.api_version);
    }
    text
}

pub(crate) fn apply_conflict(conflicts: &[Conflict]) -> Failure {
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    let mut count = 0;
    for conflict in conflicts {
        let who = told(conflict);
        lines.push(format!("conflicts with {who}:"));
        for path in conflict.fields.paths() {
            count += 1;
            lines.push(format!("- {path}"));
            causes.push(json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {who}"),
                "field": path,
            }));
        }
    }
    let message = match (conflicts, causes.as_slice()) {
        ([conflict], [cause]) => format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            told(conflict),
            cause
                .get("field")
                .and_then(Value::as_str)
                .unwrap_or_default()
        ),
        _ => format!("Apply failed with {count} conflicts: {}", lines.join("\n")),
    };
    failure(409, "Conflict", message).with("details", json!({ "causes": causes }))
}
