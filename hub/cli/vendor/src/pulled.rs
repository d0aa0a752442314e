//! What comes back from a repository or a registry, and how much of it may.

use flotilla_shared::digest::Digest;

/// Helm unpacks at most 100 MiB, and charts are texts.
pub(crate) const MAX_ARCHIVE: usize = 64 << 20;
pub(crate) const MAX_PROVENANCE: usize = 1 << 20;

/// Whether a chart's provenance file is to come with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provenance {
    Requested,
    Skipped,
}

/// A chart as a repository or a registry gave it.
pub(crate) struct Pulled {
    pub(crate) archive: Vec<u8>,
    pub(crate) provenance: Option<Vec<u8>>,
    /// The digest of a registry's manifest, which holds that of the archive.
    pub(crate) manifest: Option<String>,
}

/// In lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}
