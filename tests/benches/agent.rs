//! Measures how fast the agent applies, and how little it does if nothing has changed: against the API server that the
//! envtest variables name, and compared with `kubectl apply --server-side` in the same run.
//!
//! `KUBEBUILDER_ASSETS=/path cargo bench -p flotilla-tests --bench agent`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints its figures"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_agent::cluster::{Cluster, DesiredState, Memory, Options, PassInput, PassOutcome};
use flotilla_agent::metrics::Metrics;
use flotilla_agent::plan::{Claims, Intent};
use flotilla_agent::policy::Policy;
use flotilla_render::{MemoryTree, render};
use flotilla_shared::assignment::SyncPolicy;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::SyncState;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::programs::printed;
use futures::{AsyncBufReadExt as _, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The same allocator as in the agent.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Agent {
    cluster: Cluster,
    metrics: Metrics,
    memory: Memory,
    desired_state: DesiredState,
    input: PassInput,
}

fn config_maps(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-{n}}}\n\
             data: {{key: 'value {n}', other: 'some more text that a usual object has'}}\n"
        );
        text
    })
}

fn mixed(count: usize) -> String {
    let mut text = String::new();
    for n in 0..count / 5 {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: app-{n}}}\n\
             ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app-{n}}}\ndata: {{key: 'value {n}'}}\n\
             ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: app-{n}}}\nstringData: {{token: 'secret {n}'}}\n\
             ---\napiVersion: v1\nkind: Service\nmetadata: {{name: app-{n}}}\nspec: {{selector: {{app: app-{n}}}, clusterIP: None, ports: [{{port: 80}}]}}\n\
             ---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: app-{n}}}\nspec:\n  replicas: 2\n  \
             selector: {{matchLabels: {{app: app-{n}}}}}\n  template:\n    metadata: {{labels: {{app: app-{n}}}}}\n    \
             spec:\n      serviceAccountName: app-{n}\n      containers:\n      - name: main\n        image: example.com/app:{n}\n        \
             ports: [{{containerPort: 8080}}]\n        env: [{{name: A, value: '{n}'}}]\n        resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}\n"
        );
    }
    text
}

impl Agent {
    fn new(client: kube::Client, namespace: &str, yaml: &str) -> Self {
        let metrics = Metrics::default();
        let options = Options {
            metrics: metrics.clone(),
            ..Options::default()
        };
        Self {
            cluster: Cluster::new(client, options),
            metrics,
            memory: Memory::default(),
            desired_state: DesiredState::default(),
            input: input(namespace, yaml),
        }
    }

    fn change(&mut self, namespace: &str, yaml: &str) {
        self.input = input(namespace, yaml);
        self.desired_state = DesiredState::default();
    }

    async fn pass(&mut self) -> (Duration, PassOutcome) {
        let started = Instant::now();
        if !self.desired_state.complete {
            self.desired_state = self.cluster.desired_state(&self.input).await.unwrap();
        }
        let name = self.input.application.as_str();
        self.input.claims = PassInput::fixed(Claims::of_one(name, &self.desired_state.desired));
        let cancel = CancellationToken::new();
        let outcome = self
            .cluster
            .reconcile(
                &self.input,
                &mut self.desired_state,
                &mut self.memory,
                &cancel,
            )
            .await;
        (started.elapsed(), outcome)
    }
}

fn input(namespace: &str, yaml: &str) -> PassInput {
    let mut tree = MemoryTree::new();
    // A single file of this size would exceed the limit for files.
    for (index, part) in yaml
        .split("---\n")
        .filter(|part| !part.is_empty())
        .enumerate()
    {
        let path = format!("app/{index}.yaml");
        tree.insert_file(&path, part.as_bytes().to_vec()).unwrap();
    }
    let rendered = render(&tree, "app", &flotilla_render::Options::default()).unwrap();
    PassInput {
        application: namespace.parse().unwrap(),
        manifests: Arc::new(rendered.manifests),
        content: Digest::of(yaml.as_bytes()),
        sync_policy: SyncPolicy::default(),
        policy: Arc::new(Policy::default()),
        namespace: namespace.to_owned(),
        claims: PassInput::fixed(Claims::default()),
        frozen: false,
        intent: Intent::Run,
        waits_for: None,
    }
}

async fn namespace(client: &kube::Client, name: &str) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let request = http::Request::post("/api/v1/namespaces")
        .header("content-type", "application/json")
        .body(body.to_string().into_bytes())
        .unwrap();
    let made: Result<Value, kube::Error> = client.request(request).await;
    made.unwrap();
}

/// Resident memory of this process in KiB: current and peak.
fn resident() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn kubectl() -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS")?;
    let path = Path::new(&assets).join("kubectl");
    path.exists().then_some(path)
}

async fn against_kubectl(server: &TestCluster, name: &str, yaml: &str) {
    let client = server.client();
    namespace(&client, name).await;
    let mut agent = Agent::new(client.clone(), name, yaml);
    let (took, outcome) = agent.pass().await;
    assert_eq!(
        outcome.sync,
        SyncState::Synced,
        "{:?} {}",
        outcome.reason,
        outcome.message
    );
    println!("{name}: {} objects applied in {took:?}", outcome.written);
    let (gets, writes) = (
        agent.metrics.requests(&Method::GET),
        agent.metrics.requests(&Method::PATCH),
    );
    // By then the watches have delivered the agent's own writes.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (idle, outcome) = agent.pass().await;
    assert_eq!(outcome.written, 0);
    println!(
        "{name}: a pass with nothing to do in {idle:?}, {} writes, {} GETs",
        agent.metrics.requests(&Method::PATCH) - writes,
        agent.metrics.requests(&Method::GET) - gets
    );
    let changed = one_changed(&client, &mut agent, name, yaml).await;
    if let Some(kubectl) = kubectl() {
        let beside = format!("{name}-kubectl");
        namespace(&client, &beside).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        // kubectl sends every object, even if only one has changed.
        for (what, ours) in [
            ("new", took),
            ("again, nothing changed", idle),
            ("again, as for one that changed", changed),
        ] {
            let started = Instant::now();
            let output = tokio::process::Command::new(&kubectl)
                .arg("--kubeconfig")
                .arg(server.kubeconfig())
                .args(["apply", "--server-side", "-n", &beside, "-f"])
                .arg(file.path())
                .output()
                .await
                .unwrap();
            let theirs = started.elapsed();
            printed(output).unwrap();
            println!(
                "{name}: kubectl apply --server-side ({what}) in {theirs:?}: {:.1} times as long",
                theirs.as_secs_f64() / ours.as_secs_f64()
            );
        }
    }
}

/// Changes one of many objects in Git: the time until the API server notifies a watch, and until the pass and its
/// inventory writes are done. Prints the medians of some rounds; returns that of the whole pass.
async fn one_changed(client: &kube::Client, agent: &mut Agent, name: &str, yaml: &str) -> Duration {
    let (mut applied, mut over) = (Vec::new(), Vec::new());
    for round in 0..9 {
        let path = format!(
            "/api/v1/namespaces/{name}/configmaps?watch=true&resourceVersion=0&sendInitialEvents=false\
             &resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        );
        let expected = format!("another {round}");
        let request = http::Request::get(&path).body(Vec::new()).unwrap();
        let mut lines = client.request_stream(request).await.unwrap().lines();
        let sought = expected.clone();
        let seen = tokio::spawn(async move {
            while let Some(line) = lines.next().await {
                if line.unwrap().contains(&sought) {
                    return Instant::now();
                }
            }
            panic!("the watch ended")
        });
        agent.change(name, &yaml.replacen("value 0'", &format!("{expected}'"), 1));
        let started = Instant::now();
        let (took, outcome) = agent.pass().await;
        assert_eq!(outcome.written, 1);
        applied.push(seen.await.unwrap().duration_since(started));
        over.push(took);
    }
    applied.sort();
    over.sort();
    println!(
        "{name}: one changed object is applied after {:?} (slowest {:?}), its pass over after {:?}",
        applied[applied.len() / 2],
        applied[applied.len() - 1],
        over[over.len() / 2]
    );
    over[over.len() / 2]
}

/// The time from an edit by another client to its correction, with a loop like the agent's.
async fn drift(server: &TestCluster) {
    let client = server.client();
    namespace(&client, "drift").await;
    let mut agent = Agent::new(client.clone(), "drift", &config_maps(1000));
    agent.pass().await;
    let mut changes = agent.cluster.changes(&mut agent.memory);
    let mut slowest = Duration::ZERO;
    for round in 0..9 {
        changes.mark_unchanged();
        let path =
            format!("/api/v1/namespaces/drift/configmaps/map-{round}?fieldManager=kubectl-edit");
        let request = http::Request::patch(&path)
            .header("content-type", "application/merge-patch+json")
            .body(br#"{"data":{"key":"edited"}}"#.to_vec())
            .unwrap();
        let started = Instant::now();
        let edited: Result<Value, kube::Error> = client.request(request).await;
        edited.unwrap();
        changes.changed().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (_, outcome) = agent.pass().await;
        assert_eq!(outcome.drifted, 1);
        slowest = slowest.max(started.elapsed());
    }
    println!("drift among 1,000 objects: corrected at most {slowest:?} after the edit");
}

/// Runs in its own process, because it measures memory.
async fn ten_thousand(kubeconfig: &Path) {
    let client = flotilla_tests::kubeconfig::client(kubeconfig)
        .await
        .unwrap();
    namespace(&client, "ten-thousand").await;
    let before = resident();
    let mut agent = Agent::new(client, "ten-thousand", &config_maps(10_000));
    // The agent's loop drops the manifests once the desired state is computed.
    agent.desired_state = agent.cluster.desired_state(&agent.input).await.unwrap();
    agent.input.manifests = Arc::default();
    let (took, outcome) = agent.pass().await;
    assert_eq!(outcome.written, 10_000);
    drop(outcome);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (idle, _) = agent.pass().await;
    let (now, peak) = resident();
    println!(
        "10,000 objects: applied in {took:?}, a pass with nothing to do in {idle:?}; resident {} MiB at \
         the start, {} MiB at peak, {} MiB idle",
        before.0 / 1024,
        peak / 1024,
        now / 1024
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    flotilla_shared::tls::install_provider();
    if let Some(kubeconfig) = std::env::var_os("FLOTILLA_BENCH_TEN_THOUSAND") {
        ten_thousand(Path::new(&kubeconfig)).await;
        return;
    }
    let server = match TestCluster::real().await.unwrap() {
        Some(server) => server,
        None => {
            println!("no kube-apiserver is named; these are figures of the embedded one");
            let config = flotilla_apiserver::Config::default();
            TestCluster::embedded(config).await.unwrap()
        }
    };
    let client = server.client();
    namespace(&client, "flotilla-system").await;
    against_kubectl(&server, "maps", &config_maps(1000)).await;
    against_kubectl(&server, "mixed", &mixed(1000)).await;
    drift(&server).await;
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .env("FLOTILLA_BENCH_TEN_THOUSAND", server.kubeconfig())
        .status()
        .await
        .unwrap();
    assert!(status.success());
}
