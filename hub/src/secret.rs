//! Secrets in files, which may be changed at any time.

use std::path::{Path, PathBuf};

const MAX: u64 = 64 << 10;

/// Why a secret cannot be read; never with its content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("{path}: {cause}")]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{0}: it is too large for a secret")]
    TooLarge(PathBuf),
    #[error("{0}: it is empty")]
    Empty(PathBuf),
}

/// Reads the present content of a secret.
///
/// # Errors
/// See [`SecretError`].
pub(crate) async fn read(path: &Path) -> Result<Vec<u8>, SecretError> {
    let unreadable = |cause| SecretError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let metadata = tokio::fs::metadata(path).await.map_err(unreadable)?;
    if metadata.len() > MAX {
        return Err(SecretError::TooLarge(path.to_owned()));
    }
    let content = tokio::fs::read(path).await.map_err(unreadable)?;
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(SecretError::Empty(path.to_owned()));
    }
    Ok(content)
}
