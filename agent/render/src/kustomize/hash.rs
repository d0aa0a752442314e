//! The hash in generated names (`api/hasher`): ten letters and digits of the content's SHA-256.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::failure::{Failure, Outcome};
use super::node::Node;
use super::resource::Resource;

/// The suffix for a resource's name.
///
/// # Errors
/// When the resource is neither ConfigMap nor Secret: Kustomize hashes others by how their YAML was
/// written, which is not known here.
pub(crate) fn suffix(resource: &Resource) -> Outcome<String> {
    let field = |name: &str| -> Outcome<Value> {
        match resource.node.field(name) {
            None => Ok(json!("")),
            Some(Node::Scalar(scalar)) => Ok(Value::String(scalar.text.to_string())),
            Some(node) => node.clone().into_json(),
        }
    };
    let mut content = Map::new();
    // Kustomize looks for a field that is literally called `metadata/name`, so the name is never hashed.
    content.insert("name".to_owned(), json!(""));
    content.insert("kind".to_owned(), json!(resource.kind()));
    content.insert("data".to_owned(), field("data")?);
    let optional = match resource.kind() {
        "ConfigMap" => "binaryData",
        "Secret" => {
            content.insert("type".to_owned(), field("type")?);
            "stringData"
        }
        other => {
            return Err(Failure::render(format!(
                "the name of a {other} cannot get a hash; only those of ConfigMaps and Secrets can"
            )));
        }
    };
    let value = field(optional)?;
    if value.is_object() {
        content.insert(optional.to_owned(), value);
    }
    let digest = Sha256::digest(go_json(&Value::Object(content)));
    Ok(digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .take(10)
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        // Vowels and digits that could form words are replaced.
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect())
}

/// As Go's encoder writes it: keys sorted, and HTML characters escaped.
fn go_json(value: &Value) -> String {
    let text = value.to_string();
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            c => escaped.push(c),
        }
    }
    // Rust escapes two control characters in short form that Go writes as `\u`.
    escaped
        .replace("\\\\", "\u{0}")
        .replace("\\b", "\\u0008")
        .replace("\\f", "\\u000c")
        .replace('\u{0}', "\\\\")
}
