//! A hub, a Git server and whole agents: a commit that changes nothing for a cluster does not wait for waves there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "shared/agent.rs"]
mod agent;

use std::path::PathBuf;
use std::time::Duration;

use flotilla_agent::args::Run;
use flotilla_proto::v1;
use flotilla_shared::digest::Digest;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::git_server::GitServer;
use flotilla_tests::repository::{Repository, git};
use flotilla_tests::test_hub::TestHub;
use flotilla_tests::{eventually, write_private};

const LIMIT: Duration = Duration::from_secs(60);

/// `a1` is the canary; `a2` runs the same, and `b1` something else on a base of its own.
const CLUSTERS: [(&str, &str); 3] = [("a1", "a"), ("a2", "a"), ("b1", "b")];

struct World {
    directory: tempfile::TempDir,
    repository: Repository,
    git: GitServer,
    hub: TestHub,
    operator: Operator,
    agents: Vec<flotilla_agent::app::Running>,
    _clusters: Vec<TestCluster>,
}

fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\n\
         data: {{value: '{value}'}}\n"
    )
}

fn fleet(url: &str, strategy: &str) -> String {
    let clusters = CLUSTERS.map(|(name, app)| {
        format!("- {{name: {name}, environment: prod, labels: {{app: {app}}}}}\n")
    });
    format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{url}'}}\n\
         environments:\n- name: prod\n  branch: prod\n{strategy}clusters:\n{}applications:\n\
         - {{name: app, repository: fleet, path: 'apps/{{labels.app}}'}}\n",
        clusters.concat()
    )
}

const STRATEGY: &str = "  strategy: {waves: [{name: canary, clusters: [a1]}, {name: rest}], maxConcurrent: 1, soak: 1h}\n";

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let repository = Repository::create(root, "fleet").unwrap();
        repository.allow_filter().unwrap();
        for (path, content) in [
            ("apps/a/config.yaml", config_map("a", "one")),
            (
                "apps/b/kustomization.yaml",
                "resources: [../../bases/b]\nnamePrefix: x-\n".to_owned(),
            ),
            (
                "bases/b/kustomization.yaml",
                "resources: [config.yaml]\n".to_owned(),
            ),
            ("bases/b/config.yaml", config_map("b", "one")),
        ] {
            repository.write(path, &content).unwrap();
        }
        repository.push("first", &["prod"]).unwrap();
        let git = GitServer::start(&root.join("served"), "127.0.0.1:0")
            .await
            .unwrap();
        let hub = TestHub::builder()
            .at(root)
            .fleet(&fleet(&git.url("fleet.git"), ""))
            .poll(Duration::from_millis(200))
            .start()
            .await
            .unwrap();
        let operator = hub.operator("admin").await.unwrap();
        let address = hub.address.to_string();
        std::fs::write(root.join("ca.crt"), &operator.trust_bundle).unwrap();
        let mut world = Self {
            directory,
            repository,
            git,
            hub,
            operator,
            agents: Vec::new(),
            _clusters: Vec::new(),
        };
        for (name, _) in CLUSTERS {
            world.join(name, &address).await;
        }
        world
    }

    /// Stops the hub, does something, and starts it again at its address.
    async fn without_hub<T>(&mut self, happens: impl FnOnce(&Self) -> T) -> T {
        self.hub.stop().await.unwrap();
        let happened = happens(self);
        self.hub.start().await.unwrap();
        happened
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn join(&mut self, name: &str, hub: &str) {
        let mut cluster = TestCluster::embedded(flotilla_apiserver::Config::default())
            .await
            .unwrap();
        cluster.play_controllers();
        cluster.create_namespace("flotilla-system").await.unwrap();
        let token = self.operator.token(name, "prod").await.unwrap();
        let root = self.directory.path();
        write_private(&agent::token(root, name), &token).unwrap();
        let run = Run {
            api: agent::api(Some(cluster.kubeconfig())),
            ..agent::run(root, name, hub)
        };
        self.agents
            .push(flotilla_agent::app::start(run).await.unwrap());
        self._clusters.push(cluster);
    }

    /// Pushes a commit that changes one file.
    fn push(&self, path: &str, content: &str) -> String {
        self.repository.write(path, content).unwrap();
        self.repository.push("change", &["prod"]).unwrap()
    }

    /// The commit that a cluster reports as applied.
    async fn runs(&self, cluster: &str) -> Option<String> {
        let status = self.operator.clone().cluster(cluster).await?;
        let report = application(&status, "app")?;
        let is_current =
            report.sync() == v1::Sync::Synced && report.health() == v1::Health::Current;
        let commit = report.revision.as_ref()?.commit.clone();
        is_current.then_some(commit)
    }

    async fn all_run(&self, clusters: &[&str], commit: &str) {
        for cluster in clusters {
            let what = format!("{cluster} runs {commit}");
            let arrived = eventually(&what, LIMIT, || async {
                self.runs(cluster).await.filter(|runs| runs == commit)
            });
            let arrived = arrived.await;
            if let Err(error) = arrived {
                panic!("{error}: {:#?}", self.rollout().await);
            }
        }
    }

    async fn rollout(&self) -> Option<v1::RolloutStatus> {
        let request = v1::GetRolloutRequest {
            subject: "prod".to_owned(),
        };
        let answer = self.operator.clone().api.get_rollout(request).await.ok()?;
        answer.into_inner().rollout
    }

    async fn rollout_where(
        &self,
        what: &str,
        expected: impl Fn(&v1::RolloutStatus) -> bool,
    ) -> v1::RolloutStatus {
        let found = eventually(what, LIMIT, || async {
            self.rollout().await.filter(|rollout| expected(rollout))
        });
        match found.await {
            Ok(found) => found,
            Err(error) => panic!("{error}: {:#?}", self.rollout().await),
        }
    }

    fn phase(rollout: &v1::RolloutStatus, cluster: &str) -> (String, bool) {
        let all = rollout.clusters.iter();
        let own = all.filter(|status| status.cluster == cluster);
        let mut own = own.map(|status| (status.phase.clone(), status.unchanged));
        own.next().unwrap_or_default()
    }
}

fn phases(rollout: &v1::RolloutStatus, expected: [(&str, bool); 3]) -> bool {
    CLUSTERS
        .iter()
        .zip(expected)
        .all(|((cluster, _), (phase, unchanged))| {
            World::phase(rollout, cluster) == (phase.to_owned(), unchanged)
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_waits_for_no_wave_where_it_changes_nothing() {
    let mut world = World::new().await;
    let first = git(&world.repository.work, &["rev-parse", "HEAD"]).unwrap();
    world.all_run(&["a1", "a2", "b1"], &first).await;
    // From now on there are waves, which start from the running revision.
    let url = world.git.url("fleet.git");
    let text = fleet(&url, STRATEGY);
    std::fs::write(world.path("fleet.yaml"), &text).unwrap();
    let digest = Digest::of(text.as_bytes()).to_string();
    let in_force = eventually("the strategy is in force", LIMIT, || async {
        let mut operator = world.operator.clone();
        let hub = operator.api.get_hub(v1::GetHubRequest {}).await.ok()?;
        (hub.into_inner().fleet_digest == digest).then_some(())
    });
    in_force.await.unwrap();

    // The canary soaks for an hour. By then the hub knows that nothing changes for `b1`.
    let second = world.push("apps/a/config.yaml", &config_map("a", "two"));
    world.all_run(&["a1", "b1"], &second).await;
    let rollout = world
        .rollout_where("b1 is done, a1 soaks, a2 waits", |rollout| {
            phases(
                rollout,
                [("soaking", false), ("waiting", false), ("done", true)],
            )
        })
        .await;
    assert_eq!((rollout.wave, rollout.unread.as_str()), (0, ""));
    assert_eq!(rollout.waves[1].unchanged, 1);
    assert_eq!(world.runs("a2").await, Some(first));

    // A base that only `b1` renders. `a1` already has the previous commit, and renders from it. The restarted hub has
    // lost what it had read, and reads it again.
    let third =
        world.without_hub(|world| world.push("bases/b/config.yaml", &config_map("b", "two")));
    let third = third.await;
    world.all_run(&["a1"], &third).await;
    let rollout = world
        .rollout_where("the canary soaks on, a2 and b1 wait", |rollout| {
            rollout
                .target
                .iter()
                .any(|revision| revision.commit == third)
                && phases(
                    rollout,
                    [("soaking", false), ("waiting", false), ("waiting", false)],
                )
        })
        .await;
    // The canary's revision has never been good: although the next commit renders the same there and takes over its
    // soak, the soak ends for no cluster.
    assert_eq!(rollout.wave, 0);

    // A file that no cluster renders passes at every cluster that runs the previous commit.
    let fourth = world.push("docs/readme.yaml", "a: 1\n");
    world.all_run(&["a1"], &fourth).await;

    // Servers without partial fetches are not asked for trees, and the hub reports that.
    git(
        &world.repository.bare,
        &["config", "uploadpack.allowFilter", "false"],
    )
    .unwrap();
    let fifth = world.push("docs/readme.yaml", "a: 2\n");
    world.all_run(&["a1"], &fifth).await;
    let rollout = world
        .rollout_where("it is told", |rollout| !rollout.unread.is_empty())
        .await;
    assert!(
        rollout.unread.contains("without files"),
        "{}",
        rollout.unread
    );
    let request = v1::ExplainRequest {
        subject: "b1".to_owned(),
    };
    let told = world
        .operator
        .api
        .explain(request)
        .await
        .unwrap()
        .into_inner();
    assert!(
        told.steps
            .iter()
            .any(|step| step.reason == "FilterUnsupported"),
        "{told:#?}"
    );
    for agent in world.agents.drain(..) {
        agent.shutdown().await;
    }
}
