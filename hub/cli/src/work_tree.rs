//! The user's work tree in the form of a commit for rendering: files that git knows or would add, read on demand; and a
//! commit itself, read the same way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flotilla_render::{Directories, Entry, EntryKind, Limits, Tree};

use crate::error::Error;
use crate::objects::Objects;

/// Names of all files, with their content read on demand.
pub(crate) struct WorkTree {
    source: ContentSource,
    nodes: BTreeMap<String, Node>,
    directories: Directories,
}

/// Source of the content.
enum ContentSource {
    Folder(PathBuf),
    Commit(RefCell<Objects>),
}

/// An entry of `git ls-tree`.
pub(crate) struct TreeEntry {
    pub(crate) path: String,
    pub(crate) kind: EntryKind,
    pub(crate) id: String,
    pub(crate) bytes: u64,
}

enum Node {
    File(OnceLock<Content>),
    /// A file of a commit: its id and size.
    Blob(String, u64, OnceLock<Content>),
    Symlink(String),
    Submodule,
}

enum Content {
    Bytes(Vec<u8>),
    TooLarge(u64),
    /// Known to git, but deleted.
    Gone,
}

impl WorkTree {
    /// Makes it from the paths that git lists, relative to the root.
    ///
    /// # Errors
    /// When the existence of a file cannot be checked: leaving it out would hide it without a message.
    pub(crate) fn of_paths(
        root: &Path,
        paths: impl IntoIterator<Item = String>,
    ) -> std::io::Result<Self> {
        let mut tree = Self {
            source: ContentSource::Folder(root.to_owned()),
            nodes: BTreeMap::new(),
            directories: Directories::default(),
        };
        for path in paths {
            // git ends the names of nested repositories with a slash.
            let path = path.trim_end_matches('/').to_owned();
            let place = root.join(&path);
            let metadata = match std::fs::symlink_metadata(&place) {
                Ok(metadata) => metadata,
                // Deleted in the work tree, and still in the index.
                Err(error) if matches!(error.kind(), NotFound | NotADirectory) => continue,
                Err(error) => {
                    let text = format!("{}: {error}", place.display());
                    return Err(std::io::Error::new(error.kind(), text));
                }
            };
            let (node, kind) = if metadata.is_symlink() {
                let target = std::fs::read_link(&place).unwrap_or_default();
                let target = target.to_string_lossy().into_owned();
                (Node::Symlink(target), EntryKind::Symlink)
            } else if metadata.is_dir() {
                (Node::Submodule, EntryKind::Submodule)
            } else {
                (Node::File(OnceLock::new()), EntryKind::File)
            };
            tree.insert(path, node, kind);
        }
        Ok(tree)
    }

    /// Makes it from the entries of a commit, whose objects are read on demand.
    pub(crate) fn of_commit(mut objects: Objects, entries: Vec<TreeEntry>) -> Result<Self, Error> {
        let mut nodes = Vec::with_capacity(entries.len());
        for entry in entries {
            let node = match entry.kind {
                EntryKind::Symlink => {
                    let target = objects.read(&entry.id)?;
                    Node::Symlink(String::from_utf8_lossy(&target).into_owned())
                }
                EntryKind::Submodule => Node::Submodule,
                _ => Node::Blob(entry.id, entry.bytes, OnceLock::new()),
            };
            nodes.push((entry.path, node, entry.kind));
        }
        let mut tree = Self {
            source: ContentSource::Commit(RefCell::new(objects)),
            nodes: BTreeMap::new(),
            directories: Directories::default(),
        };
        for (path, node, kind) in nodes {
            tree.insert(path, node, kind);
        }
        Ok(tree)
    }

    /// Makes it from all files of a folder that is not in a repository.
    pub(crate) fn of_folder(root: &Path) -> std::io::Result<Self> {
        // Far above the limits of a render.
        const MAX_FILES: usize = 100_000;
        let mut paths = Vec::new();
        let mut waiting = vec![root.to_owned()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    if entry.file_name() != ".git" {
                        waiting.push(path);
                    }
                } else if let Ok(relative) = path.strip_prefix(root) {
                    paths.push(relative.to_string_lossy().into_owned());
                }
                if paths.len() > MAX_FILES {
                    return Err(std::io::Error::other(format!(
                        "{} has more than {MAX_FILES} files and is not a Git work tree",
                        root.display()
                    )));
                }
            }
        }
        Self::of_paths(root, paths)
    }

    fn insert(&mut self, path: String, node: Node, kind: EntryKind) {
        self.directories.insert(&path, kind);
        self.nodes.insert(path, node);
    }

    fn read(&self, path: &str) -> Content {
        let ContentSource::Folder(root) = &self.source else {
            return Content::Gone;
        };
        let path = root.join(path);
        let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if bytes > Limits::default().file_bytes as u64 {
            return Content::TooLarge(bytes);
        }
        std::fs::read(&path).map_or(Content::Gone, Content::Bytes)
    }

    fn read_object(&self, id: &str, bytes: u64) -> Content {
        if bytes > Limits::default().file_bytes as u64 {
            return Content::TooLarge(bytes);
        }
        let ContentSource::Commit(objects) = &self.source else {
            return Content::Gone;
        };
        let read = objects.borrow_mut().read(id);
        read.map_or(Content::Gone, Content::Bytes)
    }
}

impl Content {
    fn entry(&self) -> Option<Entry<'_>> {
        match self {
            Self::Bytes(bytes) => Some(Entry::File(bytes)),
            Self::TooLarge(bytes) => Some(Entry::TooLarge { bytes: *bytes }),
            Self::Gone => None,
        }
    }
}

impl Tree for WorkTree {
    fn get(&self, path: &str) -> Option<Entry<'_>> {
        match self.nodes.get(path) {
            Some(Node::File(content)) => content.get_or_init(|| self.read(path)).entry(),
            Some(Node::Blob(id, bytes, content)) => {
                content.get_or_init(|| self.read_object(id, *bytes)).entry()
            }
            Some(Node::Symlink(target)) => Some(Entry::Symlink(target)),
            Some(Node::Submodule) => Some(Entry::Submodule),
            None => self.directories.contains(path).then_some(Entry::Directory),
        }
    }

    fn list(&self, directory: &str) -> Option<Vec<(&str, EntryKind)>> {
        self.directories.list(directory)
    }
}
