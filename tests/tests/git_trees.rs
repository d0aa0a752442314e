//! Reads a commit's directories without its files over real smart HTTP and SSH, from servers that do not support that,
//! and from one that lies.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use flotilla_git::{Access, Error, Limits, Remote, SshKey, TreeLimits};
use flotilla_shared::revision::Commit;
use flotilla_shared::source::Directories;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::red_git::{Malice, bomb, entry, flipped, large, nowhere, pack, stored};
use flotilla_tests::repository::{Repository, git};
use flotilla_tests::ssh_server::{SshServer, make_key};

/// Modifies a pack.
type PackChange = fn(Vec<u8>) -> Vec<u8>;

struct World {
    directory: tempfile::TempDir,
    repository: Repository,
    server: GitServer,
}

impl World {
    async fn new() -> Self {
        flotilla_shared::tls::install_provider();
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::create(directory.path(), "fleet").unwrap();
        let server = GitServer::start(&directory.path().join("served"), "127.0.0.1:0")
            .await
            .unwrap();
        repository.allow_filter().unwrap();
        Self {
            directory,
            repository,
            server,
        }
    }

    fn commit(&self, files: &[(&str, &str)]) -> Commit {
        for (path, content) in files {
            self.repository.write(path, content).unwrap();
        }
        let commit = self.repository.push("change", &["prod"]).unwrap();
        commit.parse().unwrap()
    }

    async fn read(&self, commit: &Commit) -> Result<Directories, Error> {
        self.read_with(commit, TreeLimits::default()).await
    }

    async fn read_with(&self, commit: &Commit, limits: TreeLimits) -> Result<Directories, Error> {
        let (cache, commit) = (self.directory.path().join("cache"), commit.clone());
        let url = self.server.url("fleet.git").parse().unwrap();
        let look = tokio::task::spawn_blocking(move || {
            let time = Limits {
                timeout: Duration::from_secs(5),
                ..Limits::default()
            };
            let remote = Remote::open(&cache, url, time, Access::default())?;
            remote.directories(&commit, &limits)
        });
        look.await.unwrap()
    }

    /// The directories as listed by Git itself.
    fn truth(&self, commit: &Commit) -> Directories {
        let work = &self.repository.work;
        let root = git(work, &["rev-parse", &format!("{commit}^{{tree}}")]).unwrap();
        let listed = git(work, &["ls-tree", "-r", "-d", commit.as_str()]).unwrap();
        let below = listed.lines().map(|line| {
            let (meta, path) = line.split_once('\t').unwrap();
            (path.to_owned(), meta.rsplit(' ').next().unwrap().to_owned())
        });
        let all = below.chain([(".".to_owned(), root)]);
        Directories::new(all.map(|(path, id)| {
            let bytes = (0..20).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap());
            (path, bytes.collect::<Vec<_>>().try_into().unwrap())
        }))
    }

    fn cached_bytes(&self) -> u64 {
        fn size_of(path: &Path) -> u64 {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries
                .map(|entry| match entry.metadata().unwrap() {
                    meta if meta.is_dir() => size_of(&entry.path()),
                    meta => meta.len(),
                })
                .sum()
        }
        size_of(&self.directory.path().join("cache").join("objects"))
    }
}

#[tokio::test]
async fn directories_are_those_that_git_shows() {
    let world = World::new().await;
    let first = world.commit(&[
        ("top.yaml", "a: 1\n"),
        ("apps/a/x.yaml", "a: 1\n"),
        ("apps/a/deep/y.yaml", "a: 1\n"),
        ("apps/b/z.yaml", "a: 1\n"),
    ]);
    // Git packs similar trees as deltas of each other.
    let many: Vec<String> = (0..300)
        .map(|n| format!("many/of/them/d{n:03}/f.yaml"))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|path| (path.as_str(), "a: 1\n")).collect();
    world.commit(&many);
    let second = world.commit(&[
        ("many/of/them/d007/g.yaml", ""),
        ("apps/a/x.yaml", "a: 2\n"),
    ]);
    git(&world.repository.bare, &["gc", "-q", "--aggressive"]).unwrap();
    let (before, after) = (
        world.read(&first).await.unwrap(),
        world.read(&second).await.unwrap(),
    );
    assert_eq!(before, world.truth(&first));
    assert_eq!(after, world.truth(&second));
    assert_eq!(after.len(), 5 + 3 + 300);
    assert_eq!(before.get("apps/b"), after.get("apps/b"));
    assert_eq!(before.get("apps/a/deep"), after.get("apps/a/deep"));
    assert_ne!(before.get("apps/a"), after.get("apps/a"));
    assert_eq!(world.cached_bytes(), 0, "nothing is kept on disk");
}

#[tokio::test]
async fn a_commit_says_who_wrote_what_and_nothing_else_comes_here() {
    let world = World::new().await;
    world.repository.write("apps/a/x.yaml", "a: 1\n").unwrap();
    let message = "mend <b>the shop</b>\n\nat length";
    let commit = world.repository.push(message, &["prod"]).unwrap();
    let url = world.server.url("fleet.git");
    let (cache, requested) = (world.directory.path().join("cache"), commit.clone());
    let read = move |commit: String| {
        let (cache, url) = (cache.clone(), url.parse().unwrap());
        tokio::task::spawn_blocking(move || {
            let remote = Remote::open(&cache, url, Limits::default(), Access::default())?;
            remote.heading(&commit.parse().unwrap())
        })
    };
    let heading = read(requested).await.unwrap().unwrap();
    let git = |format: &str| {
        let format = format!("--format={format}");
        git(
            &world.repository.work,
            &["log", "-1", format.as_str(), commit.as_str()],
        )
        .unwrap()
    };
    assert_eq!(heading.subject, "mend <b>the shop</b>");
    assert_eq!(heading.author, git("%an"));
    let seconds = heading.authored_at.unwrap().as_second();
    assert_eq!(seconds.to_string(), git("%at"));
    assert_eq!(world.cached_bytes(), 0, "nothing is kept on disk");
    read("1".repeat(40)).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_server_that_would_send_files_is_not_asked() {
    let world = World::new().await;
    let commit = world.commit(&[("apps/a/x.yaml", "a: 1\n")]);
    git(
        &world.repository.bare,
        &["config", "uploadpack.allowFilter", "false"],
    )
    .unwrap();
    let error = world.read(&commit).await.unwrap_err();
    assert!(matches!(error, Error::FilterUnsupported { .. }), "{error}");
    let asked = world.server.asked();
    assert!(
        asked.iter().all(|asked| asked.path.contains("info/refs")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_an_error() {
    let world = World::new().await;
    world.commit(&[("apps/a/x.yaml", "a: 1\n")]);
    let error = world
        .read(&"1".repeat(40).parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn g10_hostile_packs_of_directories_are_refused() {
    let world = World::new().await;
    let commit = world.commit(&[("apps/a/x.yaml", "a: 1\n"), ("apps/b/x.yaml", "a: 1\n")]);
    // File contents, although none were requested.
    let blob = |_| {
        let mut blob = entry(3, 5);
        blob.extend(stored(b"small"));
        pack(1, &blob)
    };
    let tag = |_| {
        let mut tag = entry(4, 5);
        tag.extend(stored(b"small"));
        pack(1, &tag)
    };
    // A valid commit, but another one; then a tree without a commit.
    let other = |_| {
        let text = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor a <a> 0 +0000\n\
                     committer a <a> 0 +0000\n\nx";
        let mut commit = entry(1, text.len() as u64);
        commit.extend(stored(text));
        pack(1, &commit)
    };
    let name = |_| {
        let mut text = b"40000 ..\0".to_vec();
        text.extend([7; 20]);
        let mut tree = entry(2, text.len() as u64);
        tree.extend(stored(&text));
        pack(1, &tree)
    };
    let lies: [(&str, PackChange); 12] = [
        ("flipped", flipped),
        ("blob", blob),
        ("tag", tag),
        ("large", |_| large(2)),
        ("bomb", |_| bomb(2)),
        ("nowhere", |_| nowhere()),
        ("other", other),
        ("name", name),
        ("count", |_| pack(u32::MAX, b"")),
        ("empty", |_| pack(0, b"")),
        ("nothing", |_| Vec::new()),
        ("noise", |_| vec![0xff; 1 << 16]),
    ];
    for (what, lie) in lies {
        world.server.set_malice(Malice::Pack(lie));
        let began = Instant::now();
        let error = world.read(&commit).await.unwrap_err();
        assert!(
            matches!(error, Error::Corrupt { .. } | Error::Limit { .. }),
            "{what}: {error}"
        );
        assert!(began.elapsed() < Duration::from_secs(4), "{what}");
    }
    world.server.set_malice(Malice::Cut);
    world.read(&commit).await.unwrap_err();
    world.server.set_malice(Malice::Pack(|_| vec![0; 33 << 20]));
    let error = world.read(&commit).await.unwrap_err();
    assert!(error.to_string().contains("bytes of a pack"), "{error}");
    world.server.set_malice(Malice::None);
    assert_eq!(world.read(&commit).await.unwrap(), world.truth(&commit));
}

#[tokio::test]
async fn g10_files_of_a_server_that_ignores_the_filter_are_refused() {
    // The whole commit with its files, as from a server that announces filters but ignores them.
    let world = World::new().await;
    let commit = world.commit(&[("apps/a/x.yaml", "a: 1\n")]);
    // `Pack` takes a plain function pointer, so the pack is passed in a static.
    static WHOLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let work = &world.repository.work;
    let packed = std::process::Command::new("sh")
        .current_dir(work)
        .args([
            "-c",
            "git rev-list --objects HEAD | git pack-objects -q --stdout",
        ])
        .output()
        .unwrap();
    WHOLE.set(packed.stdout).unwrap();
    world
        .server
        .set_malice(Malice::Pack(|_| WHOLE.get().unwrap().clone()));
    let error = world.read(&commit).await.unwrap_err();
    assert!(error.to_string().contains("sent files"), "{error}");
}

#[tokio::test]
async fn g08_few_trees_that_are_in_many_places_end_at_a_limit() {
    let world = World::new().await;
    let work = world.repository.work.clone();
    world.commit(&[("f", "")]);
    // Each level contains the level below twice: 17 trees describe 2^16 directories.
    for _ in 0..16 {
        let tree = git(&work, &["write-tree"]).unwrap();
        git(&work, &["read-tree", "--empty"]).unwrap();
        for place in ["a/", "b/"] {
            git(&work, &["read-tree", &format!("--prefix={place}"), &tree]).unwrap();
        }
    }
    git(&work, &["commit", "-q", "-m", "bomb"]).unwrap();
    git(&work, &["push", "-q", "origin", "HEAD:refs/heads/prod"]).unwrap();
    let commit: Commit = git(&work, &["rev-parse", "HEAD"]).unwrap().parse().unwrap();
    let error = world.read(&commit).await.unwrap_err();
    assert!(error.to_string().contains("20000 directories"), "{error}");
    let few = TreeLimits {
        objects: 3,
        ..TreeLimits::default()
    };
    let error = world.read_with(&commit, few).await.unwrap_err();
    assert!(error.to_string().contains("objects in a pack"), "{error}");
}

#[tokio::test]
async fn g08_trees_that_name_more_directories_than_there_may_be_are_refused() {
    let world = World::new().await;
    let commit = world.commit(&[("apps/a/x.yaml", "a: 1\n")]);
    world.server.set_malice(Malice::Pack(|_| {
        let mut entries = Vec::new();
        for tree in 0..12 {
            let mut text = Vec::new();
            for number in 0..1900 {
                text.extend(format!("40000 d{tree:02}{number:04}\0").bytes());
                text.extend([7; 20]);
            }
            entries.extend(entry(2, text.len() as u64));
            entries.extend(stored(&text));
        }
        pack(12, &entries)
    }));
    let error = world.read(&commit).await.unwrap_err();
    assert!(error.to_string().contains("20000 directories"), "{error}");
}

#[tokio::test]
async fn g03_a_server_that_drips_ends_in_time() {
    let world = World::new().await;
    let commit = world.commit(&[("apps/a/x.yaml", "a: 1\n")]);
    world.server.set_malice(Malice::Drip);
    let began = Instant::now();
    world.read(&commit).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn directories_come_over_ssh_too() {
    if !SshServer::is_here() {
        flotilla_needs::skip("sshd");
        return;
    }
    let world = World::new().await;
    let commit = world.commit(&[("apps/a/x.yaml", "a: 1\n")]);
    let root = world.directory.path();
    let server = SshServer::start(&root.join("sshd")).await.unwrap();
    make_key(&root.join("key")).await.unwrap();
    server.authorize(&root.join("key")).unwrap();
    std::fs::write(root.join("known_hosts"), server.known_hosts().unwrap()).unwrap();
    let access = Access {
        ssh: Some(SshKey {
            key: root.join("key"),
            known_hosts: root.join("known_hosts"),
        }),
        ..Access::default()
    };
    let url = server.url(&world.repository.bare).parse().unwrap();
    let (cache, requested) = (root.join("cache"), commit.clone());
    let look = tokio::task::spawn_blocking(move || {
        let remote = Remote::open(&cache, url, Limits::default(), access)?;
        let read = remote.directories(&requested, &TreeLimits::default())?;
        let none = "1".repeat(40).parse().unwrap();
        Ok::<_, Error>((read, remote.directories(&none, &TreeLimits::default())))
    });
    let (read, none) = look.await.unwrap().unwrap();
    assert_eq!(read, world.truth(&commit));
    none.unwrap_err();
}
