//! A healthy fleet, in which one fault after the other is staged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_agent::args::Run;
use flotilla_apiserver::{ApiServer, ServerHandle};
use flotilla_proto::v1;
use flotilla_shared::identity::Identity;
use flotilla_tests::fleet::Operator;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::proxy::{Proxy, Traffic};
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, FleetState, accepted};
use flotilla_tests::test_hub::{Process, TestHub};
use flotilla_tests::{eventually, programs, write_private};
use serde_json::json;
use tokio::sync::watch;

use crate::agent;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(90);

/// Clusters without API servers, each in the environment of its name's prefix.
const SIMULATED: [&str; 5] = ["failed", "halted", "offline", "unread", "waits"];
/// Clusters with a real agent, and the branch that each follows.
const REAL: [(&str, &str); 5] = [
    ("behind", "behind"),
    ("cut", "main"),
    ("fought", "main"),
    ("held", "held"),
    ("led", "main"),
];

/// Objects of the application: more than the corrections that the alert about fights needs.
const OBJECTS: usize = 15;

fn maps(count: usize) -> String {
    let map = |index| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{index}, namespace: default}}\n\
             data: {{of: git}}\n---\n"
        )
    };
    (0..count).map(map).collect()
}

/// An agent, and its own cluster.
struct Member {
    running: flotilla_agent::app::Running,
    server: ApiServer,
    _serving: ServerHandle,
    proxy: Option<Proxy>,
}

/// The fleet; it ends when dropped.
pub(crate) struct Fleet {
    directory: tempfile::TempDir,
    repository: Repository,
    other: GitServer,
    git: GitServer,
    hub: TestHub,
    /// A second hub without agents, whose store fails without affecting the others.
    lonely: TestHub,
    operator: Operator,
    members: Vec<(String, Member)>,
    seen: Arc<FleetState>,
    stop_offline: watch::Sender<bool>,
    _stop: watch::Sender<bool>,
    /// `job`, and the address that Prometheus scrapes.
    pub(crate) targets: Vec<(String, String)>,
}

fn fleet_file(git: &GitServer, other: &GitServer, gate: &str) -> String {
    let mut environments = String::new();
    for name in ["main", "behind", "held", "failed", "offline", "unread"] {
        environments += &format!("- {{name: {name}, branch: {name}}}\n");
    }
    environments += "- {name: halted, branch: halted, strategy: {budgets: {failed: 0}}}\n";
    environments += &format!("- {{name: waits, branch: waits, strategy: {{soak: 0s}}{gate}}}\n");
    let (first, second) = (git.url("fleet.git"), other.url("fleet.git"));
    format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n\
         repositories: [{{name: fleet, url: '{first}'}}, {{name: other, url: '{second}'}}]\n\
         environments:\n{environments}applications:\n\
         - {{name: web, repository: fleet, path: web}}\n\
         - {{name: late, repository: other, path: web, placement: {{environments: [unread]}}}}\n"
    )
}

/// A hub as a process whose file sizes another process can limit: it starts with SIGXFSZ ignored, so that a write over
/// the limit fails with an error.
async fn lonely(programs: &Path, git: &GitServer) -> TestHub {
    let file = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories: [{{name: fleet, url: '{}'}}]\n\
         environments: [{{name: lonely, branch: lonely}}]\n\
         applications: [{{name: web, repository: fleet, path: web}}]\n",
        git.url("fleet.git")
    );
    let hub = TestHub::builder()
        .fleet(&file)
        .poll(Duration::from_secs(1))
        .metrics()
        .process(Process {
            programs: programs.to_owned(),
            shell: "trap '' XFSZ".to_owned(),
            ..Process::default()
        });
    hub.start().await.unwrap()
}

impl Fleet {
    /// Starts the fleet without faults.
    pub(crate) async fn start() -> Self {
        let programs = programs::build_some(&["flotilla-hub"]).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let repository = Repository::create(root, "fleet").unwrap();
        repository.write("web/maps.yaml", &maps(OBJECTS)).unwrap();
        let branches = [
            "main", "behind", "held", "failed", "offline", "unread", "halted", "waits", "lonely",
        ];
        repository.push("first", &branches).unwrap();
        let served = root.join("served");
        let git = GitServer::start(&served, "127.0.0.1:0").await.unwrap();
        let other = GitServer::start(&served, "127.0.0.1:0").await.unwrap();
        let clusters = SIMULATED.map(|name| accepted(name, name).unwrap());
        let hub = TestHub::builder()
            .at(root)
            .fleet(&fleet_file(&git, &other, ""))
            .clusters(clusters)
            .clusters([accepted("ending", "main").unwrap()])
            .poll(Duration::from_millis(300))
            .metrics()
            .start()
            .await
            .unwrap();
        let operator = hub.operator("admin").await.unwrap();
        let lonely = lonely(&programs, &git).await;
        let targets = vec![
            ("hub".to_owned(), hub.metrics.unwrap().to_string()),
            ("lonely-hub".to_owned(), lonely.metrics.unwrap().to_string()),
        ];
        std::fs::write(root.join("ca.crt"), &operator.trust_bundle).unwrap();

        let seen = Arc::new(FleetState::default());
        let (stop, stopped) = watch::channel(false);
        let (stop_offline, stopped_offline) = watch::channel(false);
        let hubs = Arc::new(vec![hub.address.to_string()]);
        for name in SIMULATED {
            let work = Duration::from_millis(20);
            let agent = Agent::new(&hub.enrolled, &name.parse().unwrap(), &hubs, work).unwrap();
            // Each fault affects only the clusters that are meant to fail.
            let (stopped, seen) = match name {
                "offline" => (stopped_offline.clone(), Arc::default()),
                "failed" | "halted" => (stopped.clone(), Arc::clone(&seen)),
                _ => (stopped.clone(), Arc::default()),
            };
            tokio::spawn(agent.run(seen, stopped));
        }
        let mut fleet = Self {
            directory,
            repository,
            other,
            git,
            hub,
            lonely,
            operator,
            members: Vec::new(),
            seen,
            stop_offline,
            _stop: stop,
            targets,
        };
        for (name, environment) in REAL {
            let token = fleet.operator.token(name, environment).await.unwrap();
            let path = agent::token(fleet.directory.path(), name);
            write_private(&path, &token).unwrap();
            fleet.join(name, None).await;
        }
        fleet
    }

    /// Starts an agent with its own cluster.
    async fn join(&mut self, name: &str, identity_dir: Option<std::path::PathBuf>) {
        let root = self.directory.path();
        let server = ApiServer::new(flotilla_apiserver::Config::default());
        let serving = server.serve("127.0.0.1:0").await.unwrap();
        let kubeconfig = root.join(format!("{name}.kubeconfig"));
        std::fs::write(&kubeconfig, serving.kubeconfig()).unwrap();
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flotilla-system"},
        });
        assert_eq!(
            ask(&server, "POST", "/api/v1/namespaces", &namespace).await,
            201
        );
        let proxy = match name {
            "cut" => Some(Proxy::start(self.hub.address).await.unwrap()),
            _ => None,
        };
        let hub = proxy
            .as_ref()
            .map_or(self.hub.address, |proxy| proxy.address);
        let policy = root.join("policy.yaml");
        let text = "allowHttp: true\nfreezeAlarmSeconds: 2\ndeleteBudget: {count: 1, percent: 1}\n";
        std::fs::write(&policy, text).unwrap();
        let plain = agent::run(root, name, &hub.to_string());
        let run = Run {
            api: agent::api(Some(kubeconfig)),
            policy: Some(policy),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            token_file: plain.token_file.filter(|_| identity_dir.is_none()),
            identity_dir,
            ..plain
        };
        let running = flotilla_agent::app::start(run).await.unwrap();
        let address = running.listens.unwrap().to_string();
        self.targets.push((name.to_owned(), address));
        let member = Member {
            running,
            server,
            _serving: serving,
            proxy,
        };
        self.members.push((name.to_owned(), member));
    }

    async fn fleet_digest(&self) -> String {
        let mut api = self.operator.api.clone();
        let hub = api.get_hub(v1::GetHubRequest {}).await.unwrap();
        hub.into_inner().fleet_digest
    }

    fn member(&self, name: &str) -> &Member {
        let found = self.members.iter().find(|(known, _)| known == name);
        &found.unwrap().1
    }

    /// Stages all faults, each in a different part of the fleet.
    pub(crate) async fn break_everything(&mut self) {
        let root = self.directory.path().to_owned();
        // Limit file sizes first, so that the next write of the lonely hub fails.
        let pid = self.lonely.pid().to_string();
        let limit = std::process::Command::new("prlimit")
            .args(["--pid", &pid, "--fsize=1"])
            .status();
        assert!(limit.unwrap().success());
        self.other.set_down(true);
        let _ = self.stop_offline.send(true);
        self.member("cut").proxy.as_ref().unwrap().set(Traffic::Cut);
        let pin = v1::SteerRequest {
            action: v1::SteerAction::Pin.into(),
            environment: "behind".to_owned(),
            reason: "a fault".to_owned(),
            ..v1::SteerRequest::default()
        };
        self.operator.api.steer(pin).await.unwrap();
        let gate = ", gates: {approvals: 1}";
        let file = fleet_file(&self.git, &self.other, gate);
        // The gate must be in force before the commit that it holds back.
        let before = self.fleet_digest().await;
        std::fs::write(root.join("fleet.yaml"), file).unwrap();
        eventually("the gate is in force", LIMIT, || {
            let (other, before) = (self.fleet_digest(), &before);
            async move { (other.await != *before).then_some(()) }
        })
        .await
        .unwrap();
        self.seen.failing.store(true, Ordering::Relaxed);
        self.repository
            .write("web/more.yaml", &maps(1).replace("m0", "more"))
            .unwrap();
        let branches = ["behind", "failed", "halted", "lonely", "waits"];
        self.repository.push("second", &branches).unwrap();
        self.repository.write("web/maps.yaml", &maps(2)).unwrap();
        self.repository.push("third", &["held"]).unwrap();

        let lease = "/apis/coordination.k8s.io/v1/namespaces/flotilla-system/leases/flotilla-agent";
        let stolen = json!({"spec": {"holderIdentity": "nobody", "leaseDurationSeconds": 3600}});
        let led = &self.member("led").server;
        assert_eq!(ask(led, "PATCH", lease, &stolen).await, 200);
        let fought = &self.member("fought").server;
        for index in 0..OBJECTS {
            let path = format!("/api/v1/namespaces/default/configmaps/m{index}");
            let theirs = json!({"data": {"of": "somebody else"}});
            assert_eq!(ask(fought, "PATCH", &path, &theirs).await, 200);
        }
        self.join_with_an_ending_certificate().await;
    }

    /// An agent whose certificate its external issuer should have replaced long ago.
    async fn join_with_an_ending_certificate(&mut self) {
        let directory = self.directory.path().join("identity");
        std::fs::create_dir_all(&directory).unwrap();
        let identity = Identity::Cluster("ending".parse().unwrap());
        let life = jiff::SignedDuration::from_hours(3);
        let tls = self.hub.enrolled.identity_for(&identity, life).unwrap();
        std::fs::write(directory.join("tls.crt"), &tls.chain_pem).unwrap();
        write_private(&directory.join("tls.key"), &tls.key_pem).unwrap();
        let bundle = self.hub.enrolled.trust_bundle();
        std::fs::write(directory.join("ca.crt"), bundle).unwrap();
        self.join("ending", Some(directory)).await;
    }

    /// Stops the fleet.
    pub(crate) async fn end(mut self) {
        for (_, member) in self.members {
            member.running.shutdown().await;
        }
        self.hub.stop().await.unwrap();
    }
}

async fn ask(server: &ApiServer, method: &str, path: &str, body: &serde_json::Value) -> u16 {
    let kind = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = axum::http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(axum::body::Body::from(body.to_string()));
    server.handle(request.unwrap()).await.status().as_u16()
}
