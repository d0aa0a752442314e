//! Why a message is not sent, and the files that it takes to send one.

use std::path::Path;

pub(super) use flotilla_notify::Fault;

/// The text of a file; the file may be changed at any time, so that another try may help.
pub(super) async fn secret(path: &Path) -> Result<String, Fault> {
    let content = crate::secret::read(path).await;
    let content = content.map_err(|error| Fault::passing(error.to_string()))?;
    match std::str::from_utf8(&content) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(Fault::passing(format!(
            "{}: it is not UTF-8",
            path.display()
        ))),
    }
}
