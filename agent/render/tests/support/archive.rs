//! Trees in one text: `-- path --` starts a file.

use flotilla_render::MemoryTree;

/// Files by path, in their order.
pub(crate) fn files(text: &str) -> Vec<(&str, &str)> {
    let mut files = Vec::new();
    let mut current: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let name = line
            .trim_end_matches('\n')
            .strip_prefix("-- ")
            .and_then(|line| line.strip_suffix(" --"));
        if let Some(name) = name
            && let Some((before, start)) = current.replace((name, at + line.len()))
        {
            files.push((before, &text[start..at]));
        }
        at += line.len();
    }
    if let Some((name, start)) = current {
        files.push((name, &text[start..]));
    }
    files
}

/// A tree of those files that can be in one.
pub(crate) fn tree(files: &[(&str, &str)]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, text) in files {
        // A path that a commit cannot hold cannot reach a render either.
        let _ = match text.strip_prefix("link:") {
            Some(target) => tree.insert_symlink(path, target.trim_end().to_owned()),
            None => tree.insert_file(path, text.as_bytes().to_vec()),
        };
    }
    tree
}
