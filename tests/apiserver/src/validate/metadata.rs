//! Validation of every object's metadata.

use serde_json::{Value, json};

use super::text;
use crate::kinds::Kind;
use crate::status::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
    '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex \
    used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', \
    '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  \
    or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn is_label(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(good)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && part.chars().all(good) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn is_label_value(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= 63
            && text.chars().all(good)
            && text.starts_with(end)
            && text.ends_with(end))
}

pub(super) fn check(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    name(kind, text(object, "/metadata/name"), &mut causes);
    let labels = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    for (_, value) in labels.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if !is_label_value(value) {
            causes.push(Cause::invalid("metadata.labels", &json!(value), VALUE));
        }
    }
    let owners = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    for owner in owners.into_iter().flatten() {
        let place = "metadata.ownerReferences";
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            let value = owner.get(field).and_then(Value::as_str).unwrap_or_default();
            if value.is_empty() {
                causes.push(Cause::invalid(format!("{place}.{field}"), &json!(""), why));
            }
        }
    }
    causes
}

fn name(kind: &Kind, name: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        let why = "name or generateName is required";
        causes.push(Cause::required("metadata.name", why));
        return;
    }
    let fits = match (kind.group.as_str(), kind.kind.as_str()) {
        // RBAC names only have to be valid path segments.
        ("rbac.authorization.k8s.io" | "authorization.k8s.io", _) => {
            if name == "." || name == ".." || name.contains(['/', '%']) {
                causes.push(Cause::invalid(
                    "metadata.name",
                    &json!(name),
                    "may not contain '/'",
                ));
            }
            return;
        }
        ("", "Namespace" | "Service") => (is_label(name), LABEL),
        ("apiextensions.k8s.io", _) => (true, ""),
        _ => (is_subdomain(name), SUBDOMAIN),
    };
    if !fits.0 {
        causes.push(Cause::invalid("metadata.name", &json!(name), fits.1));
    }
}
