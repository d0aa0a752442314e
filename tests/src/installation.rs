//! An installation of real processes: a Git server, a hub, and agents of an embedded cluster, which tests stop, kill
//! and start again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_apiserver::{ApiServer, Config, ServerHandle};
use flotilla_shared::tls;
use tokio::process::{Child, Command};

use crate::fleet::Operator;
use crate::git_server::GitServer;
use crate::ports::free_address;
use crate::repository::Repository;
use crate::test_hub::{Process, TestHub};
use crate::{eventually, programs, write_private};

/// The installation. Its processes end when it is dropped.
pub struct Installation {
    directory: tempfile::TempDir,
    /// The configuration repository.
    pub repository: Repository,
    pub git: GitServer,
    pub cluster: ApiServer,
    /// The listening API server of the cluster.
    pub serving: ServerHandle,
    binaries: PathBuf,
    address: String,
    /// Environment variables with the time for every process that is started from now on.
    clock: Vec<(&'static str, String)>,
}

impl Installation {
    /// Makes everything except the processes. The fleet has one environment, `dev`, and one application, `app`, in the
    /// directory of that name.
    ///
    /// # Errors
    /// When something cannot be made.
    pub async fn new(files: &[(&str, &str)]) -> anyhow::Result<Self> {
        tls::install_provider();
        let directory = tempfile::tempdir()?;
        let root = directory.path();
        let repository = Repository::create(root, "fleet")?;
        for (path, content) in files {
            repository.write(path, content)?;
        }
        repository.push("first", &["dev"])?;
        let git = GitServer::start(&root.join("served"), "127.0.0.1:0").await?;
        std::fs::write(
            root.join("fleet.yaml"),
            format!(
                "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n\
                 repositories: [{{name: fleet, url: '{}'}}]\n\
                 environments: [{{name: dev, branch: dev}}]\n\
                 applications: [{{name: app, repository: fleet, path: app}}]\n",
                git.url("fleet.git")
            ),
        )?;
        let (cluster, serving) = api_server(&root.join("kubeconfig")).await?;
        let address = free_address()?;
        let installation = Self {
            binaries: programs::build().await?,
            directory,
            repository,
            git,
            cluster,
            serving,
            address,
            clock: Vec::new(),
        };
        let init = installation
            .spawn("flotilla-hub", &["init", "--data-dir", "hub"])?
            .wait()
            .await?;
        anyhow::ensure!(init.success(), "flotilla-hub init failed");
        Ok(installation)
    }

    /// The directory of the installation.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Shifts the clock of processes that are started from now on by so much, such as `7d`, with libfaketime.
    pub fn live_later(&mut self, library: &Path, by: &str) {
        self.clock = vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", format!("+{by}")),
            // Only the wall clock is shifted: durations and timeouts stay real.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
    }

    /// The API server's answer to its administrator; none if the request fails.
    ///
    /// # Errors
    /// When the answer is not JSON.
    pub async fn ask(
        &self,
        request: axum::http::Request<axum::body::Body>,
    ) -> anyhow::Result<Option<serde_json::Value>> {
        let response = self.cluster.handle(request).await;
        let is_success = response.status().is_success();
        let body = axum::body::Body::new(response.into_body());
        let body = axum::body::to_bytes(body, 16 << 20).await?;
        Ok(is_success
            .then(|| serde_json::from_slice(&body))
            .transpose()?)
    }

    /// The object at a path of the API server.
    ///
    /// # Errors
    /// When the answer is not JSON.
    pub async fn live(&self, path: &str) -> anyhow::Result<Option<serde_json::Value>> {
        self.ask(axum::http::Request::get(path).body(axum::body::Body::empty())?)
            .await
    }

    fn clock(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let clock = self.clock.iter();
        clock.map(|(name, value)| (*name, value.as_str()))
    }

    fn spawn(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Child> {
        self.spawn_with(program, arguments, &[])
    }

    fn spawn_with(
        &self,
        program: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Child> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.root().join(format!("{program}.log")))?;
        Command::new(self.binaries.join(program))
            .args(arguments)
            .envs(self.clock())
            .envs(variables.iter().copied())
            .current_dir(self.root())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| program.to_owned())
    }

    /// Starts the hub without waiting for it: [`Self::operator`] does.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn hub(&self) -> anyhow::Result<TestHub> {
        self.hub_with(&[])
    }

    /// Starts the hub; `more` are additional arguments.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn hub_with(&self, more: &[&str]) -> anyhow::Result<TestHub> {
        let process = Process {
            programs: self.binaries.clone(),
            arguments: more.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: self.clock.clone(),
            log: Some(self.root().join("flotilla-hub.log")),
            ..Process::default()
        };
        TestHub::builder()
            .at(self.root())
            .listen(&self.address)
            .poll(Duration::from_millis(200))
            .process(process)
            .launch()
    }

    /// Runs the operator's program as the first administrator; returns its exit code and output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn cli(&self, arguments: &[&str]) -> anyhow::Result<(i32, String)> {
        let own = self.root().join("hub/operator/admin.yaml");
        let context = self.root().join("context.yaml");
        let text = std::fs::read_to_string(own)?;
        let lines = text.lines().map(|line| match line.find("hub: ") {
            Some(at) => format!("{}hub: {}\n", &line[..at], self.address),
            None => format!("{line}\n"),
        });
        write_private(&context, &lines.collect::<String>())?;
        let output = Command::new(self.binaries.join("flotilla"))
            .arg("--context-file")
            .arg(&context)
            .args(arguments)
            .envs(self.clock())
            .env("FLOTILLA_LOG", "trace")
            .current_dir(self.root())
            .output()
            .await?;
        Ok(code_and_text(output))
    }

    /// Runs a command of the hub's program; returns its exit code and output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn hub_command(&self, arguments: &[&str]) -> anyhow::Result<(i32, String)> {
        let output = Command::new(self.binaries.join("flotilla-hub"))
            .args(arguments)
            .current_dir(self.root())
            .output()
            .await?;
        Ok(code_and_text(output))
    }

    /// Starts an agent of cluster `c1` with its own data directory; `more` are additional arguments.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn agent(&self, data: &str, more: &[&str]) -> anyhow::Result<Child> {
        self.agent_with(data, more, &[])
    }

    /// The same with additional environment variables.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn agent_with(
        &self,
        data: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Child> {
        let mut arguments = self.agent_arguments("c1", &Files::first(data));
        arguments.extend(more);
        self.spawn_with("flotilla-agent", &arguments, variables)
    }

    /// The same from a shell that does something before it becomes the agent, such as setting limits. Its log goes
    /// where the shell sends it; otherwise nowhere.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn agent_in_shell(&self, data: &str, shell: &str) -> anyhow::Result<Child> {
        let script = format!("{shell}\nexec \"$0\" \"$@\"");
        Command::new("sh")
            .args(["-c", &script])
            .arg(self.binaries.join("flotilla-agent"))
            .args(self.agent_arguments("c1", &Files::first(data)))
            .envs(self.clock())
            .current_dir(self.root())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("flotilla-agent")
    }

    fn agent_arguments<'a>(&'a self, cluster: &'a str, files: &Files<'a>) -> Vec<&'a str> {
        let address = self.address.as_str();
        let mut arguments = vec![
            "run",
            "--hub",
            address,
            "--cluster",
            cluster,
            "--interval",
            "2",
        ];
        arguments.extend(["--data-dir", files.data, "--kubeconfig", files.kubeconfig]);
        arguments.extend(["--token-file", files.token, "--trust-bundle", "ca.crt"]);
        arguments
    }

    /// Makes a cluster beside `c1`, with its own API server and what its agent needs to enrol.
    ///
    /// # Errors
    /// When the hub gives no token, or something cannot be made.
    pub async fn another(
        &self,
        name: &str,
        operator: &mut Operator,
    ) -> anyhow::Result<ExtraCluster> {
        let kubeconfig = self.root().join(format!("kubeconfig-{name}"));
        let (cluster, serving) = api_server(&kubeconfig).await?;
        let token = operator.token(name, "dev").await?;
        write_private(&self.root().join(format!("token-{name}")), &token)?;
        Ok(ExtraCluster {
            name: name.to_owned(),
            cluster,
            _serving: serving,
        })
    }

    /// Starts the agent of such a cluster.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn agent_of(&self, another: &ExtraCluster) -> anyhow::Result<Child> {
        let name = &another.name;
        let files = Files {
            data: &format!("agent-{name}"),
            kubeconfig: &format!("kubeconfig-{name}"),
            token: &format!("token-{name}"),
        };
        let arguments = self.agent_arguments(name, &files);
        self.spawn_with("flotilla-agent", &arguments, &[])
    }

    /// An operator, as soon as the hub answers.
    ///
    /// # Errors
    /// When it does not within 30 seconds.
    pub async fn operator(&self) -> anyhow::Result<Operator> {
        let context = self.root().join("hub/operator/admin.yaml");
        eventually("the hub answers", Duration::from_secs(30), || async {
            Operator::connect(&context, &self.address).await.ok()
        })
        .await
    }

    /// Writes what agents need to enrol.
    ///
    /// # Errors
    /// When the hub gives no token, or files cannot be written.
    pub async fn invite(&self, operator: &mut Operator) -> anyhow::Result<()> {
        let token = operator.token("c1", "dev").await?;
        write_private(&self.root().join("token"), &token)?;
        std::fs::write(self.root().join("ca.crt"), &operator.trust_bundle)?;
        Ok(())
    }

    /// Deletes that the API server received, except for the agent's own records.
    #[must_use]
    pub fn deleted(&self) -> Vec<String> {
        deleted_in(&self.cluster)
    }
}

/// A cluster beside the first one; it ends when dropped.
pub struct ExtraCluster {
    pub name: String,
    cluster: ApiServer,
    _serving: ServerHandle,
}

impl ExtraCluster {
    /// Like [`Installation::deleted`].
    #[must_use]
    pub fn deleted(&self) -> Vec<String> {
        deleted_in(&self.cluster)
    }
}

fn deleted_in(cluster: &ApiServer) -> Vec<String> {
    let audit = cluster.audit().into_iter();
    audit
        .filter(|event| event.verb == "delete" && event.namespace != "flotilla-system")
        .map(|event| event.name)
        .collect()
}

/// An agent's files, relative to the installation's directory.
struct Files<'a> {
    data: &'a str,
    kubeconfig: &'a str,
    token: &'a str,
}

impl<'a> Files<'a> {
    /// The files of the first cluster's agent.
    fn first(data: &'a str) -> Self {
        Self {
            data,
            kubeconfig: "kubeconfig",
            token: "token",
        }
    }
}

/// An API server with the agent's own namespace, and a kubeconfig for it.
async fn api_server(kubeconfig: &Path) -> anyhow::Result<(ApiServer, ServerHandle)> {
    let cluster = ApiServer::new(Config::default());
    let serving = cluster.serve("127.0.0.1:0").await?;
    std::fs::write(kubeconfig, serving.kubeconfig())?;
    let namespace = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flotilla-system"},
    });
    let request = axum::http::Request::post("/api/v1/namespaces")
        .body(axum::body::Body::from(namespace.to_string()))?;
    anyhow::ensure!(cluster.handle(request).await.status().is_success());
    Ok((cluster, serving))
}

/// The exit code and the whole output of a program.
fn code_and_text(output: std::process::Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().unwrap_or(-1);
    (code, String::from_utf8_lossy(&text).into_owned())
}
