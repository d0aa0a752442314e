//! G12: damaged caches.

use std::path::{Path, PathBuf};

use flotilla_git::{Error, TreeEntry};
use flotilla_shared::revision::Commit;

use super::Origin;

#[test]
fn g12_a_damaged_cache_is_made_anew() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    let commit = origin.commit("a", "1");
    let prod = "prod".parse().unwrap();
    origin
        .remote(&cache.path().join("r"))
        .fetch(&prod, &commit)
        .unwrap();
    std::fs::write(cache.path().join("r/HEAD"), "garbage").unwrap();
    std::fs::write(cache.path().join("r/config"), "[[[").unwrap();
    let remote = origin.remote(&cache.path().join("r"));
    remote.fetch(&prod, &commit).unwrap();
    assert!(remote.has_tree(&commit));
}

/// Reads as an agent does in each pass: a commit that is in the cache is not fetched.
fn pass(origin: &Origin, cache: &Path, commit: &Commit) -> Result<Vec<TreeEntry>, Error> {
    let remote = origin.remote(cache);
    if !remote.has_tree(commit) {
        remote.fetch(&"prod".parse().unwrap(), commit)?;
    }
    remote.read_tree(commit, |_| true)
}

/// A repository, a cache with two fetches of it, and the content of its last commit.
struct World {
    origin: Origin,
    directory: tempfile::TempDir,
    commit: Commit,
    expected: Vec<TreeEntry>,
}

impl World {
    fn new() -> Self {
        let origin = Origin::new();
        let directory = tempfile::tempdir().unwrap();
        let good = directory.path().join("good");
        let first = origin.commit("app/a.yaml", "a: 1\n");
        pass(&origin, &good, &first).unwrap();
        let commit = origin.commit("app/b.yaml", &"b: 2\n".repeat(100));
        let expected = pass(&origin, &good, &commit).unwrap();
        assert_eq!(expected.len(), 2);
        Self {
            origin,
            directory,
            commit,
            expected,
        }
    }

    /// A copy of the cache.
    fn cache(&self) -> PathBuf {
        let cache = self.directory.path().join("cache");
        let _ = std::fs::remove_dir_all(&cache);
        copy(&self.directory.path().join("good"), &cache);
        cache
    }

    /// The packs and indices of a cache.
    fn packs(cache: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(cache.join("objects/pack")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| {
                let extension = path.extension().and_then(|extension| extension.to_str());
                matches!(extension, Some("pack" | "idx"))
            })
            .collect()
    }

    /// Returns whether damage of a cache is found; either way the content is right, at once or on the next try.
    fn is_found(&self, cache: &Path, what: &str) -> bool {
        match pass(&self.origin, cache, &self.commit) {
            // The damaged byte was not read.
            Ok(read) => {
                assert_eq!(read, self.expected, "{what}");
                false
            }
            Err(error) => {
                assert!(matches!(error, Error::Cache { .. }), "{what}: {error}");
                let again = pass(&self.origin, cache, &self.commit);
                assert_eq!(again.unwrap(), self.expected, "{what}");
                true
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Replaces a file, since packs are read-only.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn g12_a_flipped_bit_is_found_and_the_cache_made_anew() {
    let world = World::new();
    let files = World::packs(&world.cache());
    assert_eq!(files.len(), 4, "{files:?}");
    let (mut found, mut flips) = (0, 0);
    for file in files {
        let good = std::fs::read(&file).unwrap();
        let is_pack = file.extension().is_some_and(|found| found == "pack");
        for place in (0..good.len()).step_by(if is_pack { 11 } else { 97 }) {
            // Each flip is made in a new copy of the cache at the same path.
            let cache = world.cache();
            let mut bad = good.clone();
            bad[place] ^= 1;
            replace(&file, &bad);
            let what = format!("byte {place} of {}", file.display());
            flips += 1;
            found += usize::from(world.is_found(&cache, &what));
        }
    }
    assert!(found >= 10, "only {found} of {flips} were found");
}

#[test]
fn g12_what_a_kill_or_a_lost_write_leaves_is_made_good() {
    let world = World::new();
    for extension in ["idx", "pack"] {
        let cache = world.cache();
        for path in World::packs(&cache) {
            if path.extension().is_some_and(|found| found == extension) {
                std::fs::remove_file(path).unwrap();
            }
        }
        world.is_found(&cache, extension);
    }
    // A reference names a missing commit.
    let cache = world.cache();
    for path in World::packs(&cache) {
        std::fs::remove_file(path).unwrap();
    }
    world.is_found(&cache, "no packs");
    for length in [0, 1, 100] {
        let cache = world.cache();
        for path in World::packs(&cache) {
            let bytes = std::fs::read(&path).unwrap();
            replace(&path, &bytes[..length.min(bytes.len())]);
        }
        world.is_found(&cache, &format!("cut to {length}"));
    }
    // Stray files are ignored.
    let cache = world.cache();
    for name in [".tmpA1b2C3", "tmp_pack_x", "pack-0.keep"] {
        std::fs::write(cache.join("objects/pack").join(name), "PACK").unwrap();
    }
    assert!(!world.is_found(&cache, "left over"));
}

/// Proofs about commits are stored beside the packs, and stay.
#[test]
fn g12_what_a_killed_fetch_left_half_done_goes_alone() {
    let world = World::new();
    let cache = world.cache();
    let packs = World::packs(&cache);
    let mut packs = packs.iter();
    let pack = packs.find(|path| path.extension().is_some_and(|found| found == "pack"));
    let name = format!("objects/pack/pack-{}.pack", "0".repeat(40));
    let lone = cache.join(name);
    std::fs::copy(pack.unwrap(), &lone).unwrap();
    let proven = cache.join("flotilla-proven");
    std::fs::write(&proven, "").unwrap();
    let nowhere = "1".repeat(40).parse().unwrap();
    let error = pass(&world.origin, &cache, &nowhere).unwrap_err();
    assert!(!matches!(error, Error::Cache { .. }), "{error}");
    assert!(!lone.exists());
    assert!(proven.exists());
    let read = pass(&world.origin, &cache, &world.commit);
    assert_eq!(read.unwrap(), world.expected);
}
