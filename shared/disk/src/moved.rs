//! Moves several files: all of them, or none.

use std::collections::BTreeSet;
use std::io::Error;
use std::path::{Path, PathBuf};

use crate::{directory_of, sync_directory};

/// A move of a file or directory within one file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Current path.
    pub from: PathBuf,
    /// New path; an existing file is replaced.
    pub to: PathBuf,
}

/// Makes the moves in order, and makes them durable. If one fails, those before it are undone; files that they replaced
/// are lost, so move such files aside first.
///
/// # Errors
/// The new path of the move that failed; or, after all moves, the directory that cannot be synced.
pub fn move_all(moves: &[Move]) -> Result<(), (PathBuf, Error)> {
    for (at, step) in moves.iter().enumerate() {
        if let Err(error) = std::fs::rename(&step.from, &step.to) {
            for made in moves.iter().take(at).rev() {
                // The first error is the one to report.
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
