//! A commit of a clone as a tree: listed once, and read file by file.

use std::path::Path;

use flotilla_render::EntryKind;

use crate::error::Error;
use crate::objects::{Objects, run};
use crate::work_tree::{TreeEntry, WorkTree};

/// A commit as a tree.
pub(crate) fn tree(root: &Path, commit: &str) -> Result<WorkTree, Error> {
    let listed = run(root, &["ls-tree", "-r", "-z", "-l", "--full-tree", commit])?;
    let entries = listed
        .split(|byte| *byte == 0)
        .filter_map(|entry| entry_of(&String::from_utf8_lossy(entry)))
        .collect();
    WorkTree::of_commit(Objects::open(root)?, entries)
}

/// Parses `MODE TYPE ID SIZE<tab>PATH`.
fn entry_of(line: &str) -> Option<TreeEntry> {
    let (head, path) = line.split_once('\t')?;
    let mut words = head.split_ascii_whitespace();
    let (mode, _, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = match mode {
        "120000" => EntryKind::Symlink,
        "160000" => EntryKind::Submodule,
        _ => EntryKind::File,
    };
    Some(TreeEntry {
        path: path.to_owned(),
        kind,
        id: id.to_owned(),
        bytes: size.parse().unwrap_or_default(),
    })
}
