//! Values files: read, and merged one over another.

use crate::fields::Mismatch;
use crate::value::{Map, Value};
use crate::yaml;

/// Why values cannot be read or combined, in Helm's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// A document of a file is not YAML, or not a table.
    #[error("cannot unmarshal yaml document: {0}")]
    Document(String),
    /// The values of a subchart are not a table.
    #[error("type mismatch on {chart}: {given}")]
    Section {
        /// The subchart, by its name or alias.
        chart: String,
        /// The value, as Go prints what it did not expect.
        given: String,
    },
}

/// Reads a values file. Several documents are merged, the later over the earlier.
///
/// # Errors
///
/// The first malformed document, and why.
pub fn load(text: &[u8]) -> Result<Map, ValuesError> {
    let mut values = Map::new();
    for document in documents(text) {
        let value = yaml::parse(&document);
        let value = value.map_err(|message| ValuesError::Document(message.into()))?;
        let map = match value {
            Value::Nil => continue,
            Value::Map(map) => map,
            other => {
                let mismatch = Mismatch::new(&other, "value of type map[string]interface {}");
                return Err(ValuesError::Document(mismatch.to_string()));
            }
        };
        values = if values.is_empty() {
            map
        } else {
            merge(&values, &map)
        };
    }
    Ok(values)
}

/// Kubernetes' reader of several documents: a line that begins with `---` ends one.
fn documents(text: &[u8]) -> Vec<Vec<u8>> {
    let mut documents = Vec::new();
    let mut current = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let separator = line.strip_prefix(b"---").is_some_and(|rest| {
            let rest = rest.trim_ascii();
            rest.is_empty() || rest.starts_with(b"#")
        });
        // A separator at the beginning stays, so that line numbers count from it.
        if separator && !current.is_empty() {
            documents.push(std::mem::take(&mut current));
        } else {
            current.extend_from_slice(line);
        }
    }
    if !current.is_empty() {
        documents.push(current);
    }
    documents
}

/// Merges tables; the second one overrides the first.
#[must_use]
pub fn merge(first: &Map, second: &Map) -> Map {
    let out: Map = first.entries().into_iter().collect();
    for (key, value) in second.entries() {
        let value = match (out.get(&key), value) {
            (Some(Value::Map(below)), Value::Map(above)) => Value::Map(merge(&below, &above)),
            (_, value) => value,
        };
        out.insert(key, value);
    }
    out
}
