//! Provenance files: a signed list of the checksums of archives. Pure.

use flotilla_helm::yaml;
use flotilla_trust::{Certificates, TrustError};
use jiff::Timestamp;

use crate::error::Error;

/// Returns the fingerprint of the key that signed these bytes under that name.
pub(crate) fn verify(
    provenance: &[u8],
    file: &str,
    sha256: &str,
    keyring: &Certificates,
    now: Timestamp,
) -> Result<String, Error> {
    let (text, key) = keyring
        .clear_signed(provenance, now)
        .map_err(|fault| match fault {
            TrustError::Unknown { key } => Error::refused(format!(
                "it is signed by {key}, which the keyring does not hold"
            )),
            other => Error::refused(other.to_string()),
        })?;
    // The chart's metadata comes first; it is in the archive too.
    let (_, sums) = text
        .split_once("\n...\n")
        .ok_or_else(|| Error::refused("it holds no sums of archives"))?;
    let sums = yaml::parse(sums.as_bytes()).map_err(|error| Error::refused(error.to_string()))?;
    let files = sums.as_map().and_then(|map| map.get("files"));
    let sum = files
        .as_ref()
        .and_then(|files| files.as_map()?.get(file))
        .ok_or_else(|| Error::refused(format!("it says nothing of {file}")))?;
    let told = sum.as_str().map(|sum| sum.lossy().into_owned());
    if told.as_deref() == Some(&format!("sha256:{sha256}")) {
        return Ok(key);
    }
    Err(Error::refused(format!(
        "it is for other bytes: it says {}, and the archive is sha256:{sha256}",
        told.unwrap_or_default()
    )))
}
