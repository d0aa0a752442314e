//! A Git tree as rendering sees it: names and blobs in memory, nothing on disk.

use std::collections::BTreeMap;

use crate::RenderError;

/// Entry at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A file's bytes, whole.
    File(&'a [u8]),
    /// Its children are asked of [`Tree::list`].
    Directory,
    /// A link, by its target as written.
    Symlink(&'a str),
    /// A commit of another repository (Git's mode 160000), which is never fetched.
    Submodule,
    /// A blob that was not brought in because of its size.
    TooLarge {
        /// The length of its content, which is not stored here.
        bytes: u64,
    },
}

/// Kind of a directory's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A blob, whatever its size.
    File,
    /// A Git tree, whatever its content.
    Directory,
    /// A symbolic link, whatever its target.
    Symlink,
    /// A commit of another repository (Git's mode 160000).
    Submodule,
}

/// Read access to a Git tree. Paths are slash-separated and relative to the root, which is `""`.
pub trait Tree {
    /// The entry at a path. None: there is none. Links are not followed.
    fn get(&self, path: &str) -> Option<Entry<'_>>;
    /// The direct children of a directory by name, sorted. None: it is not a directory.
    fn list(&self, directory: &str) -> Option<Vec<(&str, EntryKind)>>;
}

/// A path that is not allowed in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tree path {path:?} is refused: {why}")]
pub struct PathError {
    /// The path, cut to 200 characters.
    pub path: String,
    /// The rule it breaks.
    pub why: &'static str,
}

#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>),
    Symlink(String),
    Submodule,
    TooLarge(u64),
}

/// The directories of a tree, including the root, each with the names and kinds of its children.
#[derive(Debug, Clone)]
pub struct Directories(BTreeMap<String, BTreeMap<String, EntryKind>>);

impl Default for Directories {
    fn default() -> Self {
        Self(BTreeMap::from([(String::new(), BTreeMap::new())]))
    }
}

impl Directories {
    /// Adds an entry to its directory, along with every parent directory that is not known yet.
    pub fn insert(&mut self, path: &str, kind: EntryKind) {
        let (mut child, mut child_kind) = (path, kind);
        loop {
            let (parent, name) = child.rsplit_once('/').unwrap_or(("", child));
            let known = self.contains(parent);
            let children = self.0.entry(parent.to_owned()).or_default();
            children.insert(name.to_owned(), child_kind);
            if known {
                break;
            }
            (child, child_kind) = (parent, EntryKind::Directory);
        }
    }

    /// Whether there is a directory at a path.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// As [`Tree::list`].
    #[must_use]
    pub fn list(&self, directory: &str) -> Option<Vec<(&str, EntryKind)>> {
        let children = self.0.get(directory)?;
        let children = children.iter();
        Some(
            children
                .map(|(name, kind)| (name.as_str(), *kind))
                .collect(),
        )
    }
}

/// A [`Tree`] of owned blobs.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    nodes: BTreeMap<String, Node>,
    directories: Directories,
}

impl MemoryTree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a blob.
    ///
    /// # Errors
    /// When the path is hostile or already taken.
    pub fn insert_file(&mut self, path: &str, content: Vec<u8>) -> Result<(), PathError> {
        self.insert(path, Node::File(content), EntryKind::File)
    }

    /// Adds a link.
    ///
    /// # Errors
    /// When the path is hostile or already taken.
    pub fn insert_symlink(&mut self, path: &str, target: String) -> Result<(), PathError> {
        self.insert(path, Node::Symlink(target), EntryKind::Symlink)
    }

    /// Adds a gitlink.
    ///
    /// # Errors
    /// When the path is hostile or already taken.
    pub fn insert_submodule(&mut self, path: &str) -> Result<(), PathError> {
        self.insert(path, Node::Submodule, EntryKind::Submodule)
    }

    /// Adds a blob by its size alone.
    ///
    /// # Errors
    /// When the path is hostile or already taken.
    pub fn insert_too_large(&mut self, path: &str, bytes: u64) -> Result<(), PathError> {
        self.insert(path, Node::TooLarge(bytes), EntryKind::File)
    }

    fn insert(&mut self, path: &str, node: Node, kind: EntryKind) -> Result<(), PathError> {
        let refuse = |why| {
            Err(PathError {
                path: path.chars().take(200).collect(),
                why,
            })
        };
        if let Err(why) = check_path(path) {
            return refuse(why);
        }
        if self.nodes.contains_key(path) || self.directories.contains(path) {
            return refuse("the path exists already");
        }
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/') {
            if self.nodes.contains_key(parent) {
                return refuse("part of it is not a directory");
            }
            if self.directories.contains(parent) {
                break;
            }
            above = parent;
        }
        self.directories.insert(path, kind);
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }
}

impl Tree for MemoryTree {
    fn get(&self, path: &str) -> Option<Entry<'_>> {
        if let Some(node) = self.nodes.get(path) {
            return Some(match node {
                Node::File(content) => Entry::File(content),
                Node::Symlink(target) => Entry::Symlink(target),
                Node::Submodule => Entry::Submodule,
                Node::TooLarge(bytes) => Entry::TooLarge { bytes: *bytes },
            });
        }
        self.directories.contains(path).then_some(Entry::Directory)
    }

    fn list(&self, directory: &str) -> Option<Vec<(&str, EntryKind)>> {
        self.directories.list(directory)
    }
}

/// Refuses names that have caused faults in Git's checkouts, although nothing is checked out here.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.len() > 4096 {
        return Err("it is longer than 4,096 bytes");
    }
    if path.contains(|c: char| c == '\\' || c.is_control()) {
        return Err("it has a backslash or a control character");
    }
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return Err("it has an empty part, `.` or `..`");
        }
        if part.len() > 255 {
            return Err("a part is longer than 255 bytes");
        }
        if is_dot_git(part) {
            return Err("a part reads as .git on some file system");
        }
    }
    Ok(())
}

/// `.git` in any case, with the characters that HFS+ ignores, or in NTFS's short and padded forms.
fn is_dot_git(part: &str) -> bool {
    let ignorable = |c: char| matches!(u32::from(c), 0x200c..=0x200f | 0x202a..=0x202e | 0x206a..=0x206f | 0xfeff);
    let name: String = part.chars().filter(|c| !ignorable(*c)).collect();
    let name = name.to_ascii_lowercase();
    let name = name
        .split(':')
        .next()
        .unwrap_or_default()
        .trim_end_matches(['.', ' ']);
    name == ".git" || name == "git~1"
}

/// The content of the file at a path that is not a link, of at most `limit` bytes.
pub(crate) fn content<'t>(
    tree: &'t dyn Tree,
    path: &str,
    limit: usize,
) -> Result<&'t [u8], RenderError> {
    let bytes = match tree.get(path) {
        Some(Entry::File(content)) if content.len() <= limit => return Ok(content),
        Some(Entry::File(content)) => content.len() as u64,
        Some(Entry::TooLarge { bytes }) => bytes,
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
    Err(RenderError::FileTooLarge {
        file: path.to_owned(),
        bytes,
        limit,
    })
}

/// `directory/name`, without a slash before a name in the root.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// Follows links, within the tree only, until the path is a file or directory.
///
/// # Errors
/// When it leads nowhere, out of the tree, in a circle, or into a submodule.
pub(crate) fn resolve(tree: &dyn Tree, path: &str) -> Result<String, RenderError> {
    // The limit of both Git and Linux.
    const MAX_LINKS: usize = 40;
    let mut links = 0;
    let mut done = String::new();
    let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    while let Some(part) = rest.pop() {
        if part.is_empty() || part == "." {
            continue;
        }
        let next = join(&done, &part);
        match tree.get(&next) {
            Some(Entry::Symlink(target)) => {
                links += 1;
                let refuse = |why| RenderError::SymlinkRefused {
                    file: next.clone(),
                    target: target.chars().take(200).collect(),
                    why,
                };
                if links > MAX_LINKS {
                    return Err(refuse("is circular"));
                }
                if target.is_empty() || target.starts_with('/') {
                    return Err(refuse("leaves the repository"));
                }
                // Relative to the link's directory, which is `done`.
                let mut base = done.clone();
                let mut parts = Vec::new();
                for part in target.split('/') {
                    match part {
                        "" | "." => {}
                        ".." if parts.pop().is_some() => {}
                        ".." => match base.rfind('/') {
                            Some(end) => base.truncate(end),
                            None if !base.is_empty() => base.clear(),
                            None => return Err(refuse("leaves the repository")),
                        },
                        part => parts.push(part.to_owned()),
                    }
                }
                done = base;
                rest.extend(parts.into_iter().rev());
            }
            Some(Entry::Submodule) => return Err(RenderError::Submodule { path: next }),
            Some(_) => done = next,
            None => {
                return Err(RenderError::PathNotFound {
                    path: path.to_owned(),
                    nearest: Some(done),
                });
            }
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g06_hostile_names_are_refused() {
        let long_part = "a".repeat(256);
        let long = "a/".repeat(3000);
        for path in [
            "",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            ".",
            ".git",
            "a/.git/config",
            ".GIT",
            ".git.",
            ".git ",
            "git~1",
            ".g\u{200c}it",
            ".git::$INDEX_ALLOCATION",
            "a\\b",
            "a\0b",
            "a\nb",
            long_part.as_str(),
            long.as_str(),
        ] {
            assert!(
                MemoryTree::new().insert_file(path, Vec::new()).is_err(),
                "{path:?}"
            );
        }
        for path in [".gitignore", "CON", "a.git", "git~2", "ä/ö"] {
            assert_eq!(
                MemoryTree::new().insert_file(path, Vec::new()),
                Ok(()),
                "{path:?}"
            );
        }
    }

    #[test]
    fn a_path_is_one_thing() {
        let mut tree = MemoryTree::new();
        tree.insert_file("a/b", Vec::new()).unwrap();
        assert!(tree.insert_file("a/b", Vec::new()).is_err());
        assert!(tree.insert_file("a/b/c", Vec::new()).is_err());
        assert!(tree.insert_file("a", Vec::new()).is_err());
        assert_eq!(tree.list(""), Some(vec![("a", EntryKind::Directory)]));
        assert_eq!(tree.list("a"), Some(vec![("b", EntryKind::File)]));
        assert_eq!(tree.get("a"), Some(Entry::Directory));
    }

    #[test]
    fn g06_links_resolve_inside_the_tree_or_not_at_all() {
        let mut tree = MemoryTree::new();
        tree.insert_file("base/x/file", Vec::new()).unwrap();
        tree.insert_symlink("apps/x", "../base/x".to_owned())
            .unwrap();
        tree.insert_symlink("apps/abs", "/etc/passwd".to_owned())
            .unwrap();
        tree.insert_symlink("apps/up", "../../etc".to_owned())
            .unwrap();
        tree.insert_symlink("apps/loop", "loop".to_owned()).unwrap();
        tree.insert_symlink("apps/dangling", "nothing".to_owned())
            .unwrap();
        assert_eq!(resolve(&tree, "apps/x/file"), Ok("base/x/file".to_owned()));
        for path in ["apps/abs", "apps/up", "apps/loop"] {
            assert!(
                matches!(
                    resolve(&tree, path),
                    Err(RenderError::SymlinkRefused { .. })
                ),
                "{path}"
            );
        }
        assert!(matches!(
            resolve(&tree, "apps/dangling"),
            Err(RenderError::PathNotFound { .. })
        ));
    }
}
