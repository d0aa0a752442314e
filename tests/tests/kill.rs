//! Real processes, killed without warning while commits keep coming.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flotilla_apiserver::{ApiServer, Config};
use flotilla_proto::v1;
use flotilla_shared::tls;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::git_server::GitServer;
use flotilla_tests::repository::Repository;
use flotilla_tests::{eventually, programs};
use rand::{Rng as _, SeedableRng as _};
use tokio::process::{Child, Command};

struct Programs {
    binaries: PathBuf,
    directory: PathBuf,
    address: String,
}

impl Programs {
    fn spawn(&self, program: &str, arguments: &[&str]) -> Child {
        Command::new(self.binaries.join(program))
            .args(arguments)
            .current_dir(&self.directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    fn hub(&self) -> Child {
        let address = self.address.as_str();
        self.spawn(
            "flotilla-hub",
            &[
                "run",
                "--poll-interval",
                "0.2s",
                "--listen",
                address,
                "--data-dir",
                "hub",
                "--fleet",
                "fleet.yaml",
            ],
        )
    }

    fn agent(&self) -> Child {
        let address = self.address.as_str();
        self.spawn(
            "flotilla-agent",
            &[
                "run",
                "--hub",
                address,
                "--cluster",
                "c1",
                "--interval",
                "2",
                "--data-dir",
                "agent",
                "--kubeconfig",
                "kubeconfig",
                "--token-file",
                "token",
                "--trust-bundle",
                "ca.crt",
            ],
        )
    }

    async fn operator(&self) -> Operator {
        let context = self.directory.join("hub/operator/admin.yaml");
        eventually("the hub answers", Duration::from_secs(30), || async {
            Operator::connect(&context, &self.address).await.ok()
        })
        .await
        .unwrap()
    }
}

fn private(path: &Path, content: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

/// Twelve rounds of: push, wait a little at random, kill the agent or the hub, start it again. In the
/// end the last commit runs, and every delete in the API server's audit log is of an object that left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_h14_killed_at_any_moment_everything_converges_and_nothing_is_lost() {
    tls::install_provider();
    let seed: u64 = rand::rng().random();
    eprintln!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let repository = Repository::create(root, "fleet").unwrap();
    let object = |name: &str, value: u64| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: 'v{value}'}}\n"
        )
    };
    for number in 0..20 {
        repository
            .write(
                &format!("app/{number}.yaml"),
                &object(&format!("keep-{number}"), 0),
            )
            .unwrap();
    }
    repository.push("first", &["dev"]).unwrap();
    let git = GitServer::start(&root.join("served"), "127.0.0.1:0")
        .await
        .unwrap();
    std::fs::write(
        root.join("fleet.yaml"),
        format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories: [{{name: fleet, url: '{}'}}]\n\
             environments: [{{name: dev, branch: dev}}]\n\
             applications: [{{name: app, repository: fleet, path: app}}]\n",
            git.url("fleet.git")
        ),
    )
    .unwrap();
    let cluster = ApiServer::new(Config::default());
    let serving = cluster.serve("127.0.0.1:0").await.unwrap();
    std::fs::write(root.join("kubeconfig"), serving.kubeconfig()).unwrap();
    let namespace = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flotilla-system"},
    });
    let request = axum::http::Request::post("/api/v1/namespaces")
        .body(axum::body::Body::from(namespace.to_string()))
        .unwrap();
    assert!(cluster.handle(request).await.status().is_success());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let programs = Programs {
        binaries: programs::build().await.unwrap(),
        directory: root.to_owned(),
        address,
    };
    let init = programs
        .spawn("flotilla-hub", &["init", "--data-dir", "hub"])
        .wait()
        .await
        .unwrap();
    assert!(init.success());
    let mut hub = programs.hub();
    let mut operator = programs.operator().await;
    private(
        &root.join("token"),
        &operator.token("c1", "dev").await.unwrap(),
    );
    std::fs::write(root.join("ca.crt"), &operator.trust_bundle).unwrap();
    let mut agent = programs.agent();

    let mut commit = String::new();
    for round in 1..=12u64 {
        let number = rng.random_range(0..20u64);
        repository
            .write(
                &format!("app/{number}.yaml"),
                &object(&format!("keep-{number}"), round),
            )
            .unwrap();
        // One object comes in odd rounds and leaves in even ones.
        let passing = repository.work.join("app/passing.yaml");
        if round % 2 == 1 {
            repository
                .write("app/passing.yaml", &object("passing", round))
                .unwrap();
        } else {
            std::fs::remove_file(passing).unwrap();
        }
        commit = repository
            .push(&format!("round {round}"), &["dev"])
            .unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..900))).await;
        if rng.random_bool(0.5) {
            agent.kill().await.unwrap();
            agent = programs.agent();
        } else {
            hub.kill().await.unwrap();
            hub = programs.hub();
        }
    }
    let operator = programs.operator().await;
    let last = std::cell::RefCell::new(None);
    let converged = eventually("the last commit runs", Duration::from_secs(90), || {
        let (mut operator, commit, last) = (operator.clone(), commit.clone(), &last);
        async move {
            let status = operator.cluster("c1").await?;
            let report = application(&status, "app").cloned()?;
            *last.borrow_mut() = Some(status);
            let exact = report
                .revision
                .as_ref()
                .is_some_and(|revision| revision.commit == commit);
            (exact && report.sync() == v1::Sync::Synced && report.counts?.total == 20).then_some(())
        }
    })
    .await;
    converged.unwrap_or_else(|error| panic!("seed {seed}: {error}: {:#?}", last.borrow()));
    let deleted: Vec<String> = cluster
        .audit()
        .into_iter()
        .filter(|event| event.verb == "delete" && event.namespace != "flotilla-system")
        .map(|event| event.name)
        .collect();
    assert!(
        deleted.iter().all(|name| name == "passing"),
        "seed {seed}: {deleted:?}"
    );
    agent.kill().await.unwrap();
    hub.kill().await.unwrap();
}
