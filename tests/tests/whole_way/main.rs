//! From branch to cluster and back: hub and agent in process, over real mTLS, real Git over smart HTTP, against a real
//! kube-apiserver if the envtest variables name one, otherwise (and if fault injection is needed) against the embedded
//! one. Deletes are judged by the API server's audit log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "../shared/agent.rs"]
mod agent;

mod away;
mod charts;
mod commits;
mod drift;
mod gate_jobs;
mod plan;
mod pulls;
mod taking;

use std::path::PathBuf;
use std::time::Duration;

use flotilla_agent::args::Run;
use flotilla_apiserver::{ApiServer, Fault, FaultKind, ServerHandle};
use flotilla_proto::v1;
use flotilla_shared::tls;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::git_server::GitServer;
use flotilla_tests::proxy::{Proxy, Trap};
use flotilla_tests::repository::Repository;
use flotilla_tests::test_hub::TestHub;
use flotilla_tests::{eventually, write_private};

const LIMIT: Duration = Duration::from_secs(30);

struct World {
    directory: tempfile::TempDir,
    repository: Repository,
    git: GitServer,
    hub: TestHub,
    operator: Operator,
    cluster: TestCluster,
    /// Also serves plain HTTP, for tests that make the API server unavailable.
    serving: Option<ServerHandle>,
    agent: Option<flotilla_agent::app::Running>,
}

fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: '{value}'\n"
    )
}

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'example.com/web:1'}
";

impl World {
    async fn new(applications: &str) -> Self {
        // A real API server takes a few hundred megabytes, so only one runs at a time.
        static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one = ONE.lock().await;
        let cluster = TestCluster::start(flotilla_apiserver::Config::default()).await;
        Self::with(applications, cluster.unwrap()).await
    }

    /// With fault injection.
    async fn embedded(applications: &str) -> Self {
        let cluster = TestCluster::embedded(flotilla_apiserver::Config::default()).await;
        Self::with(applications, cluster.unwrap()).await
    }

    fn server(&self) -> &ApiServer {
        self.cluster.server().unwrap()
    }

    async fn with(applications: &str, mut cluster: TestCluster) -> Self {
        tls::install_provider();
        cluster.play_controllers();
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::create(directory.path(), "fleet").unwrap();
        repository
            .write("apps/web/config.yaml", &config_map("config", "one"))
            .unwrap();
        repository
            .write(
                "apps/web/namespace.yaml",
                "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n",
            )
            .unwrap();
        repository
            .write("apps/web/deployment.yaml", DEPLOYMENT)
            .unwrap();
        repository
            .write("apps/other/config.yaml", &config_map("other", "one"))
            .unwrap();
        repository.push("first", &["dev"]).unwrap();
        let git = GitServer::start(&directory.path().join("served"), "127.0.0.1:0")
            .await
            .unwrap();
        let fleet = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{}'}}\n\
             environments:\n- {{name: dev, branch: dev}}\napplications:\n{applications}",
            git.url("fleet.git")
        );
        let hub = TestHub::builder()
            .at(directory.path())
            .fleet(&fleet)
            .poll(Duration::from_millis(200))
            .start()
            .await
            .unwrap();
        let operator = hub.operator("admin").await.unwrap();
        std::fs::copy(cluster.kubeconfig(), directory.path().join("kubeconfig")).unwrap();
        cluster.create_namespace("flotilla-system").await.unwrap();
        let mut world = Self {
            directory,
            repository,
            git,
            hub,
            operator,
            cluster,
            serving: None,
            agent: None,
        };
        world.start_agent().await;
        world
    }

    async fn start_hub_again(&mut self) {
        self.hub.start().await.unwrap();
        self.operator = self.hub.operator("admin").await.unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn start_agent(&mut self) {
        let address = self.hub.address.to_string();
        self.start_agent_by(&address).await;
    }

    /// With another address of the hub, such as that of a proxy.
    async fn start_agent_by(&mut self, address: &str) {
        let root = self.directory.path();
        let token_file = agent::token(root, "c1");
        if !token_file.exists() {
            let token = self.operator.token("c1", "dev").await.unwrap();
            write_private(&token_file, &token).unwrap();
            std::fs::write(root.join("ca.crt"), &self.operator.trust_bundle).unwrap();
        }
        let run = Run {
            api: agent::api(Some(root.join("kubeconfig"))),
            policy: Some(root.join("policy.yaml")).filter(|file| file.exists()),
            ..agent::run(root, "c1", address)
        };
        self.agent = Some(flotilla_agent::app::start(run).await.unwrap());
    }

    async fn stop_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.shutdown().await;
        }
    }

    /// Waits until an application's report is as expected.
    async fn report(
        &self,
        name: &str,
        what: &str,
        is_expected: impl Fn(&v1::ApplicationReport) -> bool,
    ) -> v1::ApplicationReport {
        let report = |cluster: &v1::ClusterStatus| application(cluster, name).cloned();
        self.of_cluster(what, |cluster| report(cluster).filter(&is_expected))
            .await
    }

    /// Waits until the cluster contains what is expected.
    async fn of_cluster<T>(&self, what: &str, look: impl Fn(&v1::ClusterStatus) -> Option<T>) -> T {
        let last = std::cell::RefCell::new(None);
        let found = eventually(what, LIMIT, || {
            let mut operator = self.operator.clone();
            let (look, last) = (&look, &last);
            async move {
                let cluster = operator.cluster("c1").await?;
                let found = look(&cluster);
                *last.borrow_mut() = Some(cluster);
                found
            }
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}: {:#?}", last.borrow()))
    }

    async fn current(&self, name: &str, commit: &str) -> v1::ApplicationReport {
        self.report(name, &format!("{name} current at {commit}"), |report| {
            report
                .revision
                .as_ref()
                .is_some_and(|revision| revision.commit == commit)
                && report.sync() == v1::Sync::Synced
                && report.health() == v1::Health::Current
        })
        .await
    }

    async fn refused(&self, name: &str, reason: &str) -> v1::ApplicationReport {
        self.report(name, &format!("{name} refused for {reason}"), |report| {
            report.reason == reason
        })
        .await
    }

    fn head(&self) -> String {
        flotilla_tests::repository::git(&self.repository.work, &["rev-parse", "HEAD"]).unwrap()
    }

    /// Deletes that the API server received, except for those of Flotilla's own records.
    fn deletes(&self) -> Vec<String> {
        self.cluster
            .audit()
            .unwrap()
            .into_iter()
            .filter(|event| event.verb == "delete" && event.namespace != "flotilla-system")
            .map(|event| format!("{}/{}", event.resource, event.name))
            .collect()
    }

    /// Writes, except for those of Flotilla's own records.
    fn writes(&self) -> Vec<flotilla_apiserver::AuditEvent> {
        let audit = self.cluster.audit().unwrap().into_iter();
        audit
            // Controllers write status.
            .filter(|event| event.namespace != "flotilla-system" && event.subresource.is_empty())
            .collect()
    }

    /// Waits for so many more passes of an application. Returns how many there were.
    async fn more_passes(&self, name: &str, more: usize) -> usize {
        let metrics = self.agent.as_ref().unwrap().metrics.clone();
        let passes = || {
            let text = metrics.encode();
            let prefix = format!("flotilla_agent_reconcile_total{{application=\"{name}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
            line.map_or(0, |number| number.parse::<usize>().unwrap())
        };
        let before = passes();
        eventually("more passes", LIMIT, || async {
            let now = passes();
            (now >= before + more).then_some(now - before)
        })
        .await
        .unwrap()
    }

    /// Writes a file of the repository, in its working tree.
    fn write(&self, path: &str, content: &str) {
        self.repository.write(path, content).unwrap();
    }

    /// Writes a file and pushes it; returns the commit.
    fn commit(&self, path: &str, content: &str, message: &str) -> String {
        self.write(path, content);
        self.repository.push(message, &["dev"]).unwrap()
    }

    /// Deletes an object as another client; returns the status of the answer.
    async fn delete(&self, path: &str) -> u16 {
        let nothing = serde_json::Value::Null;
        send(&self.cluster, "DELETE", path, "application/json", nothing).await
    }

    async fn live(&self, path: &str) -> Option<serde_json::Value> {
        self.cluster.live(path).await
    }
}

async fn send(
    cluster: &TestCluster,
    method: &str,
    path: &str,
    kind: &str,
    body: serde_json::Value,
) -> u16 {
    let (code, _) = cluster
        .request(method, path, kind, Some(&body))
        .await
        .unwrap();
    code
}

const WEB: &str = "- {name: web, repository: fleet, path: apps/web, namespace: web}\n";

const BOTH: &str = "- {name: web, repository: fleet, path: apps/web, namespace: web}\n\
                    - {name: other, repository: fleet, path: apps/other}\n";
