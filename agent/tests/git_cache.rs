//! G12: an agent's cache of a repository when a fetch is killed midway, when a bit of it flips, and when several
//! applications use it at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_agent::policy::{Policy, Refusal};
use flotilla_agent::source::{Admission, ChartContext, DesiredApplication, Source};
use flotilla_git::Limits;
use flotilla_needs::git;
use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{Commit, Revision};

/// Where the process that is killed finds its directory; set for that one only.
const FETCHER: &str = "FLOTILLA_GIT_FETCHER";
/// Longest time that anything is waited for.
const DEADLINE: Duration = Duration::from_secs(60);
/// The server stalls once it has said so much; the pack is larger.
const STALLS_AFTER: u64 = 400_000;

fn repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().join("work");
    std::fs::create_dir(&work).unwrap();
    git(&work, &["init", "-q", "-b", "main", "."]);
    directory
}

fn commit(root: &Path, value: &str) -> Commit {
    let work = root.join("work");
    let manifest = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{value: '{value}'}}\n"
    );
    std::fs::write(work.join("a.yaml"), manifest).unwrap();
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-q", "-m", value]);
    git(&work, &["rev-parse", "HEAD"]).parse().unwrap()
}

/// The source of an agent that starts with the cache of an earlier one.
fn source(data: &Path) -> Source {
    let trust = Admission::open(data, Arc::new(Policy::default()), None).unwrap();
    Source::new(data.join("git"), Limits::default(), None, Arc::new(trust))
}

async fn render(
    source: &Source,
    root: &Path,
    name: &str,
    commit: &Commit,
) -> Result<String, Refusal> {
    let desired = DesiredApplication {
        name: name.parse().unwrap(),
        cluster: "c1".parse().unwrap(),
        application: ApplicationAssignment::new(
            Revision {
                repository: "fleet".parse().unwrap(),
                branch: "main".parse().unwrap(),
                commit: commit.clone(),
            },
            format!("file://{}", root.join("work").display())
                .parse()
                .unwrap(),
            "".parse().unwrap(),
        ),
        approvals: Vec::new(),
        facts: None,
    };
    let rendered = source.render(&desired, ChartContext::default()).await?;
    Ok(format!("{:?}", rendered.manifests))
}

/// All that is among the packs of an agent's caches, with its size.
fn packs(data: &Path) -> Vec<(PathBuf, u64)> {
    let caches = std::fs::read_dir(data.join("git")).into_iter().flatten();
    let packs = caches.flatten().flat_map(|cache| {
        let packs = cache.path().join("objects/pack");
        std::fs::read_dir(packs).into_iter().flatten().flatten()
    });
    packs
        .filter_map(|file| Some((file.path(), file.metadata().ok()?.len())))
        .collect()
}

struct ChildProcess(Child);

impl ChildProcess {
    fn now(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test: [`g12_a_fetch_that_was_killed_in_its_middle_is_done_again`] starts and kills it.
#[tokio::test]
async fn the_process_that_fetches() {
    let Some(root) = std::env::var_os(FETCHER).map(PathBuf::from) else {
        return;
    };
    let commit = git(&root.join("work"), &["rev-parse", "HEAD"]);
    let commit = commit.parse().unwrap();
    let _ = render(&source(&root.join("data")), &root, "web", &commit).await;
}

/// The server sends the first part of the pack and then nothing, until its reader is gone.
#[tokio::test]
async fn g12_a_fetch_that_was_killed_in_its_middle_is_done_again() {
    let directory = repository();
    let root = directory.path();
    // Received objects are written one by one.
    for index in 0..100 {
        let mut noise = vec![0u8; 20_000];
        rand::fill(&mut noise[..]);
        std::fs::write(root.join(format!("work/{index}.bin")), noise).unwrap();
    }
    let commit = commit(root, "1");
    let slow = root.join("slow");
    std::fs::create_dir(&slow).unwrap();
    let program = slow.join("git-upload-pack");
    // Byte by byte: a larger block that arrives in parts counts several times, and would end the answer early.
    let script = format!(
        "#!/bin/sh\ngit upload-pack \"$@\" | {{\n\
         dd bs=1 count={STALLS_AFTER} 2>/dev/null\n\
         while kill -0 $PPID 2>/dev/null; do sleep 0.1; done\n}}\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut fetcher = Command::new(std::env::current_exe().unwrap());
    fetcher
        .args(["--exact", "the_process_that_fetches", "--nocapture"])
        .env(FETCHER, root)
        .env("PATH", format!("{}:{path}", slow.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut fetcher = ChildProcess(fetcher.spawn().unwrap());
    let data = root.join("data");
    let begun = Instant::now();
    let is_amid = || packs(&data).iter().any(|(_, size)| *size > 0);
    while !is_amid() {
        let ended = fetcher.0.try_wait().unwrap();
        assert!(ended.is_none(), "the fetch was not stalled: {ended:?}");
        assert!(begun.elapsed() < DEADLINE, "{:?}", packs(&data));
        tokio::task::yield_now().await;
    }
    fetcher.now();
    let left = packs(&data);
    assert!(!left.is_empty(), "the kill left something");
    let is_index = |path: &Path| path.extension().is_some_and(|found| found == "idx");
    assert!(!left.iter().any(|(path, _)| is_index(path)), "{left:?}");

    let rendered = render(&source(&data), root, "web", &commit).await.unwrap();
    let afresh = source(&root.join("afresh"));
    let expected = render(&afresh, root, "web", &commit).await.unwrap();
    assert_eq!(rendered, expected);
}

/// The commit was proven and is present, so that no fetch would repair it without a reason.
#[tokio::test]
async fn g12_a_flipped_bit_in_a_cache_costs_one_try() {
    let directory = repository();
    let root = directory.path();
    let commit = commit(root, "1");
    let data = root.join("data");
    let source = source(&data);
    let expected = render(&source, root, "web", &commit).await.unwrap();
    let packs = packs(&data);
    let is_pack = |path: &Path| path.extension().is_some_and(|found| found == "pack");
    let (pack, _) = packs.iter().find(|(path, _)| is_pack(path)).unwrap();
    let mut bytes = std::fs::read(pack).unwrap();
    // The file is the last object; only the checksum follows it.
    let place = bytes.len() - 20 - 8;
    bytes[place] ^= 1;
    std::fs::remove_file(pack).unwrap();
    std::fs::write(pack, bytes).unwrap();
    let refusal = render(&source, root, "web", &commit).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::RepositoryUnavailable);
    let told = &refusal.message;
    assert!(told.contains("the cache begins anew"), "{told}");
    let rendered = render(&source, root, "web", &commit).await.unwrap();
    assert_eq!(rendered, expected);
}

#[tokio::test]
async fn g12_fetches_of_one_repository_at_once_all_come_through() {
    let directory = repository();
    let root = directory.path();
    let commits: Vec<Commit> = (0..6)
        .map(|value| commit(root, &value.to_string()))
        .collect();
    let shared = source(&root.join("shared"));
    let names: Vec<String> = (0..commits.len())
        .map(|index| format!("a{index}"))
        .collect();
    let renders = commits.iter().zip(&names);
    let renders = renders.map(|(commit, name)| render(&shared, root, name, commit));
    let rendered = futures::future::join_all(renders).await;
    for ((one, commit), name) in rendered.into_iter().zip(&commits).zip(&names) {
        let alone = source(&root.join(name));
        let expected = render(&alone, root, name, commit).await.unwrap();
        assert_eq!(one.unwrap(), expected, "{commit}");
    }
}
