//! Several files into their places: all of them, or none.

use std::collections::BTreeSet;
use std::io::Error;
use std::path::{Path, PathBuf};

use crate::{directory_of, sync_directory};

/// A file, or a directory, that goes to another name of the same file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Current path.
    pub from: PathBuf,
    /// New path; an existing file is replaced.
    pub to: PathBuf,
}

/// Makes the moves in their order, and makes them durable. Where one fails, those before it are taken back; what
/// they replaced does not come back, so put aside first what has to.
///
/// # Errors
/// Of the move that failed, where it would have gone; or the directory that cannot be synced, when all are made.
pub fn move_all(moves: &[Move]) -> Result<(), (PathBuf, Error)> {
    for (at, step) in moves.iter().enumerate() {
        if let Err(error) = std::fs::rename(&step.from, &step.to) {
            for made in moves.iter().take(at).rev() {
                // The first error is the one that helps.
                let _ = std::fs::rename(&made.to, &made.from);
            }
            return Err((step.to.clone(), error));
        }
    }
    let mut directories: BTreeSet<&Path> = BTreeSet::new();
    for path in moves.iter().flat_map(|step| [&step.from, &step.to]) {
        directories.insert(directory_of(path).map_err(|error| (path.clone(), error))?);
    }
    for directory in directories {
        sync_directory(directory).map_err(|error| (directory.to_owned(), error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n01_where_one_cannot_be_moved_none_is() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir(at("aside")).unwrap();
        std::fs::write(at("new"), "new").unwrap();
        std::fs::write(at("file"), "old").unwrap();
        let step = |from: &str, to: &str| Move {
            from: at(from),
            to: at(to),
        };
        let mut moves = vec![
            step("file", "aside/file"),
            step("new", "file"),
            step("missing", "other"),
        ];
        let (path, _) = move_all(&moves).unwrap_err();
        assert_eq!(path, at("other"));
        assert_eq!(std::fs::read(at("file")).unwrap(), b"old");
        assert_eq!(std::fs::read(at("new")).unwrap(), b"new");

        moves.pop();
        move_all(&moves).unwrap();
        assert_eq!(std::fs::read(at("file")).unwrap(), b"new");
        assert_eq!(std::fs::read(at("aside/file")).unwrap(), b"old");
        assert!(!at("new").exists());
        move_all(&[]).unwrap();
    }
}
