//! Private files of the agent.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Error;

pub(super) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })
}

/// Reads a secret, and refuses it if other users can read it as well.
///
/// # Errors
/// When it cannot be read, or is readable by others.
pub fn read_private(path: &Path) -> Result<String, Error> {
    let metadata = std::fs::metadata(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(Error::Readable(path.to_owned()));
    }
    read(path)
}

pub(super) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    flotilla_disk::replace(path, content.as_bytes()).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })
}
