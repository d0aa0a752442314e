//! G11: repositories that are too large.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use flotilla_git::{Access, Blob, Limits, Remote};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;

use super::{Origin, git};

#[test]
fn g11_budgets_of_trees_hold() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    for index in 0..20 {
        std::fs::write(origin.path().join(format!("f{index}")), "x".repeat(1000)).unwrap();
    }
    let commit = origin.commit("big", &"y".repeat(5000));
    let url: flotilla_shared::revision::RepositoryUrl =
        format!("file://{}", origin.path().display())
            .parse()
            .unwrap();
    let prod = "prod".parse().unwrap();
    let open = |limits: Limits| {
        let remote = Remote::open(
            &cache.path().join("r"),
            url.clone(),
            limits,
            Access::default(),
        )
        .unwrap();
        remote.fetch(&prod, &commit).unwrap();
        remote
    };
    let remote = open(Limits {
        blob_bytes: 2000,
        ..Limits::default()
    });
    let tree = remote.read_tree(&commit, |_| true).unwrap();
    assert!(tree.iter().any(|entry| entry.blob == Blob::TooLarge(5000)));
    for limits in [
        Limits {
            tree_entries: 10,
            ..Limits::default()
        },
        Limits {
            tree_bytes: 10_000,
            ..Limits::default()
        },
    ] {
        let error = open(limits).read_tree(&commit, |_| true).unwrap_err();
        assert_eq!(error.reason(), Reason::LimitExceeded);
    }
}

/// A repository whose branches are each too large in a different way, with 10^5 other branches: these are refused
/// within limits of time, disk and memory, and the small branch is still read.
#[test]
fn g11_a_huge_repository_is_refused_within_time_and_disk_and_its_small_branch_is_read() {
    // A thousandth of the size, and of the limits.
    let scale: u64 = flotilla_needs::size(1000, 1);
    let full = scale == 1;
    let limits = Limits {
        pack_bytes: Limits::default().pack_bytes / scale,
        blob_bytes: Limits::default().blob_bytes / scale,
        tree_bytes: Limits::default().tree_bytes / scale,
        tree_entries: Limits::default().tree_entries / scale,
        // Half of the blob's size, and large enough for the list of the pack's objects.
        object_bytes: if full {
            Limits::default().object_bytes
        } else {
            1 << 20
        },
        ..Limits::default()
    };
    let origin = Origin::new();
    let small = origin.commit("app.yaml", "a: 1\n");
    import(origin.path(), |to| huge(to, scale));
    let cache = tempfile::tempdir().unwrap();
    let remote = |name: &str| {
        let url = format!("file://{}", origin.path().display());
        let path = cache.path().join(name);
        Remote::open(
            &path,
            url.parse().unwrap(),
            limits.clone(),
            Access::default(),
        )
        .unwrap()
    };
    let disk = || {
        let output = Command::new("du").arg("-sk").arg(cache.path()).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let kib: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
        kib * 1024
    };
    let memory = most_memory();
    for branch in ["files", "blob", "bytes"] {
        let commit: Commit = git(origin.path(), &["rev-parse", branch]).parse().unwrap();
        let began = std::time::Instant::now();
        let remote = remote(branch);
        let read = remote
            .fetch(&branch.parse().unwrap(), &commit)
            .and_then(|_| remote.read_tree(&commit, |_| true));
        let took = began.elapsed();
        let error = read.expect_err(branch);
        assert_eq!(error.reason(), Reason::LimitExceeded, "{branch}: {error}");
        eprintln!("{branch}: {took:?}, {} MiB on disk: {error}", disk() >> 20);
        assert!(took < limits.timeout * 2, "{branch}: {took:?}");
    }
    if let Some((before, after)) = memory.zip(most_memory()) {
        let grown = (after - before) >> 20;
        eprintln!("{grown} MiB more memory at most");
        // An agent has 256 MiB, of which other work needs a part.
        assert!(grown < 160, "{grown} MiB");
    }
    // A refused fetch leaves nothing on disk, except for an exchange that ended in the middle.
    assert!(disk() < 4 * limits.pack_bytes + (8 << 20), "{}", disk());
    let began = std::time::Instant::now();
    let remote = remote("prod");
    remote.fetch(&"prod".parse().unwrap(), &small).unwrap();
    assert_eq!(remote.read_tree(&small, |_| true).unwrap().len(), 1);
    let took = began.elapsed();
    eprintln!("the small branch beside them: {took:?}");
    assert!(took < limits.timeout, "{took:?}");
}

/// Returns the peak memory of this process in bytes; none: the system does not tell.
fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Each fetch adds to the cache, and the sum of many must not cause the next one to be refused.
#[test]
fn g11_a_cache_that_has_grown_over_many_fetches_begins_anew() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    let url = format!("file://{}", origin.path().display());
    let limits = Limits {
        pack_bytes: 64 << 10,
        ..Limits::default()
    };
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..12 {
        let mut text = String::new();
        while text.len() < 40 << 10 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(&format!("{state:016x}"));
        }
        let commit = origin.commit("noise.yaml", &text);
        let path = cache.path().join("one");
        let access = Access::default();
        let remote = Remote::open(&path, url.parse().unwrap(), limits.clone(), access).unwrap();
        remote.fetch(&"prod".parse().unwrap(), &commit).unwrap();
        assert!(remote.read_tree(&commit, |_| true).is_ok());
    }
    let packs = std::fs::read_dir(cache.path().join("one/objects/pack")).unwrap();
    let bytes: u64 = packs
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 3 * limits.pack_bytes, "{bytes}");
}

/// Feeds `git fast-import`.
fn import(directory: &Path, write: impl FnOnce(&mut dyn Write)) {
    let mut child = Command::new("git")
        .current_dir(directory)
        .args(["-c", "core.compression=0", "-c", "pack.packSizeLimit=0"])
        .args([
            "fast-import",
            "--quiet",
            "--force",
            "--big-file-threshold=1m",
        ])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = std::io::BufWriter::new(child.stdin.take().unwrap());
    write(&mut to);
    drop(to);
    assert!(child.wait().unwrap().success());
}

/// Writes 10^6 files, a blob of 2 GB, 5 GB in blobs of a megabyte, and 10^5 further branches, each divided by `scale`.
fn huge(to: &mut dyn Write, scale: u64) {
    let begin = |to: &mut dyn Write, branch: &str| {
        writeln!(
            to,
            "commit refs/heads/{branch}\ncommitter t <t@example.com> 1790000000 +0000\ndata 1\nx"
        )
        .unwrap();
    };
    begin(to, "files");
    for file in 0..1_000_000 / scale {
        let text = file.to_string();
        writeln!(
            to,
            "M 100644 inline {}/{file}\ndata {}\n{text}",
            file / 1000,
            text.len()
        )
        .unwrap();
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = |to: &mut dyn Write, bytes: u64| {
        writeln!(to, "data {}", bytes / 8 * 8).unwrap();
        for _ in 0..bytes / 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            to.write_all(&state.to_le_bytes()).unwrap();
        }
        to.write_all(b"\n").unwrap();
    };
    begin(to, "blob");
    writeln!(to, "M 100644 inline large").unwrap();
    noise(to, 2_000_000_000 / scale);
    begin(to, "bytes");
    for file in 0..5_000 {
        writeln!(to, "M 100644 inline {file}").unwrap();
        noise(to, 1_000_000 / scale);
    }
    for branch in 0..100_000 / scale {
        write!(
            to,
            "reset refs/heads/other/{branch}\nfrom refs/heads/files\n\n"
        )
        .unwrap();
    }
}
