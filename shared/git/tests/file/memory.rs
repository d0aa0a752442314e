//! G11: content that would not fit into memory, however small it is on the wire or on disk.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use flotilla_git::{Access, Error, Limits, Remote};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;

use super::{Origin, git, raw_tree};

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

/// Fetches the branch into a cache of its own.
fn fetch(origin: &Origin, limits: &Limits, branch: &str, commit: &Commit) -> Result<(), Error> {
    let cache = tempfile::tempdir().unwrap();
    let url = format!("file://{}", origin.path().display());
    let (url, limits) = (url.parse().unwrap(), limits.clone());
    let remote = Remote::open(&cache.path().join("r"), url, limits, Access::default()).unwrap();
    let tip = remote.fetch(&branch.parse().unwrap(), commit);
    let kept = std::fs::read_dir(cache.path().join("r/objects/pack")).unwrap();
    assert!(tip.is_ok() || kept.count() == 0, "a part of a pack is left");
    tip.and_then(|_| remote.read_tree(commit, |_| true))
        .map(drop)
}

#[test]
fn g11_an_object_that_is_too_large_for_memory_is_refused_and_the_branch_beside_it_is_read() {
    let limits = Limits {
        object_bytes: 64 << 10,
        ..Limits::default()
    };
    let origin = Origin::new();
    let small = origin.commit("app.yaml", "a: 1\n");
    std::fs::write(origin.path().join("fits"), noise(60 << 10)).unwrap();
    let fits = origin.commit("b.yaml", "b: 1\n");
    let mut refused = Vec::new();
    // One file is as large on the wire as unpacked, the other a thousandth of that.
    for (branch, content) in [("noise", noise(1 << 20)), ("bomb", vec![0; 1 << 20])] {
        git(
            origin.path(),
            &["checkout", "-q", "-b", branch, small.as_str()],
        );
        std::fs::write(origin.path().join("large"), content).unwrap();
        refused.push((branch, origin.commit("b.yaml", branch)));
    }
    // A delta of a few bytes, whose base is within the limit and whose result is not.
    let base = noise(60 << 10);
    let mut twice = Pack::new();
    let offset = twice.blob(&base);
    let whole = [copy(base.len()), copy(base.len())].concat();
    twice.delta(offset, base.len(), 2 * base.len(), &whole);
    let branch = "delta";
    refused.push((branch, twice.push(origin.path(), branch)));

    for (branch, commit) in &refused {
        let error = fetch(&origin, &limits, branch, commit).unwrap_err();
        assert_eq!(error.reason(), Reason::LimitExceeded, "{branch}: {error}");
        let message = error.to_string();
        assert!(
            message.contains("65536 bytes in one object"),
            "{branch}: {message}"
        );
        assert!(message.contains("Git LFS"), "{branch}: {message}");
        fetch(&origin, &Limits::default(), branch, commit).unwrap();
    }
    fetch(&origin, &limits, "prod", &fits).unwrap();
}

#[test]
fn g11_more_objects_than_fit_into_memory_are_refused() {
    let origin = Origin::new();
    for file in 0..30 {
        std::fs::write(origin.path().join(format!("f{file}")), file.to_string()).unwrap();
    }
    let commit = origin.commit("app.yaml", "a: 1\n");
    let limits = Limits {
        objects: 32,
        ..Limits::default()
    };
    // 31 files, a directory and the commit.
    let error = fetch(&origin, &limits, "prod", &commit).unwrap_err();
    assert!(
        error.to_string().contains("more than 32 objects"),
        "{error}"
    );
    assert_eq!(error.reason(), Reason::LimitExceeded);
    let limits = Limits {
        objects: 33,
        ..Limits::default()
    };
    fetch(&origin, &limits, "prod", &commit).unwrap();
}

/// Each object is within the limits, but each one is the base of a small one and of the next large one, so that all of
/// them are needed until the last one is complete.
#[cfg(target_os = "linux")]
#[test]
fn g11_deltas_that_need_all_their_bases_at_once_are_refused() {
    const BYTES: usize = 512 << 10;
    let mut pack = Pack::new();
    let mut base = pack.blob(&vec![0; BYTES]);
    for level in 0..40_u8 {
        let ends = [[level, 0], [level, 1]];
        let [_, deepest] = ends.map(|end| {
            let changed = [copy(BYTES - 2), vec![2], end.to_vec()].concat();
            pack.delta(base, BYTES, BYTES, &changed)
        });
        base = deepest;
    }
    assert!(pack.bytes.len() < 32 << 10, "{}", pack.bytes.len());
    let origin = Origin::new();
    let small = origin.commit("app.yaml", "a: 1\n");
    let commit = pack.push(origin.path(), "comb");
    let limits = Limits {
        memory_bytes: 8 << 20,
        ..Limits::default()
    };
    let error = fetch(&origin, &limits, "comb", &commit).unwrap_err();
    assert_eq!(error.reason(), Reason::LimitExceeded, "{error}");
    assert!(error.to_string().contains("bytes of memory"), "{error}");
    fetch(&origin, &limits, "prod", &small).unwrap();
}

/// A pack that Git itself would not make, but accepts.
struct Pack {
    objects: u32,
    bytes: Vec<u8>,
}

impl Pack {
    fn new() -> Self {
        Self {
            objects: 0,
            bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(),
        }
    }

    /// Adds an entry, with the bytes between header and content, and returns its offset.
    fn entry(&mut self, kind: u8, between: &[u8], content: &[u8]) -> usize {
        let offset = self.bytes.len();
        let mut size = content.len();
        let mut byte = kind << 4 | (size & 15) as u8;
        size >>= 4;
        while size > 0 {
            self.bytes.push(byte | 0x80);
            byte = (size & 0x7f) as u8;
            size >>= 7;
        }
        self.bytes.push(byte);
        self.bytes.extend(between);
        let level = gix::zlib::Compression::BEST_SPEED;
        let mut deflate = gix::zlib::stream::deflate::Write::new(Vec::new(), level);
        deflate.write_all(content).unwrap();
        deflate.flush().unwrap();
        self.bytes.extend(deflate.into_inner());
        self.objects += 1;
        offset
    }

    fn blob(&mut self, content: &[u8]) -> usize {
        self.entry(3, &[], content)
    }

    fn delta(&mut self, base: usize, from: usize, to: usize, how: &[u8]) -> usize {
        let mut distance = self.bytes.len() - base;
        let mut between = vec![(distance & 0x7f) as u8];
        distance >>= 7;
        while distance > 0 {
            distance -= 1;
            between.insert(0, 0x80 | (distance & 0x7f) as u8);
            distance >>= 7;
        }
        let content = [&number(from), &number(to), how].concat();
        self.entry(6, &between, &content)
    }

    /// Makes a branch whose commit has all objects as files, named so that Git sends them in this order.
    fn push(mut self, directory: &Path, branch: &str) -> Commit {
        self.bytes[8..12].copy_from_slice(&self.objects.to_be_bytes());
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        hasher.update(&self.bytes);
        self.bytes.extend(hasher.try_finalize().unwrap().as_slice());
        let all = || {
            let check = "--batch-check=%(objectname)";
            let all = git(
                directory,
                &["cat-file", "--batch-all-objects", "--unordered", check],
            );
            all.lines().map(ToOwned::to_owned).collect::<Vec<String>>()
        };
        let before = all();
        let mut child = Command::new("git")
            .current_dir(directory)
            .args(["index-pack", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&self.bytes).unwrap();
        assert!(child.wait().unwrap().success());
        let new = all().into_iter().filter(|id| !before.contains(id));
        let files: Vec<(String, String)> = new
            .enumerate()
            .map(|(at, id)| (format!("100644 {at:03}"), id))
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(f, id)| (&**f, &**id)).collect();
        let tree = raw_tree(directory, &files);
        let commit = git(directory, &["commit-tree", "-m", branch, &tree]);
        git(
            directory,
            &["update-ref", &format!("refs/heads/{branch}"), &commit],
        );
        commit.parse().unwrap()
    }
}

/// Encodes a number as in a delta's header.
fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Encodes a copy of the first bytes of the base.
fn copy(bytes: usize) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(bytes).unwrap().to_be_bytes();
    vec![0x80 | 0x70, low, middle, high]
}
