//! Tests against real repositories made by the real `git`, over `file://`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "file/budgets.rs"]
mod budgets;
#[path = "file/damage.rs"]
mod damage;
#[path = "file/memory.rs"]
mod memory;

use std::path::Path;
use std::process::Command;

use flotilla_git::{Access, Blob, Error, Limits, Lineage, Remote};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    String::from_utf8(flotilla_needs::output(&mut command))
        .expect("text")
        .trim()
        .to_owned()
}

struct Origin {
    directory: tempfile::TempDir,
}

impl Origin {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        git(directory.path(), &["init", "-q", "-b", "prod", "."]);
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn commit(&self, file: &str, content: &str) -> Commit {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        git(self.path(), &["add", "-A"]);
        git(self.path(), &["commit", "-q", "-m", file]);
        git(self.path(), &["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn remote(&self, cache: &Path) -> Remote {
        let url = format!("file://{}", self.path().display()).parse().unwrap();
        Remote::open(cache, url, Limits::default(), Access::default()).unwrap()
    }
}

#[test]
fn tips_fetch_and_tree_go_the_whole_way() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    let first = origin.commit("app/a.yaml", "a: 1\n");
    let remote = origin.remote(&cache.path().join("r"));
    let prod = "prod".parse().unwrap();
    let none = "nothing".parse().unwrap();
    let tips = remote.tips(&[prod, none]).unwrap();
    assert_eq!(
        tips.into_values().collect::<Vec<_>>(),
        std::slice::from_ref(&first)
    );

    let prod = "prod".parse().unwrap();
    assert_eq!(remote.fetch(&prod, &first).unwrap(), first);
    let second = origin.commit("app/b.yaml", "b: 1\n");
    assert_eq!(remote.fetch(&prod, &second).unwrap(), second);
    assert_eq!(
        remote.fetch(&prod, &first).unwrap(),
        second,
        "an ancestor of the tip is fine"
    );

    let tree = remote
        .read_tree(&second, |path| !path.ends_with("a.yaml"))
        .unwrap();
    assert_eq!(tree.len(), 1);
    assert_eq!(tree[0].path, "app/b.yaml");
    assert_eq!(tree[0].blob, Blob::File(b"b: 1\n".to_vec()));
}

#[test]
fn g02_a_base_below_the_shallow_border_is_fetched_by_deepening() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    let first = origin.commit("f", "0");
    for index in 1..60 {
        origin.commit("f", &index.to_string());
    }
    let remote = origin.remote(&cache.path().join("r"));
    remote.fetch(&"prod".parse().unwrap(), &first).unwrap();
    assert!(remote.has_tree(&first));
}

#[test]
fn c02_a_commit_of_the_repository_that_is_not_on_the_branch_is_refused() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    origin.commit("a", "1");
    git(origin.path(), &["checkout", "-q", "-b", "fork"]);
    let fork = origin.commit("evil", "1");
    git(origin.path(), &["checkout", "-q", "prod"]);
    let remote = origin.remote(&cache.path().join("r"));
    let error = remote.fetch(&"prod".parse().unwrap(), &fork).unwrap_err();
    assert_eq!(error.reason(), Reason::CommitNotFound, "{error}");
    // Even when it is in the cache, because another branch contains it.
    remote.fetch(&"fork".parse().unwrap(), &fork).unwrap();
    let error = remote.fetch(&"prod".parse().unwrap(), &fork).unwrap_err();
    assert_eq!(error.reason(), Reason::CommitNotOnBranch, "{error}");
}

#[test]
fn p06_missing_branches_and_repositories_have_their_own_reasons() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    let commit = origin.commit("a", "1");
    let remote = origin.remote(&cache.path().join("r"));
    let error = remote.fetch(&"gone".parse().unwrap(), &commit).unwrap_err();
    assert!(matches!(error, Error::BranchNotFound { .. }), "{error}");
    let nowhere = "file:///nonexistent/repository".parse().unwrap();
    let remote = Remote::open(
        &cache.path().join("n"),
        nowhere,
        Limits::default(),
        Access::default(),
    )
    .unwrap();
    let error = remote.tips(&["prod".parse().unwrap()]).unwrap_err();
    assert!(
        matches!(
            error.reason(),
            Reason::RepositoryNotFound | Reason::RepositoryUnavailable
        ),
        "{error}"
    );
}

#[test]
fn g06_g07_links_and_submodules_are_entries_and_nothing_more() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    origin.commit("app/a.yaml", "a: 1\n");
    std::os::unix::fs::symlink("/etc/passwd", origin.path().join("app/link")).unwrap();
    let gitlink = format!("160000,{},app/vendor", "3f2a9c1d".repeat(5));
    git(origin.path(), &["add", "app/link"]);
    git(
        origin.path(),
        &["update-index", "--add", "--cacheinfo", &gitlink],
    );
    git(origin.path(), &["commit", "-q", "-m", "hostile"]);
    let commit: Commit = git(origin.path(), &["rev-parse", "HEAD"]).parse().unwrap();
    let remote = origin.remote(&cache.path().join("r"));
    remote.fetch(&"prod".parse().unwrap(), &commit).unwrap();
    let blobs: Vec<_> = remote
        .read_tree(&commit, |_| true)
        .unwrap()
        .into_iter()
        .map(|e| (e.path, e.blob))
        .collect();
    assert_eq!(
        blobs,
        [
            ("app/a.yaml".to_owned(), Blob::File(b"a: 1\n".to_vec())),
            (
                "app/link".to_owned(),
                Blob::Symlink("/etc/passwd".to_owned())
            ),
            ("app/vendor".to_owned(), Blob::Submodule),
        ]
    );
}

#[test]
fn g17_hooks_filters_and_configuration_of_a_repository_are_only_files() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    let ran = cache.path().join("ran");
    let run = format!("touch {}", ran.display());
    let text = "a: 1\r\n$Id$\n";
    for (file, content) in [
        (
            ".gitattributes",
            "* filter=evil diff=evil text eol=crlf ident export-subst\n".to_owned(),
        ),
        (
            ".gitconfig",
            format!("[filter \"evil\"]\n\tsmudge = {run}\n\tprocess = {run}\n"),
        ),
        (
            ".gitmodules",
            format!("[submodule \"x\"]\n\tpath = x\n\turl = ext::{run}\n\tupdate = !{run}\n"),
        ),
        (
            ".lfsconfig",
            "[lfs]\n\turl = https://evil.example.com\n".to_owned(),
        ),
        ("hooks/post-checkout", format!("#!/bin/sh\n{run}\n")),
        ("hooks/reference-transaction", format!("#!/bin/sh\n{run}\n")),
        (
            "config",
            format!("[core]\n\tsshCommand = {run}\n\tfsmonitor = {run}\n"),
        ),
        ("HEAD", "ref: refs/heads/evil\n".to_owned()),
    ] {
        let path = origin.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    // Only git itself may apply the attributes, which change files when they are added; the user's own are left out.
    std::fs::write(origin.path().join("app.yaml"), text).unwrap();
    git(
        origin.path(),
        &["-c", "core.attributesFile=/dev/null", "add", "-A"],
    );
    git(origin.path(), &["commit", "-q", "-m", "hostile"]);
    let commit: Commit = git(origin.path(), &["rev-parse", "HEAD"]).parse().unwrap();
    let stored = git(origin.path(), &["cat-file", "blob", "HEAD:app.yaml"]);
    let remote = origin.remote(&cache.path().join("r"));
    remote.fetch(&"prod".parse().unwrap(), &commit).unwrap();
    let entries = remote.read_tree(&commit, |_| true).unwrap();
    assert_eq!(entries.len(), 9);
    let app = entries
        .iter()
        .find(|entry| entry.path == "app.yaml")
        .unwrap();
    let Blob::File(content) = &app.blob else {
        panic!("{:?}", app.blob);
    };
    // The stored content, not that of a checkout.
    assert_eq!(String::from_utf8_lossy(content).trim(), stored.trim());
    assert!(content.windows(4).any(|four| four == b"$Id$"));
    assert!(!ran.exists());
}

/// Writes a tree that Git itself would not make, and returns its id.
fn raw_tree(directory: &Path, entries: &[(&str, &str)]) -> String {
    let mut raw = Vec::new();
    for (name, id) in entries {
        raw.extend(format!("{name}\0").into_bytes());
        let byte = |at: usize| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap();
        raw.extend((0..20).map(byte));
    }
    std::fs::write(directory.join(".git/raw"), raw).unwrap();
    let arguments = ["hash-object", "-t", "tree", "-w", "--literally", ".git/raw"];
    git(directory, &arguments)
}

#[test]
fn g06_long_names_and_names_that_come_twice_are_refused() {
    let origin = Origin::new();
    let path = origin.path();
    git(path, &["config", "uploadpack.allowFilter", "true"]);
    origin.commit("f", "1");
    let blob = git(path, &["rev-parse", "HEAD:f"]);
    let leaf = raw_tree(path, &[("100644 x", &blob)]);
    let other = raw_tree(path, &[("100644 y", &blob)]);
    // Each entry below a name repeats it: a few trees would be gigabytes of paths.
    let long = format!("40000 {}", "n".repeat(1 << 20));
    let long = raw_tree(path, &[(&long, &leaf)]);
    let deep = (0..20).fold(leaf.clone(), |below, _| {
        let name = format!("40000 {}", "d".repeat(250));
        raw_tree(path, &[(&name, &below)])
    });
    let twice = raw_tree(path, &[("40000 a", &leaf), ("40000 a", &other)]);
    for (root, why) in [
        (&long, "4096 bytes in one path"),
        (&deep, "4096 bytes in one path"),
        (&twice, "two directories are called"),
    ] {
        let commit = git(path, &["commit-tree", "-m", "x", root]);
        git(path, &["update-ref", "refs/heads/prod", &commit]);
        let commit = commit.parse().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let remote = origin.remote(&cache.path().join("r"));
        let limits = flotilla_git::TreeLimits::default();
        let error = remote.directories(&commit, &limits).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        remote.fetch(&"prod".parse().unwrap(), &commit).unwrap();
        let read = remote.read_tree(&commit, |_| true);
        if root != &twice {
            assert_eq!(read.unwrap_err().reason(), Reason::LimitExceeded);
        }
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_no_fault_of_the_server() {
    for part in ["objects/pack", "refs"] {
        let origin = Origin::new();
        let cache = tempfile::tempdir().unwrap();
        let commit = origin.commit("a", "1");
        let directory = cache.path().join("r");
        let remote = origin.remote(&directory);
        // A file in place of a directory stops every user, including root.
        let part = directory.join(part);
        std::fs::remove_dir_all(&part).unwrap();
        std::fs::write(&part, "").unwrap();
        let error = remote.fetch(&"prod".parse().unwrap(), &commit).unwrap_err();
        assert!(matches!(error, Error::Cache { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&part.display().to_string()), "{message}");
        assert!(!message.contains("cannot be reached"), "{message}");
    }
}

#[test]
fn g01_how_a_commit_stands_to_one_before_it_is_found_out() {
    for filter in ["true", "false"] {
        let origin = Origin::new();
        git(origin.path(), &["config", "uploadpack.allowFilter", filter]);
        let cache = tempfile::tempdir().unwrap();
        let prod = "prod".parse().unwrap();
        let commits: Vec<Commit> = (0..5)
            .map(|index| origin.commit("f", &index.to_string()))
            .collect();
        let [first, second, .., last] = &commits[..] else {
            panic!("{commits:?}");
        };
        // The commits between them are not in the cache.
        let remote = origin.remote(&cache.path().join("r"));
        remote.fetch(&prod, last).unwrap();
        let stands = |commit: &Commit, base: &Commit| remote.lineage(&prod, commit, base).unwrap();
        assert_eq!(stands(last, last), Some(Lineage::After));
        assert_eq!(stands(last, first), Some(Lineage::After), "{filter}");
        git(origin.path(), &["reset", "-q", "--hard", second.as_str()]);
        remote.fetch(&prod, second).unwrap();
        assert_eq!(stands(second, last), Some(Lineage::Behind), "{filter}");
        let rewritten = origin.commit("f", "other");
        remote.fetch(&prod, &rewritten).unwrap();
        assert_eq!(stands(&rewritten, last), Some(Lineage::Apart), "{filter}");
        // A commit that the server does not have.
        let gone = "3f2a9c1d".repeat(5).parse().unwrap();
        assert_eq!(stands(&rewritten, &gone), Some(Lineage::Apart), "{filter}");
    }
}

#[test]
fn g01_a_force_push_leaves_the_old_commit_off_the_branch() {
    let origin = Origin::new();
    let cache = tempfile::tempdir().unwrap();
    origin.commit("a", "1");
    let old = origin.commit("a", "2");
    let remote = origin.remote(&cache.path().join("r"));
    let prod = "prod".parse().unwrap();
    remote.fetch(&prod, &old).unwrap();
    git(origin.path(), &["reset", "-q", "--hard", "HEAD~1"]);
    let new = origin.commit("a", "3");
    assert_eq!(
        remote.fetch(&prod, &old).unwrap_err().reason(),
        Reason::CommitNotOnBranch
    );
    assert_eq!(remote.fetch(&prod, &new).unwrap(), new);
}
