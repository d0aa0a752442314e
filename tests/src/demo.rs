//! The demo: a fleet of seven clusters on one machine. Real processes, real mTLS, real Git; only the
//! clusters are embedded API servers.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use flotilla_apiserver::{ApiServer, ServerHandle};
use flotilla_proto::v1;
use flotilla_shared::tls;
use flotilla_tests::eventually;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::git_server::GitServer;
use flotilla_tests::ports::free_address;
use flotilla_tests::programs;
use flotilla_tests::repository::Repository;
use flotilla_tests::test_hub::{Process, TestHub};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

#[path = "demo/content.rs"]
mod content;
#[path = "demo/told.rs"]
mod told;

use content::{POLICY, configuration, fleet_file, git_remote};

const CLUSTERS: [(&str, &str); 7] = [
    ("dev-1", "dev"),
    ("stage-1", "stage"),
    ("stage-2", "stage"),
    ("prod-eu-1", "prod"),
    ("prod-eu-2", "prod"),
    ("prod-us-1", "prod"),
    ("prod-us-2", "prod"),
];

/// A Flotilla fleet on one machine.
#[derive(Debug, Parser)]
struct Args {
    /// Where everything is kept; default: a directory that goes with the demo.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Bring the fleet up, push one commit, print the time line, and end.
    #[arg(long)]
    once: bool,
    /// An eighth cluster, `real-1` in dev: a kubeconfig of yours.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    #[arg(long, requires = "kubeconfig")]
    context: Option<String>,
}

fn say(line: &str) {
    // The terminal may be closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tls::install_provider();
    let temporary = tempfile::tempdir()?;
    let directory = args
        .dir
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&directory)?;
    let started = Instant::now();
    say("building hub, agent and command line with cargo; the first time that takes some minutes");
    let binaries = programs::build_in_sight().await?;
    say("built; starting a hub, and seven clusters with an agent each");
    let mut demo = Demo::start(&directory, &binaries, &args).await?;
    say(&format!(
        "{} clusters run; up after {:.1}s",
        demo.clusters.len(),
        started.elapsed().as_secs_f64()
    ));
    demo.time_line().await?;
    if args.once {
        return demo.stop().await;
    }
    demo.hints();
    tokio::select! {
        result = demo.show() => result?,
        result = tokio::signal::ctrl_c() => result?,
    }
    demo.stop().await
}

struct Demo {
    directory: PathBuf,
    binaries: PathBuf,
    repository: Repository,
    git: GitServer,
    hub: TestHub,
    /// The pages, as `flotilla web` serves them.
    web: Child,
    operator: Operator,
    agents: Vec<Child>,
    clusters: Vec<String>,
    _servers: Vec<(ApiServer, ServerHandle)>,
}

impl Demo {
    async fn start(directory: &Path, binaries: &Path, args: &Args) -> anyhow::Result<Self> {
        let repository = Repository::create(directory, "fleet")?;
        // The hub reads authors and changed paths of commits without fetching files.
        repository.allow_filter()?;
        configuration(&repository)?;
        repository.push("A guestbook for every cluster", &["dev", "stage", "prod"])?;
        let git = GitServer::start(&directory.join("served"), "127.0.0.1:0").await?;
        git_remote(&repository, &git)?;
        std::fs::write(directory.join("fleet.yaml"), fleet_file(&git))?;

        let data = directory.join("hub");
        let address = free_address()?;
        let status = Command::new(binaries.join("flotilla-hub"))
            .args(["init", "--address", &address, "--data-dir"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .await?;
        anyhow::ensure!(status.success(), "flotilla-hub init failed");
        let log = directory.join("hub.log");
        let hub = TestHub::builder()
            .at(directory)
            .listen(&address)
            .poll(Duration::from_secs(1))
            .process(Process {
                programs: binaries.to_owned(),
                log: Some(log.clone()),
                ..Process::default()
            })
            .start()
            .await
            .with_context(|| format!("see {}", log.display()))?;
        let context = data.join("operator/admin.yaml");
        let operator = Operator::connect(&context, &address).await?;
        let (web, link) = start_web(&binaries.join("flotilla"), &context).await?;
        say(&format!("open the fleet in a browser: {link}"));
        let mut demo = Self {
            directory: directory.to_owned(),
            binaries: binaries.to_owned(),
            repository,
            git,
            hub,
            web,
            operator,
            agents: Vec::new(),
            clusters: Vec::new(),
            _servers: Vec::new(),
        };
        for (name, environment) in CLUSTERS {
            let server = ApiServer::new(flotilla_apiserver::Config {
                ready_after: Some(Duration::from_millis(800)),
                ..flotilla_apiserver::Config::default()
            });
            let serving = server.serve("127.0.0.1:0").await?;
            let kubeconfig = directory.join(format!("{name}.kubeconfig"));
            std::fs::write(&kubeconfig, serving.kubeconfig())?;
            demo._servers.push((server, serving));
            demo.agent(name, environment, &address, &kubeconfig, None)
                .await?;
        }
        if let Some(kubeconfig) = &args.kubeconfig {
            demo.agent(
                "real-1",
                "dev",
                &address,
                kubeconfig,
                args.context.as_deref(),
            )
            .await?;
        }
        for name in demo.clusters.clone() {
            demo.wait_current(&name, None).await?;
            say(&format!("  {name} is current"));
        }
        Ok(demo)
    }

    /// Enrols a cluster and starts its agent.
    async fn agent(
        &mut self,
        name: &str,
        environment: &str,
        hub: &str,
        kubeconfig: &Path,
        context: Option<&str>,
    ) -> anyhow::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let token = self.operator.token(name, environment).await?;
        let token_file = self.directory.join(format!("{name}.token"));
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&token_file)?;
        file.write_all(token.as_bytes())?;
        let bundle = self.directory.join("ca.crt");
        std::fs::write(&bundle, &self.operator.trust_bundle)?;
        let policy = self.directory.join("policy.yaml");
        std::fs::write(&policy, POLICY)?;
        namespace(kubeconfig).await?;
        let log = std::fs::File::create(self.directory.join(format!("{name}.log")))?;
        let mut command = Command::new(self.binaries.join("flotilla-agent"));
        command
            .args(["run", "--hub", hub, "--cluster", name, "--interval", "30"])
            .arg("--data-dir")
            .arg(self.directory.join("agents").join(name))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--token-file")
            .arg(&token_file)
            .arg("--trust-bundle")
            .arg(&bundle)
            .arg("--policy")
            .arg(&policy)
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        if let Some(context) = context {
            command.args(["--context", context]);
        }
        self.agents.push(command.spawn()?);
        self.clusters.push(name.to_owned());
        Ok(())
    }

    async fn wait_current(&self, name: &str, commit: Option<&str>) -> anyhow::Result<()> {
        eventually(
            &format!("{name} is current"),
            Duration::from_secs(120),
            || {
                let mut operator = self.operator.clone();
                async move {
                    let cluster = operator.cluster(name).await?;
                    let report = application(&cluster, "guestbook")?;
                    let exact = commit.is_none_or(|commit| {
                        report.revision.as_ref().is_some_and(|r| r.commit == commit)
                    });
                    (exact
                        && cluster.sync() == v1::Sync::Synced
                        && cluster.health() == v1::Health::Current)
                        .then_some(())
                }
            },
        )
        .await
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        for agent in &mut self.agents {
            agent.kill().await?;
        }
        let _ = self.web.kill().await;
        // The user may have killed the hub to see what happens.
        let _ = self.hub.kill().await;
        Ok(())
    }
}

/// Serves the pages with the operator's own context, and returns the link that logs one browser in.
async fn start_web(binary: &Path, context: &Path) -> anyhow::Result<(Child, String)> {
    let mut web = Command::new(binary)
        .args(["web", "--listen", "127.0.0.1:0", "--context-file"])
        .arg(context)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let out = web.stdout.take().context("stdout")?;
    let link = BufReader::new(out).lines().next_line().await?;
    Ok((web, link.context("the pages are not served")?))
}

fn server_of(kubeconfig: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(kubeconfig)?;
    let value: serde_json::Value = flotilla_yaml::config::from_str("kubeconfig", &text)?;
    let server = value
        .pointer("/clusters/0/cluster/server")
        .and_then(serde_json::Value::as_str);
    Ok(server.context("the kubeconfig names no server")?.to_owned())
}

/// Creates the agent's namespace in an embedded cluster; a real one has it from its installation.
async fn namespace(kubeconfig: &Path) -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = server_of(kubeconfig)?;
    let Some(address) = server.strip_prefix("http://127.0.0.1:") else {
        return Ok(());
    };
    let body =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flotilla-system"}})
            .to_string();
    let mut stream = tokio::net::TcpStream::connect(format!("127.0.0.1:{address}")).await?;
    let request = format!(
        "POST /api/v1/namespaces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    anyhow::ensure!(
        answer.starts_with("HTTP/1.1 201"),
        "the namespace was not made: {answer}"
    );
    Ok(())
}
