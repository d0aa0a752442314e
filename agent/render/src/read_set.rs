//! Which directories decide over a render: everything that it looked at, noted where it looks.

use std::cell::RefCell;
use std::collections::BTreeSet;

use flotilla_shared::source::{ROOT, SourcePaths};

use crate::tree::{Entry, EntryKind, Tree};

/// A tree that records what is read from it.
///
/// Every answer depends on the nearest existing directory: it determines which entries are in it, of
/// which kinds, with which content, and which do not exist. Any directory inside another one also proves
/// that the outer one exists, which is why walking through directories does not count as reading them.
pub(crate) struct ReadSet<'t> {
    tree: &'t dyn Tree,
    /// Directories with an answer that their content decides.
    content: RefCell<BTreeSet<String>>,
    /// Directories of which only that they are there was asked.
    presence: RefCell<BTreeSet<String>>,
}

impl<'t> ReadSet<'t> {
    /// Nothing was looked at yet.
    pub(crate) fn new(tree: &'t dyn Tree) -> Self {
        Self {
            tree,
            content: RefCell::default(),
            presence: RefCell::default(),
        }
    }

    /// The directories that decide over every answer that was given.
    pub(crate) fn into_paths(self) -> SourcePaths {
        let mut paths = self.content.into_inner();
        // Descendants come before their directory.
        for path in self.presence.into_inner().into_iter().rev() {
            let below = format!("{path}/");
            let is_implied = if path.is_empty() {
                !paths.is_empty()
            } else {
                paths.contains(&path)
                    || paths
                        .range(below.clone()..)
                        .next()
                        .is_some_and(|path| path.starts_with(&below))
            };
            if !is_implied {
                paths.insert(path);
            }
        }
        let named = paths.iter().map(|path| match path.as_str() {
            "" => ROOT,
            path => path,
        });
        SourcePaths::new(named)
    }

    /// Records the nearest existing directory above `path`.
    fn note_around(&self, path: &str) {
        let mut parent = path;
        loop {
            parent = parent.rsplit_once('/').map_or("", |(parent, _)| parent);
            if parent.is_empty() || matches!(self.tree.get(parent), Some(Entry::Directory)) {
                return note(&self.content, parent);
            }
        }
    }
}

fn note(set: &RefCell<BTreeSet<String>>, path: &str) {
    let mut set = set.borrow_mut();
    if !set.contains(path) {
        set.insert(path.to_owned());
    }
}

impl Tree for ReadSet<'_> {
    fn get(&self, path: &str) -> Option<Entry<'_>> {
        let entry = self.tree.get(path);
        match entry {
            Some(Entry::Directory) => note(&self.presence, path),
            _ => self.note_around(path),
        }
        entry
    }

    fn list(&self, directory: &str) -> Option<Vec<(&str, EntryKind)>> {
        let children = self.tree.list(directory);
        match children {
            Some(_) => note(&self.content, directory),
            None => self.note_around(directory),
        }
        children
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    fn tree() -> MemoryTree {
        let mut tree = MemoryTree::new();
        for path in [
            "top.yaml",
            "apps/a/x.yaml",
            "apps/a/deep/y.yaml",
            "base/z.yaml",
        ] {
            tree.insert_file(path, Vec::new()).unwrap();
        }
        tree.insert_symlink("apps/link", "../base".to_owned())
            .unwrap();
        tree
    }

    fn check(look: impl Fn(&dyn Tree), expected: &[&str]) {
        let tree = tree();
        let read_set = ReadSet::new(&tree);
        look(&read_set);
        assert_eq!(read_set.into_paths().iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_nearest_directory_decides_over_an_answer() {
        check(|_| (), &[]);
        check(|tree| drop(tree.list("apps/a")), &["apps/a"]);
        check(|tree| drop(tree.list("")), &["."]);
        check(
            |tree| assert_ne!(tree.get("top.yaml"), Some(Entry::Submodule)),
            &["."],
        );
        check(
            |tree| assert_ne!(tree.get("apps/a/x.yaml"), Some(Entry::Submodule)),
            &["apps/a"],
        );
        check(
            |tree| assert_ne!(tree.get("apps/a/none/x.yaml"), Some(Entry::Submodule)),
            &["apps/a"],
        );
        check(
            |tree| assert_ne!(tree.get("apps/a/x.yaml/in/a/file"), Some(Entry::Submodule)),
            &["apps/a"],
        );
        check(|tree| drop(tree.list("apps/none")), &["apps"]);
        check(
            |tree| assert_ne!(tree.get("none"), Some(Entry::Submodule)),
            &["."],
        );
        check(
            |tree| assert_ne!(tree.get("apps/link/z.yaml"), Some(Entry::Submodule)),
            &["apps"],
        );
    }

    #[test]
    fn a_way_through_directories_is_no_look_at_them() {
        let walk = |tree: &dyn Tree| {
            tree.get("");
            tree.get("apps");
            tree.get("apps/a");
            tree.get("apps/a/x.yaml");
        };
        check(walk, &["apps/a"]);
        check(
            |tree| assert_ne!(tree.get("apps"), Some(Entry::Submodule)),
            &["apps"],
        );
        check(
            |tree| {
                tree.get("apps");
                tree.get("base/z.yaml");
            },
            &["apps", "base"],
        );
        check(
            |tree| assert_ne!(tree.get(""), Some(Entry::Submodule)),
            &["."],
        );
    }
}
