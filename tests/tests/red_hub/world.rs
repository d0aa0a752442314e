//! A real agent, a real Git server, an API server, and a stolen hub between them.

#[path = "../shared/agent.rs"]
mod agent;

use std::path::PathBuf;
use std::time::Duration;

use flotilla_agent::args::Run;
use flotilla_apiserver::AuditEvent;
use flotilla_proto::v1;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::red_hub::{RedHub, sealed};
use flotilla_tests::repository::{Repository, git};
use flotilla_tests::{eventually, write_private};
use prost::Message as _;
use serde_json::{Value, json};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// In a Secret that is in Git and must not leak.
pub(crate) const CANARY: &str = "canary-7d1f0c0e5b";

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) repository: Repository,
    pub(crate) git: GitServer,
    pub(crate) hub: RedHub,
    pub(crate) cluster: TestCluster,
    agent: Option<flotilla_agent::app::Running>,
    pub(crate) generation: u64,
    /// The commit that runs, by an honest assignment.
    pub(crate) good: String,
}

pub(crate) fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: web}}\ndata: {{value: '{value}'}}\n"
    )
}

/// Whether commits can be signed here, which every world needs; if not, the test is recorded as skipped.
pub(crate) fn can_sign() -> bool {
    flotilla_needs::program("ssh-keygen", None, &["ssh-keygen"]).is_some()
}

/// A test's own world; returns from the test if nothing can be signed.
macro_rules! signing_world {
    () => {{
        if !$crate::world::can_sign() {
            return;
        }
        $crate::world::World::embedded().await
    }};
}
pub(crate) use signing_world;

impl World {
    pub(crate) async fn embedded() -> Self {
        let cluster = TestCluster::embedded(flotilla_apiserver::Config::default()).await;
        Self::with(cluster.unwrap()).await
    }

    /// The agent runs the first signed commit, by an honest assignment.
    pub(crate) async fn with(cluster: TestCluster) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let repository = Repository::create(root, "fleet").unwrap();
        Repository::create(root, "elsewhere").unwrap();
        for key in ["good", "thief", "operator"] {
            let path = root.join(key);
            let made = std::process::Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
                .arg(&path)
                .status();
            assert!(made.unwrap().success());
        }
        let git_server = GitServer::start(&root.join("served"), "127.0.0.1:0")
            .await
            .unwrap();
        let hub = RedHub::start(&root.join("hub")).await.unwrap();
        for name in ["flotilla-system", "web", "other"] {
            cluster.create_namespace(name).await.unwrap();
        }
        std::fs::copy(cluster.kubeconfig(), root.join("kubeconfig")).unwrap();
        let mut world = Self {
            directory,
            repository,
            git: git_server,
            hub,
            cluster,
            agent: None,
            generation: 0,
            good: String::new(),
        };
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: web}}\nstringData: {{password: {CANARY}}}\n"
        );
        world.write("apps/web/secret.yaml", &secret);
        for number in 0..12 {
            let name = format!("extra-{number}");
            world.write(&format!("apps/web/{name}.yaml"), &config_map(&name, "one"));
        }
        world.write("apps/web/config.yaml", &config_map("config", "one"));
        world.good = world.push("first", Some("good"), "prod");
        world.start_agent().await;
        let first = world.good.clone();
        let ack = world.honest(&first).await;
        assert_eq!(ack.verdict(), v1::Verdict::Accepted, "{ack:?}");
        world.runs(&first).await;
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        self.repository.write(path, content).unwrap();
    }

    /// Commits everything, signed if a key is given, and pushes it to a branch.
    pub(crate) fn push(&self, message: &str, key: Option<&str>, branch: &str) -> String {
        let work = &self.repository.work;
        git(work, &["add", "-A"]).unwrap();
        let mut arguments = vec!["-c".to_owned(), "gpg.format=ssh".to_owned()];
        if let Some(key) = key {
            let key = self.path(key);
            arguments.extend([
                "-c".to_owned(),
                format!("user.signingkey={}", key.display()),
            ]);
        }
        let commit = ["commit", "-q", "--allow-empty", "-m", message].map(str::to_owned);
        arguments.extend(commit);
        arguments.extend(key.map(|_| "-S".to_owned()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        git(work, &arguments).unwrap();
        git(
            work,
            &[
                "push",
                "-q",
                "-f",
                "origin",
                &format!("HEAD:refs/heads/{branch}"),
            ],
        )
        .unwrap();
        git(work, &["rev-parse", "HEAD"]).unwrap()
    }

    fn policy(&self) -> String {
        let key = |name: &str| std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        format!(
            "repositories: ['{url}']\nbranches: [prod]\npaths: [apps]\nnamespaces: [web]\n\
             kinds: [ConfigMap, Secret, Namespace]\n\
             freezeAlarmSeconds: 3\n\
             keys:\n- {{name: good, ssh: '{good}'}}\n- {{name: operator, ssh: '{operator}'}}\n\
             signatures: [{{mode: range, keys: [good]}}]\n\
             rollback: {{mode: approve, keys: [operator]}}\n",
            url = self.git.url("fleet.git"),
            good = key("good").trim(),
            operator = key("operator").trim(),
        )
    }

    pub(crate) async fn start_agent(&mut self) {
        let root = self.directory.path();
        std::fs::write(root.join("policy.yaml"), self.policy()).unwrap();
        std::fs::write(root.join("ca.crt"), &self.hub.trust_bundle).unwrap();
        write_private(&agent::token(root, "c1"), "any").unwrap();
        let run = Run {
            data_dir: root.join("agent"),
            policy: Some(root.join("policy.yaml")),
            api: agent::api(Some(root.join("kubeconfig"))),
            interval: Duration::from_secs(1),
            share_identity: true,
            ..agent::run(root, "c1", &self.hub.address)
        };
        self.agent = Some(flotilla_agent::app::start(run).await.unwrap());
    }

    pub(crate) async fn stop_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.shutdown().await;
        }
    }

    /// The next content of an honest hub.
    pub(crate) fn content(&mut self, commit: &str) -> v1::AssignmentContent {
        self.generation += 1;
        v1::AssignmentContent {
            epoch: 1,
            generation: self.generation,
            cluster: "c1".to_owned(),
            environment: "prod".to_owned(),
            issued_at: Some(prost_types::Timestamp::default()),
            applications: vec![self.application("web", commit)],
            ..v1::AssignmentContent::default()
        }
    }

    pub(crate) fn application(&self, name: &str, commit: &str) -> v1::ApplicationAssignment {
        v1::ApplicationAssignment {
            name: name.to_owned(),
            repository: "fleet".to_owned(),
            url: self.git.url("fleet.git"),
            branch: "prod".to_owned(),
            commit: commit.to_owned(),
            path: "apps/web".to_owned(),
            renderer: v1::Renderer::Auto.into(),
            namespace: "web".to_owned(),
            ..v1::ApplicationAssignment::default()
        }
    }

    pub(crate) async fn assign(&self, content: &v1::AssignmentContent) -> v1::Ack {
        self.hub
            .assign(sealed(content.encode_to_vec()))
            .await
            .unwrap()
    }

    /// Assigns a commit like an honest hub.
    pub(crate) async fn honest(&mut self, commit: &str) -> v1::Ack {
        let content = self.content(commit);
        self.assign(&content).await
    }

    pub(crate) async fn report(
        &self,
        name: &str,
        what: &str,
        expected: impl Fn(&v1::ApplicationReport) -> bool,
    ) -> v1::ApplicationReport {
        let found = eventually(what, LIMIT, || async {
            let report = self.hub.report()?;
            let mut applications = report.applications.into_iter();
            applications
                .find(|report| report.application == name)
                .filter(&expected)
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}: {:#?}", self.hub.report()))
    }

    /// Waits until a commit runs.
    pub(crate) async fn runs(&self, commit: &str) {
        self.report("web", &format!("{commit} runs"), |report| {
            let revision = report.revision.as_ref();
            report.sync() == v1::Sync::Synced
                && revision.is_some_and(|revision| revision.commit == commit)
        })
        .await;
    }

    /// Writes that were requested so far, without the agent's own records.
    pub(crate) fn writes(&self) -> Vec<AuditEvent> {
        let audit = self.cluster.audit().unwrap().into_iter();
        audit
            .filter(|event| event.namespace != "flotilla-system" && !event.dry_run)
            .collect()
    }

    /// Waits for an Event with a reason in the agent's namespace.
    pub(crate) async fn told(&self, reason: &str) {
        let path = "/apis/events.k8s.io/v1/namespaces/flotilla-system/events";
        eventually(&format!("an Event {reason}"), LIMIT, || async {
            let list = self.cluster.live(path).await?;
            let items = list.get("items")?.as_array()?.clone();
            let is_it = |item: &Value| item["reason"] == reason && item["type"] == "Warning";
            items.iter().any(is_it).then_some(())
        })
        .await
        .unwrap();
    }

    /// The whole assignment is refused: reason code, Event, nothing written.
    pub(crate) async fn refused(&self, assignment: v1::Assignment, reason: &str) {
        let before = self.writes();
        let ack = self.hub.assign(assignment).await.unwrap();
        assert_eq!(ack.verdict(), v1::Verdict::Refused, "{ack:?}");
        assert_eq!(ack.reason, reason, "{}", ack.message);
        self.told(reason).await;
        assert_eq!(self.writes(), before);
        self.intact().await;
    }

    /// The assignment is accepted, and its one application is refused: reason code, Event, nothing written.
    pub(crate) async fn held(&self, content: &v1::AssignmentContent, reason: &str) {
        let before = self.writes();
        let ack = self.assign(content).await;
        assert_eq!(ack.verdict(), v1::Verdict::Accepted, "{ack:?}");
        let name = &content.applications[0].name;
        let report = self
            .report(name, &format!("{name} refused for {reason}"), |report| {
                report.reason == reason && report.sync() == v1::Sync::Refused
            })
            .await;
        assert_eq!(report.sync(), v1::Sync::Refused, "{report:?}");
        self.told(reason).await;
        assert_eq!(self.writes(), before);
        self.intact().await;
    }

    /// The objects that ran are unchanged.
    pub(crate) async fn intact(&self) {
        let config = self
            .cluster
            .live("/api/v1/namespaces/web/configmaps/config")
            .await;
        assert_eq!(config.unwrap()["data"]["value"], "one");
        assert!(
            self.cluster
                .live("/api/v1/namespaces/web/secrets/s")
                .await
                .is_some()
        );
    }

    /// The agent reports the revision that it maintains, whatever it thinks of the assignment.
    pub(crate) async fn says_what_runs(&self) {
        let good = self.good.clone();
        self.report("web", &format!("{good} is told of"), |report| {
            report
                .revision
                .as_ref()
                .is_some_and(|revision| revision.commit == good)
        })
        .await;
    }

    /// Drift is still corrected, although the hub lies.
    pub(crate) async fn still_corrected(&self) {
        let patch = json!({"data": {"value": "drifted"}});
        let path = "/api/v1/namespaces/web/configmaps/config";
        let kind = "application/merge-patch+json";
        self.cluster
            .request("PATCH", path, kind, Some(&patch))
            .await
            .unwrap();
        eventually("drift is set right", LIMIT, || async {
            let live = self.cluster.live(path).await?;
            (live["data"]["value"] == "one").then_some(())
        })
        .await
        .unwrap();
    }
}
