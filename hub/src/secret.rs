//! Secrets that others keep for the hub in files, which may be changed at any time.

use std::path::Path;

/// Largest secret.
const MAX: u64 = 64 << 10;

/// Reads a secret as it is now.
///
/// # Errors
/// When it cannot be read, is too large or empty; with the file's name and never with its content.
pub(crate) async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |why: &str| format!("{}: {why}", path.display());
    let metadata = tokio::fs::metadata(path).await;
    let metadata = metadata.map_err(|error| failed(&error.to_string()))?;
    if metadata.len() > MAX {
        return Err(failed("it is too large for a secret"));
    }
    let content = tokio::fs::read(path).await;
    let content = content.map_err(|error| failed(&error.to_string()))?;
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(failed("it is empty"));
    }
    Ok(content)
}
