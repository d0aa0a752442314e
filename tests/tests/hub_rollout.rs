//! A hub with its real parts, simulated agents over mTLS, and actions of operators on rollouts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_hub::promote::Credential;
use flotilla_hub::store;
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, FleetState, accepted};
use flotilla_tests::test_hub::TestHub;
use flotilla_tests::{eventually, write_private};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tonic::transport::Channel;

#[path = "hub_rollout/declared.rs"]
mod declared;
#[path = "hub_rollout/given_up.rs"]
mod given_up;
#[path = "hub_rollout/hinted.rs"]
mod hinted;
#[path = "hub_rollout/moved.rs"]
mod moved;
#[path = "hub_rollout/restarted.rs"]
mod restarted;

const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "a secret of two";

struct World {
    directory: tempfile::TempDir,
    repository: Repository,
    _git: GitServer,
    hub: TestHub,
    seen: Arc<FleetState>,
    stop: watch::Sender<bool>,
}

impl World {
    async fn new(strategy: &str, clusters: usize, poll: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::create(directory.path(), "fleet").unwrap();
        repository.write("apps/a.yaml", "# 0\n").unwrap();
        repository.push("first", &["prod", "dev"]).unwrap();
        let served = directory.path().join("served");
        let git = GitServer::start(&served, "127.0.0.1:0").await.unwrap();
        let url = if strategy.contains("autoPromote") {
            // The test's Git server accepts no pushes, but a local path does.
            format!("file://{}", repository.bare.display())
        } else {
            git.url("fleet.git")
        };
        let text = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{url}'}}\n\
             environments:\n- {{name: dev, branch: dev}}\n- name: prod\n  branch: prod\n  promotesFrom: dev\n{strategy}\
             applications:\n- {{name: web, repository: fleet, path: apps}}\n",
        );
        let credentials = directory.path().join("credentials");
        write_private(&credentials, "").unwrap();
        // The first cluster belongs to dev.
        let environment = |index: usize| if index == 0 { "dev" } else { "prod" };
        let all: Vec<_> = (0..clusters)
            .map(|index| accepted(&format!("c{index}"), environment(index)).unwrap())
            .collect();
        let hub = TestHub::builder()
            .at(directory.path())
            .fleet(&text)
            .clusters(all.clone())
            .poll(poll)
            .metrics()
            .webhooks(SECRET)
            .with(|config| config.push = Some(Credential::open(&credentials).unwrap()))
            // The lock on the store is released with the last task of the hub that was killed.
            .retry_for(LIMIT)
            .start()
            .await
            .unwrap();
        let (stop, stopped) = watch::channel(false);
        let seen = Arc::new(FleetState::default());
        let hubs = Arc::new(vec![hub.address.to_string()]);
        for (name, _) in &all {
            let work = Duration::from_millis(20);
            let agent = Agent::new(&hub.enrolled, name, &hubs, work).unwrap();
            tokio::spawn(agent.run(Arc::clone(&seen), stopped.clone()));
        }
        Self {
            directory,
            repository,
            _git: git,
            hub,
            seen,
            stop,
        }
    }

    /// Kills the hub and starts it again with the same state.
    async fn restart(&mut self) {
        self.hub.kill().await.unwrap();
        self.hub.start().await.unwrap();
    }

    async fn api(&self) -> FleetServiceClient<Channel> {
        // While hundreds of agents connect from the same address, the hub refuses some callers.
        let operator = eventually("a connection", LIMIT, || async {
            self.hub.operator("ada").await.ok()
        });
        operator.await.unwrap().api
    }

    async fn rollout(&self, expected: impl Fn(&v1::RolloutStatus) -> bool) -> v1::RolloutStatus {
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
        if expected(&found) {
            return found;
        }
        let deadline = tokio::time::Instant::now() + LIMIT;
        while tokio::time::Instant::now() < deadline {
            let subject = "prod".to_owned();
            let request = v1::GetRolloutRequest { subject };
            if let Ok(answer) = api.clone().get_rollout(request).await {
                let rollout = answer.into_inner().rollout.unwrap();
                if expected(&rollout) {
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

/// The decisions of operators about the environment.
async fn decisions(api: &mut FleetServiceClient<Channel>) -> v1::EnvironmentDecisions {
    let subject = "prod".to_owned();
    let answer = api.get_rollout(v1::GetRolloutRequest { subject }).await;
    answer.unwrap().into_inner().decisions.unwrap()
}

fn targets(rollout: &v1::RolloutStatus, commit: &str) -> bool {
    rollout
        .target
        .iter()
        .any(|revision| revision.commit == commit)
}

/// Sends a whole HTTP request.
async fn http(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

const WAVES: &str = "  strategy:\n    waves: [{name: canary, clusters: [c1]}, {name: half, share: '40%'}]\n    soak: 1s\n";

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
        .filter(|cluster| cluster.phase != "waiting")
        .count();
    assert_eq!(touched, 1, "only the canary");
    // An operator aborts: the canary is rolled back, and the commit is not tried again.
    world.seen.failing.store(false, Ordering::Relaxed);
    world.steer(v1::SteerAction::Abort, "").await;
    world.rollout(|rollout| rollout.state == "rolledBack").await;
    let mut api = world.api().await;
    let decisions = decisions(&mut api).await;
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
    // A commit that dev never ran is not proven, whoever approves it.
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
    // After a rollback by an operator, the hub delivers nothing until an operator resumes.
    let bad = world.repository.push("third", &["prod"]).unwrap();
    world.rollout(|rollout| targets(rollout, &bad)).await;
    world.steer(v1::SteerAction::Abort, "").await;
    let decisions = decisions(&mut api).await;
    assert!(decisions.hold.is_some());
    let _ = world.stop.send(true);
}
