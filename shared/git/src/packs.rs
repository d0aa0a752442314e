//! Files of a cache on disk.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Packs and their indices end with the SHA-1 of all before it (<https://git-scm.com/docs/gitformat-pack>).
const SUM: u64 = 20;

/// Returns the directory of a cache's packs.
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

/// A pack or an index that is not as it was written, or that has lost the other one. All of them are read, so that
/// it is asked after a failure only.
pub(crate) fn damaged(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(packs_of(directory)).ok()?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let other = match extension {
            Some("pack") => "idx",
            Some("idx") => "pack",
            _ => return false,
        };
        !path.with_extension(other).exists() || !ends_with_its_sum(path).unwrap_or(false)
    })
}

fn ends_with_its_sum(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let Some(content) = file.metadata()?.len().checked_sub(SUM) else {
        return Ok(false);
    };
    let mut summed = gix::hash::io::Write::new(std::io::sink(), gix::hash::Kind::Sha1);
    std::io::copy(&mut file.by_ref().take(content), &mut summed)?;
    let mut sum = Vec::new();
    file.read_to_end(&mut sum)?;
    let found = summed.hash.try_finalize();
    Ok(found.is_ok_and(|found| found.as_slice() == sum))
}
