//! A chart from a repository or registry, and its size limits.

use flotilla_shared::digest::Digest;

/// Largest archive: Helm unpacks at most 100 MiB, and charts are texts.
pub(crate) const MAX_ARCHIVE: usize = 64 << 20;
pub(crate) const MAX_PROVENANCE: usize = 1 << 20;

/// Whether to fetch a chart's provenance file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provenance {
    Requested,
    Skipped,
}

/// A chart as a repository or registry returned it.
pub(crate) struct PulledChart {
    pub(crate) archive: Vec<u8>,
    pub(crate) provenance: Option<Vec<u8>>,
    /// Digest of the registry's manifest, which has that of the archive.
    pub(crate) manifest: Option<String>,
}

/// SHA-256 of the archive, lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}
