//! What a cache has on disk.

use std::path::{Path, PathBuf};

/// Where a cache has its packs.
pub(crate) fn packs_of(directory: &Path) -> PathBuf {
    directory.join("objects").join("pack")
}

pub(crate) fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}
