//! From a repository to a verdict: which commits a policy lets run, and which steps back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod back;
mod ranges;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use flotilla_agent::policy::Policy;
use flotilla_agent::source::{Admission, ChartContext, DesiredApplication, Source};
use flotilla_git::Limits;
use flotilla_shared::approval::{RollbackApproval, SignedApproval};
use flotilla_shared::assignment::{ApplicationAssignment, Renderer};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{Commit, RepositoryUrl, Revision};
use jiff::{SignedDuration, Timestamp};

struct World {
    directory: tempfile::TempDir,
}

fn run(program: &str, directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let command = command.current_dir(directory).args(arguments);
    let command = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = flotilla_needs::output(command);
    String::from_utf8_lossy(&output).trim().to_owned()
}

impl World {
    /// None: nothing can be signed here.
    fn new() -> Option<Self> {
        flotilla_needs::program("ssh-keygen", None, &["ssh-keygen"])?;
        let directory = tempfile::tempdir().unwrap();
        let world = Self { directory };
        std::fs::create_dir(world.work()).unwrap();
        for key in ["good", "other", "operator"] {
            let path = world.path(key);
            let arguments = [
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                key,
                "-f",
                path.to_str().unwrap(),
            ];
            run("ssh-keygen", world.directory.path(), &arguments);
        }
        world.git(&["init", "-q", "-b", "prod", "."]);
        Some(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn work(&self) -> PathBuf {
        self.path("work")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = [
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@e",
            "-c",
            "gpg.format=ssh",
        ];
        let all: Vec<&str> = identity.iter().chain(arguments).copied().collect();
        run("git", &self.work(), &all)
    }

    /// Commits a manifest, signed if a key is given.
    fn commit(&self, value: &str, key: Option<&str>) -> Commit {
        let manifest = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{value: '{value}'}}\n"
        );
        std::fs::write(self.work().join("a.yaml"), manifest).unwrap();
        self.git(&["add", "-A"]);
        let signing = key.map(|key| format!("user.signingkey={}", self.path(key).display()));
        let mut arguments = Vec::new();
        if let Some(signing) = &signing {
            arguments.extend(["-c", signing]);
        }
        arguments.extend(["commit", "-q", "--allow-empty", "-m", value]);
        if signing.is_some() {
            arguments.push("-S");
        }
        self.git(&arguments);
        self.head()
    }

    fn head(&self) -> Commit {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn url(&self) -> RepositoryUrl {
        format!("file://{}", self.work().display()).parse().unwrap()
    }

    fn key(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    /// A policy with all keys pinned; `rules` says what they are for.
    fn policy(&self, rules: &str) -> Policy {
        let mut text = "keys:\n".to_owned();
        for name in ["good", "other", "operator"] {
            text += &format!("- {{name: {name}, ssh: '{}'}}\n", self.key(name).trim());
        }
        text += rules;
        let policy: Policy = flotilla_yaml::config::from_str("policy", &text).unwrap();
        policy.check().unwrap();
        policy
    }

    /// An agent that starts with the `data` of an earlier one.
    fn agent(&self, data: &str, policy: Policy) -> Agent<'_> {
        let data = self.path(data);
        let trust = Admission::open(&data, Arc::new(policy), None).unwrap();
        Agent {
            world: self,
            source: Source::new(data.join("git"), Limits::default(), None, Arc::new(trust)),
        }
    }

    fn approval(&self, from: &Commit, to: &Commit) -> RollbackApproval {
        RollbackApproval {
            repository: self.url(),
            to: to.clone(),
            from: BTreeMap::from([("c1".parse().unwrap(), from.clone())]),
            expires_at: Timestamp::now() + SignedDuration::from_hours(1),
            nonce: format!("{:032x}", rand::random::<u128>()),
        }
    }

    /// Signs with `ssh-keygen`, as the CLI does.
    fn sign(&self, approval: &RollbackApproval, key: &str, namespace: &str) -> SignedApproval {
        let text = approval.to_text();
        std::fs::write(self.path("approval"), &text).unwrap();
        let _ = std::fs::remove_file(self.path("approval.sig"));
        let arguments = ["-q", "-Y", "sign", "-f", key, "-n", namespace, "approval"];
        run("ssh-keygen", self.directory.path(), &arguments);
        SignedApproval {
            content: text.into(),
            signature: std::fs::read(self.path("approval.sig")).unwrap().into(),
        }
    }
}

struct Agent<'a> {
    world: &'a World,
    source: Source,
}

impl Agent<'_> {
    fn desired(
        &self,
        name: &str,
        commit: &Commit,
        approvals: &[SignedApproval],
    ) -> DesiredApplication {
        DesiredApplication {
            name: name.parse().unwrap(),
            cluster: "c1".parse().unwrap(),
            application: ApplicationAssignment {
                renderer: Renderer::Plain,
                ..ApplicationAssignment::new(
                    Revision {
                        repository: "fleet".parse().unwrap(),
                        branch: "prod".parse().unwrap(),
                        commit: commit.clone(),
                    },
                    self.world.url(),
                    "".parse().unwrap(),
                )
            },
            approvals: approvals.to_vec(),
            facts: None,
        }
    }

    async fn app(
        &self,
        name: &str,
        commit: &Commit,
        approvals: &[SignedApproval],
    ) -> Result<Vec<Reason>, Reason> {
        let rendered = self
            .source
            .render(
                &self.desired(name, commit, approvals),
                ChartContext::default(),
            )
            .await;
        match rendered {
            Ok(rendered) => Ok(rendered.notes.iter().map(|note| note.reason).collect()),
            Err(refusal) => {
                eprintln!("{}: {}", refusal.reason, refusal.message);
                Err(refusal.reason)
            }
        }
    }

    async fn takes(&self, commit: &Commit) -> Result<Vec<Reason>, Reason> {
        self.app("web", commit, &[]).await
    }
}
