//! The objects of documents: lists opened, each object once, a bounded number.

use std::collections::BTreeMap;

use flotilla_shared::object::ObjectRef;
use serde_json::Value;

use crate::{Manifest, Origin, RenderError};

/// Lists in lists that are opened.
const MAX_DEPTH: usize = 8;

/// Objects in the order in which they were found.
pub(crate) struct Objects {
    manifests: Vec<Manifest>,
    seen: BTreeMap<ObjectRef, Origin>,
    limit: usize,
}

impl Objects {
    /// None yet, and at most `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            manifests: Vec::new(),
            seen: BTreeMap::new(),
            limit,
        }
    }

    /// Adds the object of a document, or the members of a list of objects, each marked; nothing for null.
    pub(crate) fn add(
        &mut self,
        value: Value,
        origin: &Origin,
        mark: &impl Fn(&mut Value),
    ) -> Result<(), RenderError> {
        self.add_below(value, origin, mark, 0)
    }

    /// All of them.
    pub(crate) fn into_manifests(self) -> Vec<Manifest> {
        self.manifests
    }

    fn add_below(
        &mut self,
        mut value: Value,
        origin: &Origin,
        mark: &impl Fn(&mut Value),
        depth: usize,
    ) -> Result<(), RenderError> {
        if value.is_null() {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(RenderError::exceeded(
                &origin.file,
                "nested lists",
                MAX_DEPTH,
            ));
        }
        let is_list = value
            .get("kind")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.ends_with("List"))
            && value.get("items").is_some_and(Value::is_array);
        if is_list {
            if let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) {
                for item in items {
                    self.add_below(item, origin, mark, depth + 1)?;
                }
            }
            return Ok(());
        }
        mark(&mut value);
        let manifest = Manifest::new(value, origin.clone())?;
        if self.manifests.len() >= self.limit {
            return Err(RenderError::exceeded(&origin.file, "objects", self.limit));
        }
        let object = manifest.object();
        if let Some(first) = self.seen.get(&object) {
            return Err(RenderError::DuplicateObject {
                object: object.to_string(),
                first: first.to_string(),
                second: origin.to_string(),
            });
        }
        self.seen.insert(object, origin.clone());
        self.manifests.push(manifest);
        Ok(())
    }
}
