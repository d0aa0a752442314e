//! Charts in folders.

use std::path::Path;

use flotilla_helm::chart::File;

/// Highest number of files: more than any chart has.
const MAX_FILES: usize = 50_000;
/// Depth limit, for links that lead to their own parent.
const MAX_DEPTH: usize = 64;

/// Returns all files of a folder; links are followed, as by Helm.
///
/// # Errors
/// A file cannot be read, or the folder is too large for a chart.
pub fn read(root: &Path) -> std::io::Result<Vec<File>> {
    let mut files = Vec::new();
    walk(root, "", 0, &mut files)?;
    Ok(files)
}

fn walk(root: &Path, below: &str, depth: usize, files: &mut Vec<File>) -> std::io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(std::io::Error::other(format!(
            "{below} is more than {MAX_DEPTH} folders deep"
        )));
    }
    for entry in std::fs::read_dir(root.join(below))? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let path = match below {
            "" => name.into_owned(),
            below => format!("{below}/{name}"),
        };
        let metadata = std::fs::metadata(root.join(&path))?;
        if metadata.is_dir() {
            if path != ".git" {
                walk(root, &path, depth + 1, files)?;
            }
        } else if metadata.is_file() {
            files.push(File::new(path.as_str(), std::fs::read(root.join(&path))?));
        } else {
            return Err(std::io::Error::other(format!("{path} is no regular file")));
        }
        if files.len() > MAX_FILES {
            return Err(std::io::Error::other(format!(
                "more than {MAX_FILES} files: no chart"
            )));
        }
    }
    Ok(())
}
