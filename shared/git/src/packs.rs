//! Files of a cache on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, const_mutex};

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

/// How long intact packs are taken to be intact while no file changes; a failing disk may still change their content.
const WHOLE: Duration = Duration::from_secs(3600);

/// A pack or an index with its size, and when it was changed.
type FileState = (PathBuf, u64, Option<SystemTime>);

/// Caches whose packs were found intact, with the time: one for each repository.
static SUMMED: Mutex<BTreeMap<PathBuf, (Instant, Vec<FileState>)>> = const_mutex(BTreeMap::new());

/// How packs are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackCheck {
    /// All packs are read.
    Full,
    /// Packs are read only if a file changed or the last result is too old: a failure may persist, and is retried
    /// often.
    Cached,
}

/// Packs and indices.
fn files(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(packs_of(directory)).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| other(path).is_some())
}

/// Returns the index of a pack, or the pack of an index; none: it is neither.
fn other(path: &Path) -> Option<PathBuf> {
    let extension = path.extension()?.to_str()?;
    match extension {
        "pack" => Some(path.with_extension("idx")),
        "idx" => Some(path.with_extension("pack")),
        _ => None,
    }
}

/// Removes packs without an index and indices without a pack, which cannot be read: a process that is killed in a fetch
/// leaves a pack. Returns their number.
pub(crate) fn remove_lone(directory: &Path) -> usize {
    let lone = files(directory).filter(|path| {
        let other = other(path);
        other.is_some_and(|other| matches!(other.try_exists(), Ok(false)))
    });
    let lone: Vec<PathBuf> = lone.collect();
    let removed = lone
        .iter()
        .filter(|path| std::fs::remove_file(path).is_ok());
    removed.count()
}

/// Returns a pack or an index that is damaged. All of them are read, so this is called only after a failure. A file
/// that cannot be read now (too many open files, no memory) does not count as damaged.
pub(crate) fn damaged(directory: &Path, look: PackCheck) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> = files(directory).collect();
    paths.sort();
    let state: Vec<FileState> = paths
        .iter()
        .filter_map(|path| {
            let found = std::fs::metadata(path).ok()?;
            Some((path.clone(), found.len(), found.modified().ok()))
        })
        .collect();
    if look == PackCheck::Cached && is_known(directory, &state) {
        return None;
    }
    let mut are_whole = true;
    for path in paths {
        match ends_with_its_sum(&path) {
            Ok(true) => {}
            Ok(false) => return Some(path),
            Err(_) => are_whole = false,
        }
    }
    if are_whole {
        let known = (Instant::now(), state);
        SUMMED.lock().insert(directory.to_owned(), known);
    }
    None
}

fn is_known(directory: &Path, state: &[FileState]) -> bool {
    let summed = SUMMED.lock();
    let known = summed.get(directory);
    known.is_some_and(|(at, known)| at.elapsed() < WHOLE && known == state)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a file that ends with its checksum, and returns its path.
    fn file(directory: &Path, name: &str, content: &[u8]) -> PathBuf {
        let packs = packs_of(directory);
        std::fs::create_dir_all(&packs).unwrap();
        let mut summed = gix::hash::io::Write::new(Vec::new(), gix::hash::Kind::Sha1);
        std::io::Write::write_all(&mut summed, content).unwrap();
        let sum = summed.hash.try_finalize().unwrap();
        let path = packs.join(name);
        std::fs::write(&path, [content, sum.as_slice()].concat()).unwrap();
        path
    }

    #[test]
    fn g12_of_a_pack_and_its_index_neither_is_of_use_alone() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let [pack, index] = ["pack-1.pack", "pack-1.idx"].map(|name| file(root, name, b"1"));
        let lone = ["pack-2.pack", "pack-3.idx"].map(|name| file(root, name, b"2"));
        let keep = file(root, "pack-2.keep", b"");
        assert_eq!(damaged(root, PackCheck::Full), None);
        assert_eq!(remove_lone(root), 2);
        assert!(!lone.iter().any(|path| path.exists()));
        assert!(pack.exists() && index.exists() && keep.exists());
        assert_eq!(remove_lone(root), 0);
    }

    #[test]
    fn g12_what_cannot_be_read_now_is_not_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir_all(packs_of(root)).unwrap();
        for name in ["pack-1.pack", "pack-1.idx"] {
            // A link to itself cannot be opened by any user.
            std::os::unix::fs::symlink(name, packs_of(root).join(name)).unwrap();
        }
        assert_eq!(remove_lone(root), 0);
        assert_eq!(damaged(root, PackCheck::Full), None);
        assert!(
            !SUMMED.lock().contains_key(root),
            "nor is it known to be whole"
        );
        let short = file(root, "pack-2.pack", b"2");
        std::fs::write(&short, "2").unwrap();
        assert_eq!(damaged(root, PackCheck::Full), Some(short));
    }

    #[test]
    fn g12_packs_are_summed_once_while_they_stay_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        file(root, "pack-1.idx", b"1");
        let pack = file(root, "pack-1.pack", b"1");
        assert_eq!(damaged(root, PackCheck::Cached), None);
        let modified = std::fs::metadata(&pack).unwrap().modified().unwrap();
        let mut bytes = std::fs::read(&pack).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&pack, bytes).unwrap();
        let written = File::options().write(true).open(&pack).unwrap();
        written.set_modified(modified).unwrap();
        assert_eq!(
            damaged(root, PackCheck::Cached),
            None,
            "it is not read again"
        );
        assert_eq!(damaged(root, PackCheck::Full), Some(pack.clone()));
        // Any change of a file's metadata invalidates the earlier result.
        written
            .set_modified(modified + Duration::from_secs(1))
            .unwrap();
        assert_eq!(damaged(root, PackCheck::Cached), Some(pack));
    }
}
