//! The authority's files: secrets that only the hub may read, each written whole or not at all.

use std::path::Path;

use super::Error;

pub(super) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })
}

/// Returns whether a file exists. Where that cannot be determined, it fails: treating the file as missing would create
/// another one, or continue without it.
///
/// # Errors
/// When that cannot be determined.
pub fn is_there(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })
}

/// Reads a key file, and refuses it where others can read it too (catalogue E15).
pub(super) fn read_private(path: &Path) -> Result<String, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Error::Readable(path.to_owned()));
    }
    read(path)
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    flotilla_disk::replace(path, content.as_bytes()).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })
}
