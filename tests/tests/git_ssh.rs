//! Git over SSH against a real OpenSSH server: authentication of client and host, and the agent's messages.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_agent::policy::{Policy, Refusal};
use flotilla_agent::source::{Admission, ChartContext, DesiredApplication, Source};
use flotilla_git::{Access, Error, Limits, Remote, SshKey};
use flotilla_proto::v1;
use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Revision;
use flotilla_tests::eventually;
use flotilla_tests::fleet::application;
use flotilla_tests::installation::Installation;
use flotilla_tests::repository::Repository;
use flotilla_tests::ssh_server::{SshServer, make_key};

struct World {
    directory: tempfile::TempDir,
    repository: Repository,
    server: SshServer,
    source: Source,
}

impl World {
    /// None if sshd is not installed.
    async fn new() -> Option<Self> {
        if !SshServer::is_here() {
            flotilla_needs::skip("sshd");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let repository = Repository::create(root, "fleet").unwrap();
        let server = SshServer::start(&root.join("sshd")).await.unwrap();
        std::fs::create_dir(root.join("credentials")).unwrap();
        for key in ["ours", "other"] {
            make_key(&root.join(key)).await.unwrap();
        }
        server.authorize(&root.join("ours")).unwrap();
        let trust = Admission::open(&root.join("data"), Arc::new(Policy::default()), None).unwrap();
        let credentials = Some(root.join("credentials"));
        let source = Source::new(
            root.join("git"),
            Limits::default(),
            credentials,
            Arc::new(trust),
        );
        Some(Self {
            directory,
            repository,
            server,
            source,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Mounts a file for the server, in place of the former one.
    fn mount(&self, name: &str, content: &[u8]) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(&format!("credentials/{}.{name}", self.server.host()));
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    }

    fn mount_key(&self, key: &str) {
        self.mount("ssh-privatekey", &std::fs::read(self.path(key)).unwrap());
    }

    fn mount_host_key(&self) {
        self.mount("known_hosts", self.server.known_hosts().unwrap().as_bytes());
    }

    /// Pushes a new commit, so that no cached answer hides the server's, and renders it.
    async fn render(&self, name: &str) -> Result<String, Refusal> {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        self.repository.write("app/a.yaml", &text).unwrap();
        let commit = self.repository.push(name, &["prod"]).unwrap();
        let url = self.server.url(&self.path("served/fleet.git"));
        let revision = Revision {
            repository: "fleet".parse().unwrap(),
            branch: "prod".parse().unwrap(),
            commit: commit.parse().unwrap(),
        };
        let desired = DesiredApplication {
            name: "app".parse().unwrap(),
            cluster: "c1".parse().unwrap(),
            application: ApplicationAssignment::new(
                revision,
                url.parse().unwrap(),
                "app".parse().unwrap(),
            ),
            approvals: Vec::new(),
            facts: None,
        };
        let rendered = self
            .source
            .render(&desired, ChartContext::default())
            .await?;
        Ok(format!("{:?}", rendered.manifests))
    }

    async fn refused(&self, name: &str, reason: Reason, says: &str) {
        let refusal = self.render(name).await.unwrap_err();
        assert_eq!(refusal.reason, reason, "{name}: {}", refusal.message);
        assert!(
            refusal.message.contains(says),
            "{name}: {}",
            refusal.message
        );
        assert!(
            !refusal.message.contains("PRIVATE KEY"),
            "{name}: {}",
            refusal.message
        );
    }

    async fn renders(&self, name: &str) {
        let rendered = self.render(name).await;
        let rendered = rendered.unwrap_or_else(|refusal| panic!("{name}: {}", refusal.message));
        assert!(rendered.contains(name), "{rendered}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g04_an_ssh_key_is_that_of_the_moment() {
    let Some(world) = World::new().await else {
        return;
    };
    // Without a key or a pinned host key, ssh is not started.
    world
        .refused("none", Reason::AuthenticationFailed, "ssh-privatekey")
        .await;
    world.mount_key("ours");
    world
        .refused("unpinned", Reason::AuthenticationFailed, "known_hosts")
        .await;
    world.mount_host_key();
    world.renders("first").await;
    // From now on the server accepts another key, and refuses the current one until the Secret has the new one.
    world.server.authorize(&world.path("other")).unwrap();
    world
        .refused("rotated", Reason::AuthenticationFailed, "Permission denied")
        .await;
    world.mount_key("other");
    world.renders("second").await;
    world.mount("ssh-privatekey", b"no key at all\n");
    world
        .refused("broken", Reason::AuthenticationFailed, "ssh-privatekey")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g05_another_host_key_is_refused_by_name() {
    let Some(mut world) = World::new().await else {
        return;
    };
    world.mount_key("ours");
    world.mount("known_hosts", b"");
    world
        .refused("unknown", Reason::HostKeyRefused, "known_hosts")
        .await;
    world.mount_host_key();
    world.renders("first").await;
    world.server.change_host_key().await.unwrap();
    world
        .refused("changed", Reason::HostKeyRefused, "known_hosts")
        .await;
    // The owner confirms the new host key.
    world.mount_host_key();
    world.renders("second").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g03_an_ssh_server_that_is_silent_ends_in_time() {
    if !Path::new("/usr/bin/ssh").exists() {
        flotilla_needs::skip("ssh");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ssh://git@{}/fleet.git", silent.local_addr().unwrap());
    let root = directory.path().to_owned();
    make_key(&root.join("key")).await.unwrap();
    std::fs::write(root.join("known_hosts"), "").unwrap();
    let began = std::time::Instant::now();
    let look = tokio::task::spawn_blocking(move || {
        let access = Access {
            ssh: Some(SshKey {
                key: root.join("key"),
                known_hosts: root.join("known_hosts"),
            }),
            ..Access::default()
        };
        let limits = Limits {
            timeout: Duration::from_secs(1),
            ..Limits::default()
        };
        let remote = Remote::open(&root.join("cache"), url.parse().unwrap(), limits, access);
        remote
            .unwrap()
            .tips(&["prod".parse().unwrap()])
            .unwrap_err()
    });
    let error = look.await.unwrap();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_told_from_what_is_not_allowed() {
    let Some(world) = World::new().await else {
        return;
    };
    world.mount_key("ours");
    world.mount_host_key();
    let url = world.server.url(&world.path("served/none.git"));
    let access = Access::read(Some(&world.path("credentials")), &url.parse().unwrap()).unwrap();
    let cache = world.path("cache");
    let look = tokio::task::spawn_blocking(move || {
        let remote = Remote::open(&cache, url.parse().unwrap(), Limits::default(), access);
        remote
            .unwrap()
            .tips(&["prod".parse().unwrap()])
            .unwrap_err()
    });
    let error = look.await.unwrap();
    assert!(matches!(error, Error::RepositoryNotFound { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_and_an_agent_read_one_repository_over_ssh() {
    if !SshServer::is_here() {
        flotilla_needs::skip("sshd");
        return;
    }
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n";
    let installation = Installation::new(&[("app/a.yaml", manifest)])
        .await
        .unwrap();
    let root = installation.root().to_owned();
    let server = SshServer::start(&root.join("sshd")).await.unwrap();
    make_key(&root.join("key")).await.unwrap();
    server.authorize(&root.join("key")).unwrap();
    let mounted = root.join("credentials");
    std::fs::create_dir(&mounted).unwrap();
    // `ssh-keygen` makes keys that only the owner can read; the mounted copy keeps that mode.
    let key = mounted.join(format!("{}.ssh-privatekey", server.host()));
    std::fs::copy(root.join("key"), key).unwrap();
    let known_hosts = mounted.join(format!("{}.known_hosts", server.host()));
    std::fs::write(known_hosts, server.known_hosts().unwrap()).unwrap();
    let fleet = std::fs::read_to_string(root.join("fleet.yaml")).unwrap();
    let (http, ssh) = (
        installation.git.url("fleet.git"),
        server.url(&root.join("served/fleet.git")),
    );
    assert!(fleet.contains(&http));
    std::fs::write(root.join("fleet.yaml"), fleet.replace(&http, &ssh)).unwrap();

    let _hub = installation
        .hub_with(&["--git-credentials", "credentials"])
        .unwrap();
    let mut operator = installation.operator().await.unwrap();
    installation.invite(&mut operator).await.unwrap();
    let more = ["--git-credentials", "credentials", "--share-identity"];
    let _agent = installation.agent("agent", &more).unwrap();
    eventually("it is applied", Duration::from_secs(60), || {
        let mut operator = operator.clone();
        async move {
            let cluster = operator.cluster("c1").await?;
            let report = application(&cluster, "app")?;
            (report.sync() == v1::Sync::Synced).then_some(())
        }
    })
    .await
    .unwrap_or_else(|error| {
        let log = std::fs::read_to_string(root.join("flotilla-agent.log")).unwrap();
        panic!("{error}: {log}")
    });
}
