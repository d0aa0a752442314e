//! Files that exist whole or not at all, also after a power failure, and that only their owner can read: keys, accepted
//! assignments, records. All are written here, so that no caller forgets a step.

mod lock;
mod moved;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

pub use lock::Lock;
pub use moved::{Move, move_all};

/// Mode of a private file.
const PRIVATE: u32 = 0o600;

/// Makes a directory and those above it for the owner alone; existing ones stay as they are.
///
/// # Errors
/// When it cannot be made.
pub fn private_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces a file. On success, the content is on disk under its name; on failure, the older file is unchanged, and no
/// temporary file is left beside it.
///
/// # Errors
/// When a step failed, such as for lack of space or permission.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let directory = directory_of(path)?;
    private_directory(directory)?;
    let temporary = beside(path)?;
    let written =
        write_new(&temporary, content, PRIVATE).and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = written {
        // The file may contain a key. If it cannot be removed, the first error is still the one to report.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    sync_directory(directory)
}

/// Creates a file that does not exist yet.
///
/// # Errors
/// When it exists already, or a step failed; a partial file is removed.
pub fn create(path: &Path, content: &[u8]) -> Result<(), Error> {
    create_as(path, content, PRIVATE)
}

/// Like [`create`], for a file that is not secret: `mode`, limited by the umask, determines who can read it.
///
/// # Errors
/// As [`create`].
pub fn create_as(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let directory = directory_of(path)?;
    let written = write_new(path, content, mode).and_then(|()| sync_directory(directory));
    written.inspect_err(|error| {
        if error.kind() != ErrorKind::AlreadyExists {
            // A partial file must not remain; the first error is the one to report.
            let _ = std::fs::remove_file(path);
        }
    })
}

/// Makes a file that another program has written durable, including its name.
///
/// # Errors
/// When it cannot be opened or synced.
pub fn sync_file(path: &Path) -> Result<(), Error> {
    let directory = directory_of(path)?;
    File::open(path)?.sync_all()?;
    sync_directory(directory)
}

/// Makes renames, creations and removals in a directory durable.
///
/// # Errors
/// When the directory cannot be synced.
pub fn sync_directory(directory: &Path) -> Result<(), Error> {
    File::open(directory)?.sync_all()
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Returns the directory of a file; for a bare name, the current one.
fn directory_of(path: &Path) -> Result<&Path, Error> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(parent) => Ok(parent),
        None => Err(Error::new(
            ErrorKind::InvalidInput,
            "this is not the path of a file",
        )),
    }
}

/// Returns a unique name beside the file, so that two concurrent writers write two files, of which the last one counts.
fn beside(path: &Path) -> Result<PathBuf, Error> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "this is not the path of a file"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{:016x}", rand::random::<u64>()));
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn e15_a_file_and_the_directories_made_for_it_are_the_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/key");
        replace(&path, b"one").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(mode(&path), 0o600);
        for directory in ["a", "a/b"] {
            assert_eq!(mode(&root.path().join(directory)), 0o700, "{directory}");
        }
        // Also when the older file was readable by others.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap().as_slice(), mode(&path)),
            (&b"two"[..], 0o600)
        );
        assert_eq!(
            names(path.parent().unwrap()),
            ["key"],
            "nothing is left beside it"
        );
    }

    #[test]
    fn n01_what_cannot_be_written_leaves_the_older_file_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("inside"), "x").unwrap();
        replace(&path, b"new").unwrap_err();
        assert_eq!(names(root.path()), ["taken"]);
        assert_eq!(names(&path), ["inside"]);
    }

    #[test]
    fn what_is_there_already_is_not_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("context.yaml");
        create(&path, b"one").unwrap();
        let refused = create(&path, b"two").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(mode(&path), 0o600);
        // Also a file that is not secret; its creator decides who may read it.
        let refused = create_as(&path, b"two", 0o644).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        let open = root.path().join("chart.tgz");
        create_as(&open, b"one", 0o640).unwrap();
        assert_eq!(mode(&open) | 0o040, 0o640, "less what the umask takes");
        sync_file(&open).unwrap();
        sync_file(&root.path().join("missing")).unwrap_err();
    }

    #[test]
    fn many_writers_at_once_leave_one_whole_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        std::thread::scope(|scope| {
            for number in 0..8u8 {
                let path = &path;
                scope.spawn(move || replace(path, &[number; 4096]).unwrap());
            }
        });
        let content = std::fs::read(&path).unwrap();
        assert_eq!(content.len(), 4096);
        assert!(content.iter().all(|byte| *byte == content[0]));
        assert_eq!(names(root.path()), ["file"]);
    }
}
