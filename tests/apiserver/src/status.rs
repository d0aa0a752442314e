//! Failures in the API server's own words (`metav1.Status`).

use serde_json::{Value, json};

use crate::apply::Conflict;

/// A failure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) retry_after: Option<u32>,
}

pub(crate) fn failure(code: u16, reason: &str, message: impl Into<String>) -> Failure {
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message.into(),
        "reason": reason,
        "code": code,
    });
    Failure {
        code,
        body,
        retry_after: None,
    }
}

fn resource(group: &str, plural: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

pub(crate) fn not_found(group: &str, plural: &str, name: &str) -> Failure {
    failure(
        404,
        "NotFound",
        format!("{} \"{name}\" not found", resource(group, plural)),
    )
}

pub(crate) fn no_such_path() -> Failure {
    failure(
        404,
        "NotFound",
        "the server could not find the requested resource",
    )
}

pub(crate) fn already_exists(group: &str, plural: &str, name: &str) -> Failure {
    failure(
        409,
        "AlreadyExists",
        format!("{} \"{name}\" already exists", resource(group, plural)),
    )
}

pub(crate) fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Failure {
    let what = resource(group, plural);
    failure(
        409,
        "Conflict",
        format!("Operation cannot be fulfilled on {what} \"{name}\": {why}"),
    )
}

pub(crate) fn invalid(kind: &str, group: &str, name: &str, why: &str) -> Failure {
    let what = resource(group, kind);
    failure(
        422,
        "Invalid",
        format!("{what} \"{name}\" is invalid: {why}"),
    )
}

pub(crate) fn bad_request(why: impl Into<String>) -> Failure {
    failure(400, "BadRequest", why)
}

pub(crate) fn expired() -> Failure {
    failure(
        410,
        "Expired",
        "The resourceVersion for the provided watch is too old.",
    )
}

pub(crate) fn apply_conflict(conflicts: &[Conflict]) -> Failure {
    let plural = if conflicts.len() == 1 {
        "conflict"
    } else {
        "conflicts"
    };
    let list: Vec<String> = conflicts
        .iter()
        .map(|conflict| format!("conflict with \"{}\": {}", conflict.manager, conflict.field))
        .collect();
    let message = format!(
        "Apply failed with {} {plural}: {}",
        conflicts.len(),
        list.join("; ")
    );
    let mut failure = failure(409, "Conflict", message);
    if let Value::Object(body) = &mut failure.body {
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|conflict| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with \"{}\"", conflict.manager),
                    "field": conflict.field,
                })
            })
            .collect();
        body.insert("details".to_owned(), json!({ "causes": causes }));
    }
    failure
}
