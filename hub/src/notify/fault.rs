//! Errors of sending, and reading of files for sending.

use std::path::Path;

pub(super) use flotilla_notify::SendError;

/// Reads a file; since it may be changed at any time, a retry may help.
pub(super) async fn secret(path: &Path) -> Result<String, SendError> {
    let content = crate::secret::read(path).await;
    let content = content.map_err(|error| SendError::passing(error.to_string()))?;
    match std::str::from_utf8(&content) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(SendError::passing(format!(
            "{}: it is not UTF-8",
            path.display()
        ))),
    }
}
