//! Plain directories: every YAML and JSON file below, as `kubectl apply --recursive` would read them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::objects::Objects;
use crate::tree::{self, Entry, EntryKind, Tree};
use crate::{KUSTOMIZATION_FILES, Limits, Origin, RenderError, Rendered};

/// The first line of every Git LFS pointer (git-lfs/docs/spec.md).
pub(crate) const LFS_HEADER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Renders all manifests at or below `path`, which exists and is not a link.
pub(crate) fn render(
    tree: &dyn Tree,
    path: &str,
    limits: &Limits,
) -> Result<Rendered, RenderError> {
    let mut reader = Reader {
        tree,
        limits,
        objects: Objects::new(limits.manifests),
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
        manifests: reader.objects.into_manifests(),
        files_read: reader.files_read,
        ..Rendered::default()
    })
}

struct Reader<'a> {
    tree: &'a dyn Tree,
    limits: &'a Limits,
    objects: Objects,
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
            return Err(RenderError::exceeded(
                path,
                "levels of directories",
                self.limits.depth,
            ));
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

    fn file(&mut self, path: &str) -> Result<(), RenderError> {
        if !self.files_read.insert(path.to_owned()) {
            return Ok(());
        }
        if self.files_read.len() > self.limits.files {
            return Err(RenderError::exceeded(path, "files", self.limits.files));
        }
        let content = tree::content(self.tree, path, self.limits.file_bytes)?;
        self.bytes += content.len();
        if self.bytes > self.limits.total_bytes {
            return Err(RenderError::exceeded(
                path,
                "bytes of manifests",
                self.limits.total_bytes,
            ));
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
            return Err(RenderError::exceeded(path, "values", self.limits.nodes));
        }
        for (index, document) in documents.into_iter().enumerate() {
            let origin = Origin {
                file: path.to_owned(),
                document: index,
                line: document.line,
            };
            self.objects.add(document.value, &origin, &|_| ())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
