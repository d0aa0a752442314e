//! A Git server that lies to a real agent: the hostile part of group G of the fault catalogue. Each lie ends in a
//! refusal with a reason code, an Event, and no write. What runs continues, and once the server tells the truth again
//! the agent follows without a restart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "red_hub/world.rs"]
#[expect(dead_code, reason = "shared with the red hub's tests")]
mod world;

use std::time::Duration;

use flotilla_git::{Access, Credentials, Limits, Remote};
use flotilla_proto::v1;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::red_git::{Malice, bomb, flipped, large, nowhere, pack};
use flotilla_tests::repository::{Repository, git};
use world::{World, config_map, signing_world};

/// The next commit cannot be fetched because of it; once the server is honest, it runs.
async fn lie(world: &mut World, malice: Malice, reasons: &[&str]) {
    world.write(
        "apps/web/more.yaml",
        &config_map("more", &format!("{malice:?}").replace('\'', "")),
    );
    let next = world.push("next", Some("good"), "prod");
    world.git.set_malice(malice);
    let before = world.writes();
    let content = world.content(&next);
    let ack = world.assign(&content).await;
    assert_eq!(ack.verdict(), v1::Verdict::Accepted, "{ack:?}");
    let report = world
        .report(
            "web",
            &format!("refused for one of {reasons:?}"),
            |report| {
                report.sync() == v1::Sync::Refused && reasons.contains(&report.reason.as_str())
            },
        )
        .await;
    world.told(&report.reason).await;
    assert_eq!(world.writes(), before);
    world.intact().await;
    world.still_corrected().await;
    world.git.set_malice(Malice::None);
    world.runs(&next).await;
}

const UNAVAILABLE: &[&str] = &["RepositoryUnavailable"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g03_a_provider_that_is_down_or_wants_less_is_not_pressed() {
    let mut world = signing_world!();
    lie(&mut world, Malice::Status(503, None), UNAVAILABLE).await;
    let before = world.git.asked().len();
    lie(&mut world, Malice::Status(429, Some(60)), UNAVAILABLE).await;
    let asked = world.git.asked().len() - before;
    assert!(asked < 40, "{asked} requests");
    world.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p06_a_provider_that_lets_nobody_in_takes_nothing_away() {
    let reasons = &["AuthenticationFailed", "RepositoryNotFound"];
    for status in [401, 403, 404] {
        let mut world = signing_world!();
        std::fs::remove_file(world.repository.work.join("apps/web/extra-0.yaml")).unwrap();
        lie(&mut world, Malice::Status(status, None), reasons).await;
        world.stop_agent().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g05_a_redirect_is_not_followed_and_takes_no_credentials_along() {
    let mut world = signing_world!();
    let directory = tempfile::tempdir().unwrap();
    let thief = GitServer::start(directory.path(), "127.0.0.1:0")
        .await
        .unwrap();
    let base = format!("http://{}", thief.address);
    lie(&mut world, Malice::Redirect(base), UNAVAILABLE).await;
    assert_eq!(thief.asked(), []);
    world.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_broken_and_hostile_packs() {
    let mut world = signing_world!();
    let broken = &[
        "RepositoryUnavailable",
        "CorruptRepository",
        "LimitExceeded",
        "CommitNotFound",
    ];
    lie(&mut world, Malice::Cut, broken).await;
    lie(&mut world, Malice::Pack(flipped), broken).await;
    // One flipped bit in the checksum.
    let checksum = |mut pack: Vec<u8>| {
        *pack.last_mut().unwrap() ^= 1;
        pack
    };
    lie(&mut world, Malice::Pack(checksum), broken).await;
    // The header announces four thousand million objects, and none follow.
    lie(&mut world, Malice::Pack(|_| pack(u32::MAX, b"")), broken).await;
    lie(&mut world, Malice::Pack(|_| large(3)), broken).await;
    lie(&mut world, Malice::Pack(|_| bomb(3)), broken).await;
    lie(&mut world, Malice::Pack(|_| nowhere()), broken).await;
    world.stop_agent().await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    // The peak of this process: test, API server, hub and agent.
    assert!(kilobytes < 700_000, "{kilobytes} kB at the peak");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g13_only_the_branch_itself_is_read() {
    let mut world = signing_world!();
    let work = world.repository.work.clone();
    // A tag with the name of the branch, a branch with the name of a commit, and another HEAD: all point to "evil".
    git(&work, &["checkout", "-q", "-b", "evil"]).unwrap();
    world.write("apps/web/config.yaml", &config_map("config", "evil"));
    let evil = world.push("evil", Some("good"), "evil");
    git(&work, &["tag", "prod"]).unwrap();
    for reference in [
        "refs/tags/prod",
        "refs/pull/1/head",
        &format!("refs/heads/{}", world.good),
    ] {
        git(
            &work,
            &["push", "-q", "origin", &format!("{evil}:{reference}")],
        )
        .unwrap();
    }
    git(
        &world.repository.bare,
        &["symbolic-ref", "HEAD", "refs/heads/evil"],
    )
    .unwrap();
    git(&work, &["checkout", "-q", "dev"]).unwrap();
    let content = world.content(&evil);
    world.held(&content, "CommitNotFound").await;
    world.honest(&world.good.clone()).await;
    world.runs(&world.good).await;
    world.intact().await;
    world.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g16_a_tip_that_goes_back_is_not_followed() {
    let mut world = signing_world!();
    let old = world.good.clone();
    let new = world.push("new", Some("good"), "prod");
    world.honest(&new).await;
    world.runs(&new).await;
    // The provider moves the branch back, and shows the hub the same tip as the agent.
    git(
        &world.repository.bare,
        &["update-ref", "refs/heads/prod", &old],
    )
    .unwrap();
    let content = world.content(&old);
    world.held(&content, "NotADescendant").await;
    // What runs may continue, and the other tip is reported.
    world.honest(&new).await;
    world.told("BranchAhead").await;
    world.runs(&new).await;
    world.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g06_trees_with_hostile_names_are_refused() {
    let mut world = signing_world!();
    let work = world.repository.work.clone();
    let blob = git(&work, &["hash-object", "-w", "apps/web/config.yaml"]).unwrap();
    for name in ["..", ".", ".git", "a/b", ".GIT", "a\\b", "CON\u{1}"] {
        // `git mktree` refuses most of these names.
        let mut tree = format!("100644 {name}\0").into_bytes();
        let id: Vec<u8> = (0..40)
            .step_by(2)
            .map(|at| u8::from_str_radix(&blob[at..at + 2], 16).unwrap())
            .collect();
        tree.extend(id);
        std::fs::write(world.path("tree"), tree).unwrap();
        let path = world.path("tree").display().to_string();
        let hash = ["hash-object", "-t", "tree", "-w", "--literally", &path];
        let mut id = git(&work, &hash).unwrap();
        for directory in ["web", "apps"] {
            std::fs::write(
                world.path("entries"),
                format!("040000 tree {id}\t{directory}\n"),
            )
            .unwrap();
            let entries = std::fs::File::open(world.path("entries")).unwrap();
            let made = std::process::Command::new("git")
                .current_dir(&work)
                .arg("mktree")
                .stdin(entries)
                .output()
                .unwrap();
            id = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        }
        let key = format!("user.signingkey={}", world.path("good").display());
        let tree = [
            "-c",
            "gpg.format=ssh",
            "-c",
            &key,
            "commit-tree",
            "-S",
            "-p",
            &world.good,
            "-m",
            "hostile",
            &id,
        ];
        let commit = git(&work, &tree).unwrap();
        git(
            &work,
            &[
                "push",
                "-q",
                "-f",
                "origin",
                &format!("{commit}:refs/heads/prod"),
            ],
        )
        .unwrap();
        let before = world.writes();
        let content = world.content(&commit);
        world.assign(&content).await;
        let report = world
            .report("web", &format!("{name:?} is refused"), |report| {
                report.sync() == v1::Sync::Refused
            })
            .await;
        world.told(&report.reason).await;
        assert_eq!(world.writes(), before, "{name:?}");
        world.honest(&world.good.clone()).await;
        world.runs(&world.good).await;
    }
    world.stop_agent().await;
}

fn remote(
    directory: &std::path::Path,
    url: &str,
    credentials: Option<Credentials>,
    roots: Option<String>,
) -> Remote {
    let limits = Limits {
        timeout: Duration::from_secs(2),
        ..Limits::default()
    };
    let access = Access {
        credentials,
        roots,
        ssh: None,
    };
    Remote::open(directory, url.parse().unwrap(), limits, access).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g03_a_drip_ends_in_time() {
    flotilla_shared::tls::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::create(directory.path(), "fleet").unwrap();
    repository.write("a.yaml", "a: 1\n").unwrap();
    let commit = repository.push("first", &["prod"]).unwrap();
    let server = GitServer::start(&directory.path().join("served"), "127.0.0.1:0")
        .await
        .unwrap();
    server.set_malice(Malice::Drip);
    let (cache, url) = (directory.path().join("cache"), server.url("fleet.git"));
    let started = std::time::Instant::now();
    let failed = tokio::task::spawn_blocking(move || {
        let remote = remote(&cache, &url, None, None);
        remote
            .fetch(&"prod".parse().unwrap(), &commit.parse().unwrap())
            .is_err()
    });
    assert!(failed.await.unwrap());
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g04_credentials_are_sent_to_their_host_read_anew_and_never_told() {
    flotilla_shared::tls::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::create(directory.path(), "fleet").unwrap();
    repository.allow_filter().unwrap();
    let commit = repository.push("first", &["prod"]).unwrap();
    let server = GitServer::start(&directory.path().join("served"), "127.0.0.1:0")
        .await
        .unwrap();
    // base64 of `git:canary-token`.
    server.set_malice(Malice::Guard("Basic Z2l0OmNhbmFyeS10b2tlbg==".to_owned()));
    let (base, root) = with_tls(&server, &["localhost"]).await;
    let (cache, url) = (directory.path().join("cache"), format!("{base}/fleet.git"));
    let plain = server.url("fleet.git");
    let ask = move |password: Option<&str>| {
        let credentials = password.map(|password| Credentials {
            username: "git".to_owned(),
            password: password.to_owned(),
        });
        let remote = remote(&cache, &url, credentials, Some(root.clone()));
        let tips = remote.tips(&["prod".parse().unwrap()]);
        let limits = flotilla_git::TreeLimits::default();
        let directories = remote.directories(&commit.parse().unwrap(), &limits);
        [
            tips.map(|tips| tips.len()),
            directories.map(|all| all.len()),
        ]
    };
    let verdicts = tokio::task::spawn_blocking(move || {
        let wrong = ask(Some("canary-wrong"));
        let none = ask(None);
        (wrong, none, ask(Some("canary-token")))
    });
    let (wrong, none, right) = verdicts.await.unwrap();
    for error in wrong.into_iter().chain(none).map(Result::unwrap_err) {
        assert_eq!(error.reason().as_str(), "AuthenticationFailed", "{error}");
        let told = format!("{error} {error:?}");
        assert!(
            !told.contains("canary") && !told.contains("Y2FuYXJ5"),
            "{told}"
        );
    }
    assert_eq!(right.map(Result::unwrap), [1, 1]);
    // Over plain HTTP the credentials are not sent at all.
    let before = server.asked().len();
    let cache = directory.path().join("plain");
    let clear = tokio::task::spawn_blocking(move || {
        let credentials = Credentials {
            username: "git".to_owned(),
            password: "canary-token".to_owned(),
        };
        remote(&cache, &plain, Some(credentials), None).tips(&["prod".parse().unwrap()])
    });
    assert!(clear.await.unwrap().is_err());
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .skip(before)
            .all(|request| request.authorization.is_none())
    );
}

/// TLS in front of a server: a certificate for `names` by its own root. Returns the base URL and the root.
async fn with_tls(server: &GitServer, names: &[&str]) -> (String, String) {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let issuer = rcgen::Issuer::new(root, root_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let leaf = rcgen::CertificateParams::new(names).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let base = front(server, &leaf, &key).await;
    (base, root_certificate.pem())
}

/// TLS in front of a server with a certificate; returns the base URL.
async fn front(
    server: &GitServer,
    certificate: &rcgen::Certificate,
    key: &rcgen::KeyPair,
) -> String {
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = server.address;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut plain = tokio::net::TcpStream::connect(behind).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
                }
            });
        }
    });
    format!("https://localhost:{port}")
}

/// Like `openssl req -x509`: a CA certificate that a server uses itself, with two dates.
fn serving_itself(name: &str, years: (i32, i32)) -> (rcgen::Certificate, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut own = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    own.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    own.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    (own.self_signed(&key).unwrap(), key)
}

/// A repository with a commit, and a server for it.
async fn served() -> (tempfile::TempDir, Repository, GitServer) {
    flotilla_shared::tls::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::create(directory.path(), "fleet").unwrap();
    repository.push("first", &["prod"]).unwrap();
    let path = directory.path().join("served");
    let server = GitServer::start(&path, "127.0.0.1:0").await.unwrap();
    (directory, repository, server)
}

/// Like git: accepted if that very certificate is configured, and only for its own name and dates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g05_a_certificate_that_serves_itself_is_taken_where_it_is_given() {
    let (directory, _repository, server) = served().await;
    let cache = directory.path().join("cache");
    let ask = |base: &str, roots: Option<String>| {
        let (cache, url) = (cache.clone(), format!("{base}/fleet.git"));
        tokio::task::spawn_blocking(move || {
            remote(&cache, &url, None, roots).tips(&["prod".parse().unwrap()])
        })
    };
    let (own, key) = serving_itself("localhost", (2000, 2200));
    let (other, _) = serving_itself("localhost", (2000, 2200));
    let base = front(&server, &own, &key).await;
    for roots in [None, Some(other.pem())] {
        let error = ask(&base, roots).await.unwrap().unwrap_err().to_string();
        assert!(error.contains("ca.crt"), "it names the way: {error}");
    }
    for (name, years, expected) in [
        ("git.example.com", (2000, 2200), "another host name"),
        ("localhost", (2000, 2001), "expired"),
        ("localhost", (2190, 2200), "not valid yet"),
    ] {
        let (wrong, key) = serving_itself(name, years);
        let base = front(&server, &wrong, &key).await;
        let error = ask(&base, Some(wrong.pem())).await.unwrap().unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    assert_eq!(
        server.asked().len(),
        0,
        "nothing was said before TLS was right"
    );
    // The right certificate among others, as in a bundle.
    let bundle = other.pem() + &own.pem();
    assert_eq!(ask(&base, Some(bundle)).await.unwrap().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g05_other_roots_and_other_names_get_no_credentials() {
    let (directory, _repository, server) = served().await;
    let (good, root) = with_tls(&server, &["localhost"]).await;
    let (misnamed, other_root) = with_tls(&server, &["git.example.com"]).await;
    let cache = directory.path().join("cache");
    let asked = || server.asked().len();
    let ask = |base: &str, roots: Option<&String>| {
        let (cache, url, roots) = (cache.clone(), format!("{base}/fleet.git"), roots.cloned());
        tokio::task::spawn_blocking(move || {
            let credentials = Credentials {
                username: "git".to_owned(),
                password: "secret".to_owned(),
            };
            let remote = remote(&cache, &url, Some(credentials), roots);
            remote.tips(&["prod".parse().unwrap()])
        })
    };
    // No configured root, the root of another server, and a certificate for another name.
    for (base, roots) in [
        (&good, None),
        (&good, Some(&other_root)),
        (&misnamed, Some(&other_root)),
    ] {
        let verdict = ask(base, roots).await.unwrap();
        assert_eq!(
            verdict.unwrap_err().reason().as_str(),
            "RepositoryUnavailable"
        );
    }
    assert_eq!(asked(), 0, "nothing was said before TLS was right");
    assert_eq!(ask(&good, Some(&root)).await.unwrap().unwrap().len(), 1);
    assert!(asked() > 0);
}
