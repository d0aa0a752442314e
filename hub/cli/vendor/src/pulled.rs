//! What comes back from a repository or a registry, and how much of it may.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Helm unpacks at most 100 MiB, and charts are texts.
pub(crate) const MAX_ARCHIVE: usize = 64 << 20;
pub(crate) const MAX_PROVENANCE: usize = 1 << 20;

/// What came back.
pub(crate) struct Pulled {
    pub(crate) archive: Vec<u8>,
    pub(crate) provenance: Option<Vec<u8>>,
    /// The digest of a registry's manifest, which holds that of the archive.
    pub(crate) manifest: Option<String>,
}

/// In lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
