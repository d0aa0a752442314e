//! From text to values: documents, budgets, anchors, merge keys, duplicate keys.

mod json;
mod loader;

use std::collections::HashMap;

use serde_json::Value;

use crate::error::YamlError;
use loader::Loader;

/// Limits for reading a text.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest text, bytes.
    pub bytes: usize,
    /// Deepest nesting of collections.
    pub depth: usize,
    /// Most documents in one text.
    pub documents: usize,
    /// Most values over all documents, with aliases written out: what an alias bomb multiplies.
    pub nodes: usize,
    /// How duplicate keys are handled.
    pub duplicate_keys: DuplicateKeys,
}

/// How duplicate keys of a mapping are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicateKeys {
    /// An error: one of the two is not what its author meant.
    #[default]
    Refuse,
    /// The last one counts, as with goyaml's lenient reader; for data that others keep.
    LastWins,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            depth: 100,
            documents: 10_000,
            nodes: 4_000_000,
            duplicate_keys: DuplicateKeys::Refuse,
        }
    }
}

/// One document of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Null where the document is empty or only comments.
    pub value: Value,
    /// The line its first value is on, 1 being the first.
    pub line: usize,
}

/// Position of each value of a document, by its path (`environments[1].name`).
#[derive(Debug, Clone, Default)]
pub struct Positions(HashMap<String, (usize, usize)>);

impl Positions {
    /// Line and column of a mapping entry's key or of a sequence's item; of the nearest parent that is
    /// known otherwise.
    #[must_use]
    pub fn nearest(&self, path: &str) -> (usize, usize) {
        let mut path = path;
        loop {
            if let Some(position) = self.0.get(path) {
                return *position;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return self.0.get("").copied().unwrap_or((1, 1)),
            }
        }
    }
}

/// Reads all documents of a text.
///
/// # Errors
/// At the first thing that is malformed, refused or over a limit.
pub fn parse_documents(text: &str, limits: &Limits) -> Result<Vec<Document>, YamlError> {
    // kubectl reads line by line and terminates each line, so that a block scalar at the end has a line break.
    let ended: String;
    let text = if text.is_empty() || text.ends_with('\n') || text.len() >= limits.bytes {
        text
    } else {
        ended = format!("{text}\n");
        &ended
    };
    Loader::new(text, limits, None)?
        .documents()
        .map(|(documents, _)| documents)
}

/// Reads all documents of bytes that should be UTF-8; a byte order mark is skipped.
///
/// # Errors
/// See [`parse_documents`]; also when the bytes are not UTF-8.
pub fn parse_documents_bytes(bytes: &[u8], limits: &Limits) -> Result<Vec<Document>, YamlError> {
    parse_documents(utf8(bytes)?, limits)
}

/// Reads the objects of a file as kubectl does: JSON objects one after another where it begins with a
/// brace and is JSON, YAML otherwise.
///
/// # Errors
/// See [`parse_documents_bytes`].
pub fn parse_manifests(bytes: &[u8], limits: &Limits) -> Result<Vec<Document>, YamlError> {
    let text = utf8(bytes)?;
    match json::objects(text, limits) {
        Some(objects) => objects,
        None => parse_documents(text, limits),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, YamlError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        YamlError {
            line: 1 + good.iter().filter(|b| **b == b'\n').count(),
            column: 1,
            message: "the text is not valid UTF-8".to_owned(),
        }
    })
}

/// Reads a text of one document and where its values were.
///
/// # Errors
/// See [`parse_documents`]; also when there is more than one document.
pub fn parse_spanned(text: &str, limits: &Limits) -> Result<(Value, Positions), YamlError> {
    let (mut documents, positions) =
        Loader::new(text, limits, Some(Positions::default()))?.documents()?;
    if documents.len() > 1 {
        let line = documents.get(1).map_or(1, |document| document.line);
        return Err(YamlError {
            line,
            column: 1,
            message: "only one document may be here".into(),
        });
    }
    Ok((
        documents
            .pop()
            .map_or(Value::Null, |document| document.value),
        positions,
    ))
}

#[cfg(test)]
mod tests;
