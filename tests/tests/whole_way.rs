//! From branch to cluster and back: hub and agent in process, over real mTLS, real Git over smart HTTP,
//! against a real kube-apiserver where the envtest variables name one, otherwise (and where faults are
//! wanted) against the embedded one. Deletes are judged by the API server's audit log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "shared/agent.rs"]
mod agent;

use std::path::PathBuf;
use std::time::Duration;

use flotilla_agent::args::Run;
use flotilla_apiserver::{ApiServer, Fault, FaultKind, Serving};
use flotilla_hub::app::{self as hub, Config};
use flotilla_proto::v1;
use flotilla_shared::tls;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::git_server::GitServer;
use flotilla_tests::in_process::start_hub;
use flotilla_tests::repository::Repository;
use flotilla_tests::{eventually, write_private};

const LIMIT: Duration = Duration::from_secs(30);

struct World {
    directory: tempfile::TempDir,
    repository: Repository,
    git: GitServer,
    hub: Option<hub::Running>,
    operator: Operator,
    cluster: TestCluster,
    /// Plain HTTP beside it, where a test takes the API server away.
    serving: Option<Serving>,
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
        // A real one takes a few hundred megabytes: one at a time.
        static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one = ONE.lock().await;
        let cluster = TestCluster::start(flotilla_apiserver::Config::default()).await;
        Self::with(applications, cluster.unwrap()).await
    }

    /// With faults on request.
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
        std::fs::write(directory.path().join("fleet.yaml"), fleet).unwrap();
        let config = Self::hub_config(directory.path(), "127.0.0.1:0");
        let (hub, operator) = start_hub(config).await.unwrap();
        std::fs::copy(cluster.kubeconfig(), directory.path().join("kubeconfig")).unwrap();
        cluster.create_namespace("flotilla-system").await.unwrap();
        let mut world = Self {
            directory,
            repository,
            git,
            hub: Some(hub),
            operator,
            cluster,
            serving: None,
            agent: None,
        };
        world.start_agent().await;
        world
    }

    fn hub_config(directory: &std::path::Path, listen: &str) -> Config {
        Config {
            data_dir: directory.join("hub"),
            fleet: directory.join("fleet.yaml"),
            listen: listen.to_owned(),
            poll_interval: Some(Duration::from_millis(200)),
            ..Config::default()
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn start_agent(&mut self) {
        let address = self
            .hub
            .as_ref()
            .map(|hub| hub.address.to_string())
            .unwrap_or_default();
        let root = self.directory.path();
        let token_file = agent::token(root, "c1");
        if !token_file.exists() {
            let token = self.operator.token("c1", "dev").await.unwrap();
            write_private(&token_file, &token).unwrap();
            std::fs::write(root.join("ca.crt"), &self.operator.trust_bundle).unwrap();
        }
        let run = Run {
            kubeconfig: Some(root.join("kubeconfig")),
            ..agent::run(root, "c1", &address)
        };
        self.agent = Some(flotilla_agent::app::start(run).await.unwrap());
    }

    async fn stop_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.shutdown().await;
        }
    }

    /// Waits until an application's report is as wanted.
    async fn report(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&v1::ApplicationReport) -> bool,
    ) -> v1::ApplicationReport {
        let last = std::cell::RefCell::new(None);
        let found = eventually(what, LIMIT, || {
            let mut operator = self.operator.clone();
            let (wanted, last) = (&wanted, &last);
            async move {
                let cluster = operator.cluster("c1").await?;
                let report = application(&cluster, name).cloned();
                *last.borrow_mut() = Some(cluster.clone());
                report.filter(wanted)
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

    /// Deletes that the API server was asked for, of anything but our own records.
    fn deletes(&self) -> Vec<String> {
        self.cluster
            .audit()
            .unwrap()
            .into_iter()
            .filter(|event| event.verb == "delete" && event.namespace != "flotilla-system")
            .map(|event| format!("{}/{}", event.resource, event.name))
            .collect()
    }

    /// Writes of anything but our own records.
    fn writes(&self) -> Vec<flotilla_apiserver::AuditEvent> {
        let audit = self.cluster.audit().unwrap().into_iter();
        audit
            // Status is what controllers write.
            .filter(|event| event.namespace != "flotilla-system" && event.subresource.is_empty())
            .collect()
    }

    /// Waits for so many more turns of an application. Returns how many there were.
    async fn more_turns(&self, name: &str, more: usize) -> usize {
        let metrics = self.agent.as_ref().unwrap().metrics.clone();
        let turns = || {
            let text = metrics.encode();
            let prefix = format!("flotilla_agent_reconcile_total{{application=\"{name}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
            line.map_or(0, |number| number.parse::<usize>().unwrap())
        };
        let before = turns();
        eventually("more turns", LIMIT, || async {
            let now = turns();
            (now >= before + more).then_some(now - before)
        })
        .await
        .unwrap()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_commit_is_applied_pruned_and_seen() {
    let world = World::new(WEB).await;
    let report = world.current("web", &world.head()).await;
    assert_eq!(report.counts.unwrap().total, 3);
    let config = world
        .live("/api/v1/namespaces/web/configmaps/config")
        .await
        .unwrap();
    assert_eq!(config.pointer("/data/value").unwrap(), "one");

    world
        .repository
        .write("apps/web/config.yaml", &config_map("renamed", "two"))
        .unwrap();
    let pushed = std::time::Instant::now();
    let commit = world.repository.push("second", &["dev"]).unwrap();
    world.current("web", &commit).await;
    eprintln!("push to applied and reported: {:?}", pushed.elapsed());
    assert_eq!(world.deletes(), ["configmaps/config"]);
    assert!(
        world
            .live("/api/v1/namespaces/web/configmaps/renamed")
            .await
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_turn_writes_nothing() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let writes = world.writes().len();
    let count = |verb: &str| {
        let requests = world.cluster.server().map(ApiServer::requests);
        requests.and_then(|all| all.get(verb).copied()).unwrap_or(0)
    };
    let (gets, lists) = (count("get"), count("list"));
    let turns = world.more_turns("web", 2).await;
    let audit = world.writes();
    assert_eq!(audit.len(), writes, "{:#?}", audit.get(writes..));
    // A turn asks for the agent's own namespace and its ConfigMap, an election for its lease; nobody
    // asks for a managed object, and the watches spare the lists.
    let asked = count("get") - gets;
    assert!(asked <= 4 * turns as u64, "{asked} in {turns} turns");
    assert_eq!(count("list"), lists);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_corrected() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let path = "/api/v1/namespaces/web/configmaps/config";
    let edit = serde_json::json!({"data": {"value": "edited"}});
    let code = send(
        &world.cluster,
        "PATCH",
        &format!("{path}?fieldManager=kubectl"),
        "application/merge-patch+json",
        edit,
    )
    .await;
    assert_eq!(code, 200);
    // What was applied before and is edited by hand is drift, whoever the server says owns it now.
    let edited = std::time::Instant::now();
    eventually("the edit is undone", LIMIT, || async {
        let live = world.live(path).await?;
        (live.pointer("/data/value")? == "one").then_some(())
    })
    .await
    .unwrap();
    eprintln!("drift corrected after {:?}", edited.elapsed());
    let code = send(
        &world.cluster,
        "DELETE",
        path,
        "application/json",
        serde_json::Value::Null,
    )
    .await;
    assert_eq!(code, 200);
    eventually("it is made again", LIMIT, || async {
        let live = world.live(path).await?;
        (live.pointer("/data/value")? == "one").then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_of_another_manager_is_a_conflict_with_its_name_until_it_is_taken_over() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let path = "/api/v1/namespaces/web/configmaps/shared";
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"},
        "data": {"value": "theirs"},
    });
    let apply = "application/apply-patch+yaml";
    let theirs = format!("{path}?fieldManager=other-controller");
    assert_eq!(
        send(&world.cluster, "PATCH", &theirs, apply, object).await,
        201
    );
    let file = "apps/web/shared.yaml";
    world
        .repository
        .write(file, &config_map("shared", "ours"))
        .unwrap();
    world.repository.push("shared", &["dev"]).unwrap();
    let report = world.refused("web", "Conflict").await;
    assert!(
        report.message.contains("other-controller"),
        "{}",
        report.message
    );
    assert_eq!(report.counts.unwrap().total, 4, "the others go on");
    let forced = config_map("shared", "ours").replace(
        "  name: shared",
        "  name: shared\n  annotations: {flotilla.dev/force-conflicts: 'true'}",
    );
    world.repository.write(file, &forced).unwrap();
    let commit = world.repository.push("taken over", &["dev"]).unwrap();
    world.current("web", &commit).await;
    let live = world.live(path).await.unwrap();
    assert_eq!(live.pointer("/data/value").unwrap(), "ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p01_p02_p04_bad_commits_delete_nothing_and_hold_up_nobody() {
    let world = World::new(BOTH).await;
    let first = world.head();
    world.current("web", &first).await;
    world.current("other", &first).await;

    std::fs::rename(
        world.path("work/fleet/apps/web"),
        world.path("work/fleet/apps/elsewhere"),
    )
    .unwrap();
    let commit = world.repository.push("path gone", &["dev"]).unwrap();
    world.refused("web", "PathNotFound").await;
    world.current("other", &commit).await;

    world
        .repository
        .write("apps/web/config.yaml", "# nothing\n")
        .unwrap();
    world.repository.push("empty", &["dev"]).unwrap();
    world.refused("web", "EmptyRender").await;

    world
        .repository
        .write("apps/web/config.yaml", "a: [\n")
        .unwrap();
    let commit = world.repository.push("malformed", &["dev"]).unwrap();
    let report = world.refused("web", "MalformedYaml").await;
    assert!(
        report.message.starts_with("apps/web/config.yaml:"),
        "{}",
        report.message
    );
    world.current("other", &commit).await;

    let big = "# ".to_owned() + &"x".repeat(10 << 20);
    world
        .repository
        .write("apps/web/config.yaml", &big)
        .unwrap();
    world.repository.push("large", &["dev"]).unwrap();
    world.refused("web", "FileTooLarge").await;

    world
        .repository
        .write(
            "apps/web/config.yaml",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        )
        .unwrap();
    world.repository.push("lfs", &["dev"]).unwrap();
    world.refused("web", "LfsPointer").await;

    std::fs::remove_file(world.path("work/fleet/apps/web/config.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.path("work/fleet/apps/web/config.yaml"))
        .unwrap();
    world.repository.push("link", &["dev"]).unwrap();
    world.refused("web", "SymlinkRefused").await;
    assert_eq!(world.deletes(), Vec::<String>::new());

    std::fs::remove_dir_all(world.path("work/fleet/apps/web")).unwrap();
    std::fs::rename(
        world.path("work/fleet/apps/elsewhere"),
        world.path("work/fleet/apps/web"),
    )
    .unwrap();
    let commit = world.repository.push("mended", &["dev"]).unwrap();
    world.current("web", &commit).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a13_unknown_kinds_and_duplicates_are_named_and_the_rest_goes_on() {
    let world = World::new(BOTH).await;
    world.current("web", &world.head()).await;
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    world
        .repository
        .write("apps/web/widget.yaml", widget)
        .unwrap();
    world
        .repository
        .write("apps/web/more.yaml", &config_map("more", "1"))
        .unwrap();
    world.repository.push("widget", &["dev"]).unwrap();
    let report = world.refused("web", "UnknownKind").await;
    assert!(
        report.message.contains("Widget.example.com"),
        "{}",
        report.message
    );
    eventually("the rest is applied", LIMIT, || async {
        world.live("/api/v1/namespaces/web/configmaps/more").await
    })
    .await
    .unwrap();
    world
        .repository
        .write("apps/web/widget.yaml", &config_map("more", "2"))
        .unwrap();
    let commit = world.repository.push("duplicate", &["dev"]).unwrap();
    world.refused("web", "DuplicateObject").await;
    world.current("other", &commit).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a09_a_definition_and_its_objects_in_one_commit_converge_in_one_turn() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let definition = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {size: 1}
";
    world
        .repository
        .write("apps/web/widget.yaml", definition)
        .unwrap();
    let commit = world.repository.push("definition", &["dev"]).unwrap();
    world.current("web", &commit).await;
    assert!(
        world
            .live("/apis/example.com/v1/namespaces/web/widgets/w")
            .await
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p06_p09_git_and_hub_away_delete_nothing_and_drift_is_still_corrected() {
    let mut world = World::new(WEB).await;
    let first = world.head();
    world.current("web", &first).await;
    world.git.set_down(true);
    let hub = world.hub.take().unwrap();
    let address = hub.address.to_string();
    hub.shutdown().await;

    let path = "/api/v1/namespaces/web/configmaps/config";
    send(
        &world.cluster,
        "DELETE",
        path,
        "application/json",
        serde_json::Value::Null,
    )
    .await;
    eventually("drift is corrected without hub and Git", LIMIT, || {
        world.live(path)
    })
    .await
    .unwrap();

    world
        .repository
        .write("apps/web/config.yaml", &config_map("config", "two"))
        .unwrap();
    let commit = world.repository.push("while away", &["dev"]).unwrap();
    world.git.set_down(false);
    let config = World::hub_config(world.directory.path(), &address);
    world.hub = Some(hub::start(config).await.unwrap());
    let context = world.path("hub/operator/admin.yaml");
    world.operator = Operator::connect(&context, &address).await.unwrap();
    world.current("web", &commit).await;
    assert_eq!(
        world.deletes(),
        ["configmaps/config"],
        "only the test's own"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_a_restarted_agent_and_a_failing_api_server_converge() {
    let mut world = World::embedded(WEB).await;
    world.current("web", &world.head()).await;
    world.stop_agent().await;
    world
        .repository
        .write("apps/web/config.yaml", &config_map("config", "two"))
        .unwrap();
    let commit = world.repository.push("second", &["dev"]).unwrap();
    for kind in [
        FaultKind::Status(500),
        FaultKind::Throttle(1),
        FaultKind::AnswerLost,
    ] {
        let fault = Fault {
            verb: "patch".to_owned(),
            resource: "configmaps".to_owned(),
            kind,
            times: 1,
        };
        world.server().inject(fault);
    }
    world.start_agent().await;
    world.current("web", &commit).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a07_an_api_server_that_goes_away_in_mid_flight_is_waited_for() {
    let mut world = World::embedded(WEB).await;
    world.stop_agent().await;
    let serving = world.server().serve("127.0.0.1:0").await.unwrap();
    let address = serving.address.to_string();
    std::fs::write(world.path("kubeconfig"), serving.kubeconfig()).unwrap();
    world.serving = Some(serving);
    world.start_agent().await;
    world.current("web", &world.head()).await;
    world.serving = None;
    world
        .repository
        .write("apps/web/config.yaml", &config_map("config", "two"))
        .unwrap();
    let commit = world.repository.push("while away", &["dev"]).unwrap();
    world.refused("web", "ClusterUnavailable").await;
    world.serving = Some(world.server().serve(&address).await.unwrap());
    world.current("web", &commit).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p14_failing_lists_delete_nothing() {
    let mut world = World::embedded(WEB).await;
    world.current("web", &world.head()).await;
    // Watches spare the lists; a fresh agent has to list.
    world.stop_agent().await;
    let fault = Fault {
        verb: "list".to_owned(),
        resource: "deployments".to_owned(),
        kind: FaultKind::Status(500),
        times: 1000,
    };
    world.server().inject(fault);
    std::fs::remove_file(world.path("work/fleet/apps/web/config.yaml")).unwrap();
    let commit = world
        .repository
        .push("one object leaves", &["dev"])
        .unwrap();
    world.start_agent().await;
    world.refused("web", "PartialDiscovery").await;
    assert_eq!(world.deletes(), Vec::<String>::new());
    world.server().heal();
    world.current("web", &commit).await;
    eventually("it is pruned then", LIMIT, || async {
        (world.deletes() == ["configmaps/config"]).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_an_object_that_moves_between_applications_is_handed_over() {
    let world = World::new(BOTH).await;
    let first = world.head();
    world.current("web", &first).await;
    world.current("other", &first).await;
    let path = "/api/v1/namespaces/default/configmaps/other";
    let before = world.live(path).await.unwrap();
    std::fs::remove_file(world.path("work/fleet/apps/other/config.yaml")).unwrap();
    world
        .repository
        .write("apps/other/filler.yaml", &config_map("filler", "1"))
        .unwrap();
    let moved =
        config_map("other", "one").replace("name: other", "name: other\n  namespace: default");
    world
        .repository
        .write("apps/web/moved.yaml", &moved)
        .unwrap();
    let commit = world.repository.push("moved", &["dev"]).unwrap();
    world.current("web", &commit).await;
    world.current("other", &commit).await;
    let after = world.live(path).await.unwrap();
    assert_eq!(
        before.pointer("/metadata/uid"),
        after.pointer("/metadata/uid")
    );
    assert_eq!(
        after
            .pointer("/metadata/annotations/flotilla.dev~1application")
            .unwrap(),
        "web"
    );
    assert_eq!(world.deletes(), Vec::<String>::new());
}

/// A real repository, by people who never heard of us (shared/conformance).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_repository_goes_through_unchanged_and_once() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(
        "../../shared/conformance/repos/microservices-demo/release/kubernetes-manifests.yaml",
    );
    let Ok(manifests) = std::fs::read_to_string(&source) else {
        eprintln!("SKIPPED LOUDLY: {} is not there", source.display());
        return;
    };
    let world =
        World::new("- {name: shop, repository: fleet, path: apps/shop, namespace: web}\n").await;
    world
        .repository
        .write("apps/shop/all.yaml", &manifests)
        .unwrap();
    world
        .repository
        .write(
            "apps/shop/namespace.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n",
        )
        .unwrap();
    let commit = world.repository.push("shop", &["dev"]).unwrap();
    let report = world.current("shop", &commit).await;
    let total = report.counts.unwrap().total as usize;
    assert!(total > 30, "{total}");
    let applied = world.writes();
    let writes = applied.iter().filter(|event| event.verb == "patch").count();
    assert_eq!(writes, total, "each object is applied once");
    let before = world.writes().len();
    world.more_turns("shop", 2).await;
    assert_eq!(world.writes().len(), before, "and never again");
    assert_eq!(world.deletes(), Vec::<String>::new());
}
