//! Decoding the object of a request according to its kind.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Call, text};
use crate::kinds::Kind;
use crate::schema::Schema;
use crate::status::{Failure, bad_request};
use crate::{decode, defaults, prepare};

/// Decodes a body into the object to store, in the version of the request; returns warnings about unknown fields.
pub(super) fn read(
    kind: &Kind,
    call: &Call,
    body: &Value,
) -> Result<(Value, Vec<String>), Failure> {
    let version = &call.target.version;
    let schema = schema(kind, version);
    let expected = kind.api_version(version);
    let Value::Object(given) = body else {
        return Err(bad_request(format!(
            "couldn't get version/kind; json parse error: the body is no object ({})",
            kind.kind
        )));
    };
    let mut given = given.clone();
    for (field, value) in [("apiVersion", &expected), ("kind", &kind.kind)] {
        let have = given.get(field).and_then(Value::as_str).unwrap_or_default();
        if have.is_empty() {
            if kind.custom {
                let name = if field == "kind" {
                    "Kind"
                } else {
                    "apiVersion"
                };
                return Err(bad_request(format!(
                    "Object '{name}' is missing in '{body}'"
                )));
            }
            given.insert(field.to_owned(), json!(value));
        } else if have != value {
            return Err(mismatch(kind, &expected, body));
        }
    }
    let mut unknown = Vec::new();
    let mut object = Value::Object(given);
    let is_patched = call.verb == "patch" && !call.content_type.starts_with("application/apply");
    let wrong = |message: String| {
        if is_patched {
            return crate::status::invalid_patch(body, &message);
        }
        bad_request(format!(
            "{} in version \"{version}\" cannot be handled as a {}: {message}",
            kind.kind, kind.kind
        ))
    };
    if kind.custom {
        let meta = crate::schema::named(crate::schema::OBJECT_META);
        let metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
        let mut odd = Vec::new();
        let metadata =
            decode::decode(&meta, &metadata, &mut odd).map_err(|error| wrong(error.message()))?;
        unknown.extend(odd.into_iter().map(|path| format!("metadata.{path}")));
        decode::prune(&schema, &mut object, "", &mut unknown);
        decode::fill(&schema, &mut object);
        if let Value::Object(map) = &mut object {
            map.insert("metadata".to_owned(), metadata);
        }
    } else {
        object = decode::decode(&schema, &object, &mut unknown)
            .map_err(|error| wrong(error.message()))?;
        defaults::fill(&schema, &mut object);
        if (kind.group.as_str(), kind.kind.as_str()) == ("apps", "DaemonSet") {
            let have = "/metadata/annotations/deprecated.daemonset.template.generation";
            if object.pointer(have).is_none() {
                prepare::template_generation(&mut object, 0);
            }
        }
        check_base64(kind, &object).map_err(wrong)?;
    }
    unknown.sort();
    match call.parameter("fieldValidation") {
        "Strict" if !unknown.is_empty() => {
            let list: Vec<String> = unknown
                .iter()
                .map(|path| format!("unknown field \"{path}\""))
                .collect();
            Err(wrong(format!("strict decoding error: {}", list.join(", "))))
        }
        "Ignore" => Ok((object, Vec::new())),
        _ => {
            let warn = |path: String| format!("unknown field \"{path}\"");
            Ok((object, unknown.into_iter().map(warn).collect()))
        }
    }
}

fn mismatch(kind: &Kind, expected: &str, body: &Value) -> Failure {
    let (have, name) = (text(body, "/apiVersion"), text(body, "/kind"));
    if have == expected {
        let version = expected.rsplit('/').next().unwrap_or_default();
        bad_request(format!(
            "{name} in version \"{version}\" cannot be handled as a {}: converting (v1.{name}) to \
             (core.{}): unknown conversion",
            kind.kind, kind.kind
        ))
    } else {
        bad_request(format!(
            "the API version in the data ({have}) does not match the expected API version ({expected})"
        ))
    }
}

/// Checks that the values of a secret's `data` are base64.
fn check_base64(kind: &Kind, object: &Value) -> Result<(), String> {
    use base64::Engine as _;
    let fields: &[&str] = match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Secret") => &["data"],
        ("", "ConfigMap") => &["binaryData"],
        _ => &[],
    };
    for field in fields {
        let map = object.get(field).and_then(Value::as_object);
        for value in map
            .into_iter()
            .flatten()
            .filter_map(|(_, value)| value.as_str())
        {
            if base64::engine::general_purpose::STANDARD
                .decode(value)
                .is_err()
            {
                let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
                let at = value.find(|c| !good(c)).unwrap_or(value.len() / 4 * 4);
                return Err(format!("illegal base64 data at input byte {at}"));
            }
        }
    }
    Ok(())
}

pub(super) fn schema(kind: &Kind, version: &str) -> Arc<Schema> {
    kind.versions
        .get(version)
        .map(|version| Arc::clone(&version.schema))
        .unwrap_or_default()
}
