//! A hub with its real parts, simulated agents over mTLS, and what people do to rollouts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_hub::app::{self, Config, Running};
use flotilla_hub::fleet::ClusterRecord;
use flotilla_hub::promote::Credential;
use flotilla_hub::store;
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::id::ClusterName;
use flotilla_shared::tls;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, Enrolled, Seen};
use flotilla_tests::{eventually, write_private};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tonic::transport::Channel;

#[path = "hub_rollout/declared.rs"]
mod declared;
#[path = "hub_rollout/given_up.rs"]
mod given_up;
#[path = "hub_rollout/moved.rs"]
mod moved;

const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "a secret of two";

struct World {
    directory: tempfile::TempDir,
    repository: Repository,
    _git: GitServer,
    enrolled: Enrolled,
    hub: Option<Running>,
    address: String,
    seen: Arc<Seen>,
    stop: watch::Sender<bool>,
    poll: Duration,
}

impl World {
    async fn new(strategy: &str, clusters: usize, poll: Duration) -> Self {
        tls::install_provider();
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::create(directory.path(), "fleet").unwrap();
        repository.write("apps/a.yaml", "# 0\n").unwrap();
        repository.push("first", &["prod", "dev"]).unwrap();
        let served = directory.path().join("served");
        let git = GitServer::start(&served, "127.0.0.1:0").await.unwrap();
        let url = if strategy.contains("autoPromote") {
            // Our Git server takes no pushes; a path does.
            format!("file://{}", repository.bare.display())
        } else {
            git.url("fleet.git")
        };
        let text = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{url}'}}\n\
             environments:\n- {{name: dev, branch: dev}}\n- name: prod\n  branch: prod\n  promotesFrom: dev\n{strategy}\
             applications:\n- {{name: web, repository: fleet, path: apps}}\n",
        );
        std::fs::write(directory.path().join("fleet.yaml"), text).unwrap();
        let credentials = directory.path().join("credentials");
        write_private(&credentials, "").unwrap();
        let all: Vec<(ClusterName, ClusterRecord)> = (0..clusters)
            .map(|index| {
                // The first one is dev's.
                let environment = if index == 0 { "dev" } else { "prod" };
                let record = ClusterRecord {
                    environment: Some(environment.parse().unwrap()),
                    ..ClusterRecord::default()
                };
                (format!("c{index}").parse().unwrap(), record)
            })
            .collect();
        let enrolled = Enrolled::new(&directory.path().join("hub"), &all)
            .await
            .unwrap();
        let (stop, stopped) = watch::channel(false);
        let mut world = Self {
            directory,
            repository,
            _git: git,
            enrolled,
            hub: None,
            address: "127.0.0.1:0".to_owned(),
            seen: Arc::new(Seen::default()),
            stop,
            poll,
        };
        world.start().await;
        let hubs = Arc::new(vec![world.address.clone()]);
        for (name, _) in &all {
            let work = Duration::from_millis(20);
            let agent = Agent::new(&world.enrolled, name, &hubs, work).unwrap();
            tokio::spawn(agent.run(Arc::clone(&world.seen), stopped.clone()));
        }
        world
    }

    async fn start(&mut self) {
        let config = Config {
            data_dir: self.directory.path().join("hub"),
            fleet: self.directory.path().join("fleet.yaml"),
            listen: self.address.clone(),
            poll_interval: Some(self.poll),
            metrics_listen: Some("127.0.0.1:0".to_owned()),
            webhook_listen: Some("127.0.0.1:0".to_owned()),
            webhook_secret: Some(SECRET.as_bytes().to_vec()),
            push: Some(Credential::open(&self.directory.path().join("credentials")).unwrap()),
            notifications: Some(self.directory.path().join("notifications.yaml"))
                .filter(|file| file.exists()),
            ..Config::default()
        };
        // The lock on the store goes with the last task of a hub that was killed.
        let hub = eventually("the hub starts", LIMIT, || {
            let config = config.clone();
            async move { app::start(config).await.ok() }
        })
        .await
        .unwrap();
        self.address = hub.address.to_string();
        self.hub = Some(hub);
    }

    async fn api(&self) -> FleetServiceClient<Channel> {
        let uri = "spiffe://flotilla/operator/ada".parse().unwrap();
        let identity = self.enrolled.identity(&uri).unwrap();
        let tls = tls::client_config(self.enrolled.trust_bundle(), Some(&identity)).unwrap();
        let tls = Arc::new(tls);
        // While hundreds of agents of this very address shake hands, the hub turns some callers away.
        let channel = eventually("a connection", LIMIT, || async {
            dial(&self.address, Arc::clone(&tls)).await.ok()
        });
        FleetServiceClient::new(channel.await.unwrap())
    }

    async fn rollout(&self, wanted: impl Fn(&v1::RolloutStatus) -> bool) -> v1::RolloutStatus {
        let api = self.api().await;
        let mut last = None;
        let found = eventually("the rollout", LIMIT, || {
            let mut api = api.clone();
            async move {
                let subject = "prod".to_owned();
                let request = v1::GetRolloutRequest { subject };
                api.get_rollout(request).await.ok()?.into_inner().rollout
            }
        })
        .await
        .unwrap();
        if wanted(&found) {
            return found;
        }
        let deadline = tokio::time::Instant::now() + LIMIT;
        while tokio::time::Instant::now() < deadline {
            let subject = "prod".to_owned();
            let request = v1::GetRolloutRequest { subject };
            if let Ok(answer) = api.clone().get_rollout(request).await {
                let rollout = answer.into_inner().rollout.unwrap();
                if wanted(&rollout) {
                    return rollout;
                }
                last = Some(rollout);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{last:#?}");
    }

    async fn steer(&self, action: v1::SteerAction, commit: &str) {
        let request = v1::SteerRequest {
            action: action.into(),
            environment: "prod".to_owned(),
            commit: commit.to_owned(),
            reason: "a test".to_owned(),
            ..v1::SteerRequest::default()
        };
        self.api().await.steer(request).await.unwrap();
    }
}

fn targets(rollout: &v1::RolloutStatus, commit: &str) -> bool {
    rollout.target.iter().any(|one| one.commit == commit)
}

/// One HTTP request, whole.
async fn http(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

const WAVES: &str = "  strategy:\n    waves: [{name: canary, clusters: [c1]}, {name: half, share: '40%'}]\n    soak: 1s\n";

#[tokio::test(flavor = "multi_thread")]
async fn h14_a_rollout_goes_on_over_restarts_of_the_hub() {
    let mut world = World::new(WAVES, 11, Duration::from_millis(300)).await;
    let first = world.rollout(|rollout| rollout.state == "succeeded").await;
    assert_eq!(first.id, "prod-1");
    assert_eq!(first.waves.len(), 3);
    let commit = world.repository.push("second", &["prod"]).unwrap();
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.wave >= 1)
        .await;
    world.hub.take().unwrap().kill();
    world.start().await;
    let after = world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    assert_eq!(after.id, "prod-2", "the same one, not one anew");
    let _ = world.stop.send(true);
}

async fn all_current(world: &World, wanted: usize) -> Option<()> {
    let mut api = world.api().await;
    let request = v1::ListEnvironmentsRequest {};
    let answer = api.list_environments(request).await.ok()?.into_inner();
    let current: u32 = answer.environments.iter().map(|one| one.current).sum();
    (current as usize == wanted).then_some(())
}

/// The value of a metric that has one.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.unwrap_or("0").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_agents_of_a_restarted_hub_come_back_spread_and_get_only_what_changed() {
    const AGENTS: usize = 300;
    let mut world = World::new("", AGENTS, Duration::from_secs(3600)).await;
    let limit = Duration::from_secs(120);
    eventually("all current", limit, || all_current(&world, AGENTS))
        .await
        .unwrap();
    world.hub.take().unwrap().kill();
    eventually("all streams ended", limit, || async {
        (world.seen.connected.load(Ordering::Relaxed) == 0).then_some(())
    })
    .await
    .unwrap();
    let restarted = tokio::time::Instant::now();
    world.start().await;
    eventually("all are back", limit, || async {
        (world.seen.connected.load(Ordering::Relaxed) == AGENTS).then_some(())
    })
    .await
    .unwrap();
    eventually("all current again", limit, || all_current(&world, AGENTS))
        .await
        .unwrap();
    let took = restarted.elapsed();
    println!("{AGENTS} agents are back and current after {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    let probes = world.hub.as_ref().unwrap().metrics_address.unwrap();
    let get = "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let text = http(probes, get).await;
    let value = |name: &str| metric(&text, name);
    // Nothing changed: nobody is sent what it has, Git is looked at once, and the store is not asked
    // once for each of them.
    assert_eq!(value("flotilla_hub_assignments_sent_total"), 0.0, "{text}");
    assert!(value("flotilla_hub_git_looks_total") <= 2.0, "{text}");
    let batches = value("flotilla_hub_store_batch_effects_count");
    println!("{batches} batches stored");
    assert!(batches < AGENTS as f64, "{text}");
    let _ = world.stop.send(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_commit_halts_in_its_canary_and_its_repair_goes_through() {
    let world = World::new(WAVES, 11, Duration::from_millis(300)).await;
    let good = world.rollout(|rollout| rollout.state == "succeeded").await;
    world.seen.failing.store(true, Ordering::Relaxed);
    let bad = world.repository.push("bad", &["prod"]).unwrap();
    let halted = world
        .rollout(|rollout| targets(rollout, &bad) && rollout.state == "halted")
        .await;
    assert!(halted.note.contains("c1 ("), "{}", halted.note);
    let touched = halted
        .clusters
        .iter()
        .filter(|one| one.phase != "waiting")
        .count();
    assert_eq!(touched, 1, "only the canary");
    // A person gives up on it: the canary goes back, and the commit is not tried again.
    world.seen.failing.store(false, Ordering::Relaxed);
    world.steer(v1::SteerAction::Abort, "").await;
    world.rollout(|rollout| rollout.state == "rolledBack").await;
    let mut api = world.api().await;
    let request = v1::GetRolloutRequest {
        subject: "prod".to_owned(),
    };
    let decisions = api
        .get_rollout(request)
        .await
        .unwrap()
        .into_inner()
        .decisions
        .unwrap();
    assert_eq!(decisions.quarantined.len(), 1);
    assert!(
        decisions.hold.is_some(),
        "no automatic promotion after a rollback"
    );
    let cluster = eventually("the canary went back", LIMIT, || {
        let mut api = api.clone();
        let good = good.target[0].commit.clone();
        async move {
            let name = "c1".to_owned();
            let request = v1::GetClusterRequest { name };
            let cluster = api.get_cluster(request).await.ok()?.into_inner().cluster?;
            let assigned = cluster.applications.first()?.assigned.clone()?;
            (assigned.commit == good).then_some(cluster)
        }
    })
    .await;
    assert!(cluster.is_ok());
    let repair = world.repository.push("repair", &["prod"]).unwrap();
    world
        .rollout(|rollout| targets(rollout, &repair) && rollout.state == "succeeded")
        .await;
    let verified = api
        .verify_audit(v1::VerifyAuditRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(verified.broken, "");
    let _ = world.stop.send(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_hold_a_commit_until_it_is_proven_and_approved_or_overridden() {
    let gates = "  gates: {proof: {soak: 1s}, approvals: 1}\n";
    let world = World::new(gates, 4, Duration::from_millis(300)).await;
    let waits = world
        .rollout(|rollout| rollout.note.starts_with("approval"))
        .await;
    assert_eq!(waits.state, "pending", "{}", waits.note);
    world
        .steer(v1::SteerAction::Approve, &waits.target[0].commit)
        .await;
    world.rollout(|rollout| rollout.state == "succeeded").await;
    // A commit that dev never had is not proven by anybody's approval.
    let hotfix = world.repository.push("hotfix", &["prod"]).unwrap();
    world.steer(v1::SteerAction::Approve, &hotfix).await;
    world
        .rollout(|rollout| targets(rollout, &hotfix) && rollout.note.starts_with("health"))
        .await;
    world.steer(v1::SteerAction::Override, &hotfix).await;
    world
        .rollout(|rollout| targets(rollout, &hotfix) && rollout.state == "succeeded")
        .await;
    let _ = world.stop.send(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn e16_a_signed_hook_makes_the_hub_look_and_a_forged_one_does_not() {
    let world = World::new(WAVES, 3, Duration::from_secs(3600)).await;
    world.rollout(|rollout| rollout.state == "succeeded").await;
    let hub = world.hub.as_ref().unwrap();
    let hooks = hub.webhook_address.unwrap();
    let probes = hub.metrics_address.unwrap();
    let commit = world.repository.push("second", &["prod"]).unwrap();
    let body = format!(
        "{{\"project\":{{\"git_http_url\":\"{}\"}}}}",
        world._git.url("fleet.git")
    );
    let hook = |token: &str| {
        format!(
            "POST /webhook/gitlab HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-gitlab-token: {token}\r\n\
             x-gitlab-event: Push Hook\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let refused = http(hooks, &hook("wrong")).await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let taken = http(hooks, &hook(SECRET)).await;
    assert!(taken.starts_with("HTTP/1.1 202"), "{taken}");
    // The same again is one more look, and changes nothing; neither does one for somebody else.
    let again = http(hooks, &hook(SECRET)).await;
    assert!(again.starts_with("HTTP/1.1 202"), "{again}");
    let foreign = hook(SECRET).replace("fleet.git", "other.git");
    let foreign = http(hooks, &foreign).await;
    assert!(foreign.starts_with("HTTP/1.1 200"), "{foreign}");
    // A body that is too large is not waited for.
    let giant = hook(SECRET).replace(
        &format!("content-length: {}", body.len()),
        "content-length: 104857600",
    );
    let began = std::time::Instant::now();
    let giant = http(hooks, &giant).await;
    assert!(giant.starts_with("HTTP/1.1 413"), "{giant}");
    assert!(began.elapsed() < Duration::from_secs(5));
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(
        http(probes, &get("/healthz"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        http(probes, &get("/readyz"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    let metrics = http(probes, &get("/metrics")).await;
    for line in [
        "flotilla_hub_webhooks_total{provider=\"gitlab\",outcome=\"refused\"} 1",
        "flotilla_hub_webhooks_total{provider=\"gitlab\",outcome=\"hint\"} 2",
        "flotilla_hub_webhooks_total{provider=\"gitlab\",outcome=\"unknown\"} 1",
        "flotilla_hub_clusters{environment=\"prod\",state=\"online\"} 2",
        "flotilla_hub_rollouts{environment=\"prod\",state=\"succeeded\"} 1",
        "flotilla_hub_push_to_applied_seconds_count{environment=\"prod\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let _ = world.stop.send(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn p08_s06_a_backup_of_a_serving_hub_restored_raises_the_epoch_and_everything_converges() {
    let mut world = World::new(WAVES, 4, Duration::from_millis(300)).await;
    world.rollout(|rollout| rollout.state == "succeeded").await;
    let data = world.directory.path().join("hub");
    let copy = world.directory.path().join("backup.db");
    // S6: taken while the hub serves.
    store::backup(&data, &copy).await.unwrap();
    // It holds what the store holds: nobody else may read it, either.
    let mode = std::os::unix::fs::PermissionsExt::mode(&copy.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let commit = world.repository.push("second", &["prod"]).unwrap();
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    assert!(
        store::restore(&data, &copy, Timestamp::now())
            .await
            .is_err(),
        "the hub has it"
    );
    world.hub.take().unwrap().shutdown().await;
    let epoch = store::restore(&data, &copy, Timestamp::now())
        .await
        .unwrap();
    assert_eq!(epoch.0, 2);
    world.start().await;
    // The hub of the older world rolls out anew what it finds; agents take the newer epoch.
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    let request = v1::GetClusterRequest {
        name: "c1".to_owned(),
    };
    let cluster = world.api().await.get_cluster(request).await.unwrap();
    let cluster = cluster.into_inner().cluster.unwrap();
    assert_eq!(cluster.accepted.unwrap().epoch, 2);
    let _ = world.stop.send(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_commit_is_promoted_by_the_hub_and_none_after_a_rollback() {
    let rules = format!("  autoPromote: true\n  gates: {{proof: {{soak: 1s}}}}\n{WAVES}");
    let world = World::new(&rules, 4, Duration::from_millis(300)).await;
    world.rollout(|rollout| rollout.state == "succeeded").await;
    let commit = world.repository.push("second", &["dev"]).unwrap();
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    let mut api = world.api().await;
    let request = v1::ListAuditRequest::default();
    let entries = api.list_audit(request).await.unwrap().into_inner().entries;
    let promoted = entries
        .iter()
        .find(|entry| entry.action == "promote")
        .unwrap();
    assert_eq!(
        (promoted.actor.as_str(), promoted.commit.as_str()),
        ("hub", commit.as_str())
    );
    // A person went back: from now on the hub brings nothing until a person lets it.
    let bad = world.repository.push("third", &["prod"]).unwrap();
    world.rollout(|rollout| targets(rollout, &bad)).await;
    world.steer(v1::SteerAction::Abort, "").await;
    let request = v1::GetRolloutRequest {
        subject: "prod".to_owned(),
    };
    let decisions = api
        .get_rollout(request)
        .await
        .unwrap()
        .into_inner()
        .decisions
        .unwrap();
    assert!(decisions.hold.is_some());
    let _ = world.stop.send(true);
}
