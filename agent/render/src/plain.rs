//! Plain directories: every YAML and JSON file below, as `kubectl apply --recursive` would read them.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::object::ObjectRef;
use serde_json::Value;

use crate::tree::{self, Entry, EntryKind, Tree};
use crate::{KUSTOMIZATION_FILES, Limits, Manifest, Origin, RenderError, Rendered};

/// The first line of every Git LFS pointer (git-lfs/docs/spec.md).
pub(crate) const LFS_HEADER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Renders all manifests at or below `path`, which exists and is no link.
pub(crate) fn render(
    tree: &dyn Tree,
    path: &str,
    limits: &Limits,
) -> Result<Rendered, RenderError> {
    let mut reader = Reader {
        tree,
        limits,
        manifests: Vec::new(),
        seen: BTreeMap::new(),
        files_read: BTreeSet::new(),
        visited: BTreeSet::new(),
        bytes: 0,
        values: 0,
    };
    match tree.get(path) {
        Some(Entry::Directory) => reader.directory(path, 0)?,
        _ => reader.file(path)?,
    }
    Ok(Rendered {
        manifests: reader.manifests,
        files_read: reader.files_read,
        ..Rendered::default()
    })
}

struct Reader<'a> {
    tree: &'a dyn Tree,
    limits: &'a Limits,
    manifests: Vec<Manifest>,
    seen: BTreeMap<ObjectRef, Origin>,
    files_read: BTreeSet<String>,
    /// Directories by their resolved path: a second way in through a link is not a second copy.
    visited: BTreeSet<String>,
    bytes: usize,
    values: usize,
}

fn is_manifest_file(name: &str) -> bool {
    [".yaml", ".yml", ".json"]
        .iter()
        .any(|ending| name.ends_with(ending))
        && !name.starts_with('.')
        && !KUSTOMIZATION_FILES.contains(&name)
}

/// How many values there are in one, itself included.
fn values(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(values).sum::<usize>(),
        _ => 1,
    }
}

impl Reader<'_> {
    fn directory(&mut self, path: &str, depth: usize) -> Result<(), RenderError> {
        if depth > self.limits.depth {
            return Err(self.exceeded(path, "levels of directories", self.limits.depth));
        }
        if !self.visited.insert(path.to_owned()) {
            return Ok(());
        }
        for (name, kind) in self.tree.list(path).unwrap_or_default() {
            if name.starts_with('.') {
                continue;
            }
            let child = tree::join(path, name);
            match kind {
                EntryKind::Directory => self.directory(&child, depth + 1)?,
                EntryKind::File if is_manifest_file(name) => self.file(&child)?,
                EntryKind::File => {}
                EntryKind::Submodule => return Err(RenderError::Submodule { path: child }),
                EntryKind::Symlink => {
                    let target = tree::resolve(self.tree, &child)?;
                    match self.tree.get(&target) {
                        Some(Entry::Directory) => self.directory(&target, depth + 1)?,
                        _ if is_manifest_file(name) => self.file(&target)?,
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn exceeded(&self, path: &str, what: &'static str, limit: usize) -> RenderError {
        RenderError::LimitExceeded {
            path: path.to_owned(),
            what,
            limit,
        }
    }

    fn file(&mut self, path: &str) -> Result<(), RenderError> {
        if !self.files_read.insert(path.to_owned()) {
            return Ok(());
        }
        if self.files_read.len() > self.limits.files {
            return Err(self.exceeded(path, "files", self.limits.files));
        }
        let too_large = |bytes| RenderError::FileTooLarge {
            file: path.to_owned(),
            bytes,
            limit: self.limits.file_bytes,
        };
        let content = match self.tree.get(path) {
            Some(Entry::File(content)) => content,
            Some(Entry::TooLarge { bytes }) => return Err(too_large(bytes)),
            Some(Entry::Submodule) => {
                return Err(RenderError::Submodule {
                    path: path.to_owned(),
                });
            }
            _ => {
                return Err(RenderError::PathNotFound {
                    path: path.to_owned(),
                    nearest: None,
                });
            }
        };
        if content.len() > self.limits.file_bytes {
            return Err(too_large(content.len() as u64));
        }
        self.bytes += content.len();
        if self.bytes > self.limits.total_bytes {
            return Err(self.exceeded(path, "bytes of manifests", self.limits.total_bytes));
        }
        if content.starts_with(LFS_HEADER) {
            return Err(RenderError::LfsPointer {
                file: path.to_owned(),
            });
        }
        let documents =
            flotilla_yaml::parse_manifests(content, &self.limits.yaml).map_err(|error| {
                RenderError::MalformedYaml {
                    file: path.to_owned(),
                    line: error.line,
                    message: error.message,
                }
            })?;
        self.values += documents
            .iter()
            .map(|document| values(&document.value))
            .sum::<usize>();
        if self.values > self.limits.nodes {
            return Err(self.exceeded(path, "values", self.limits.nodes));
        }
        for (index, document) in documents.into_iter().enumerate() {
            let origin = Origin {
                file: path.to_owned(),
                document: index,
                line: document.line,
            };
            self.value(document.value, &origin, 0)?;
        }
        Ok(())
    }

    /// Adds an object, or the members of a list of them.
    fn value(&mut self, value: Value, origin: &Origin, depth: usize) -> Result<(), RenderError> {
        if value.is_null() {
            return Ok(());
        }
        if depth > 8 {
            return Err(self.exceeded(&origin.file, "nested lists", 8));
        }
        let is_list = value
            .get("kind")
            .and_then(Value::as_str)
            .is_some_and(|k| k.ends_with("List"))
            && value.get("items").is_some_and(Value::is_array);
        if is_list {
            let mut value = value;
            if let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) {
                for item in items {
                    self.value(item, origin, depth + 1)?;
                }
            }
            return Ok(());
        }
        let manifest = Manifest::new(value, origin.clone())?;
        if self.manifests.len() >= self.limits.manifests {
            return Err(self.exceeded(&origin.file, "objects", self.limits.manifests));
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

#[cfg(test)]
mod tests;
