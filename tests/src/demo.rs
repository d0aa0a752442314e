//! The demo: a fleet of seven clusters on one machine. Real processes, real mTLS, real Git; only the
//! clusters are embedded API servers.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use flotilla_apiserver::{ApiServer, Serving};
use flotilla_proto::v1;
use flotilla_shared::tls;
use flotilla_tests::eventually;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::git_server::GitServer;
use flotilla_tests::ports::free_address;
use flotilla_tests::programs;
use flotilla_tests::repository::{Repository, git};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

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
    // Nobody reads a closed terminal.
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
    say("building hub, agent and CLI");
    let binaries = programs::build().await?;
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
    hub: Child,
    /// The pages, as `flotilla web` serves them.
    web: Child,
    operator: Operator,
    agents: Vec<Child>,
    clusters: Vec<String>,
    _servers: Vec<(ApiServer, Serving)>,
}

impl Demo {
    async fn start(directory: &Path, binaries: &Path, args: &Args) -> anyhow::Result<Self> {
        let repository = Repository::create(directory, "fleet")?;
        // So that the hub can read who wrote what, and whom a commit changes.
        repository.allow_filter()?;
        configuration(&repository)?;
        repository.push("A guestbook for every cluster", &["dev", "stage", "prod"])?;
        let git = GitServer::start(&directory.join("served"), "127.0.0.1:0").await?;
        git_remote(&repository, &git)?;
        std::fs::write(directory.join("fleet.yaml"), fleet_file(&git))?;

        let data = directory.join("hub");
        let hub_binary = binaries.join("flotilla-hub");
        let address = free_address()?;
        let status = Command::new(&hub_binary)
            .args(["init", "--address", &address, "--data-dir"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .await?;
        anyhow::ensure!(status.success(), "flotilla-hub init failed");
        let hub = start_hub(&hub_binary, directory, &address).await?;
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

    /// Pushes one commit to dev and says when what happened.
    async fn time_line(&mut self) -> anyhow::Result<()> {
        self.repository
            .write("apps/guestbook/config.yaml", &config("Hello again"))?;
        let commit = self.repository.push("Greet again", &["dev"])?;
        let pushed = Instant::now();
        say(&format!(
            "pushed {} to dev",
            commit.get(..7).unwrap_or(&commit)
        ));
        let mut operator = self.operator.clone();
        let seen = |wanted: fn(&v1::ClusterStatus, &str) -> bool| {
            let (operator, commit) = (operator.clone(), commit.clone());
            move || {
                let (mut operator, commit) = (operator.clone(), commit.clone());
                async move {
                    let cluster = operator.cluster("dev-1").await?;
                    wanted(&cluster, &commit).then_some(())
                }
            }
        };
        let limit = Duration::from_secs(30);
        let assigned = |cluster: &v1::ClusterStatus, commit: &str| {
            cluster.applications.iter().any(|placement| {
                placement
                    .assigned
                    .as_ref()
                    .is_some_and(|revision| revision.commit == commit)
            })
        };
        eventually("assigned", limit, seen(assigned)).await?;
        say(&format!(
            "  {:>6.2}s assigned to dev-1",
            pushed.elapsed().as_secs_f64()
        ));
        let applied = |cluster: &v1::ClusterStatus, commit: &str| {
            application(cluster, "guestbook").is_some_and(|report| {
                report
                    .revision
                    .as_ref()
                    .is_some_and(|revision| revision.commit == commit)
            })
        };
        eventually("applied", limit, seen(applied)).await?;
        say(&format!(
            "  {:>6.2}s applied in dev-1 and reported",
            pushed.elapsed().as_secs_f64()
        ));
        self.wait_current("dev-1", Some(&commit)).await?;
        say(&format!(
            "  {:>6.2}s healthy",
            pushed.elapsed().as_secs_f64()
        ));
        let refresh = v1::RefreshRequest {
            environment: "dev".to_owned(),
        };
        operator.api.refresh(refresh).await?;
        Ok(())
    }

    fn hints(&self) {
        let flotilla = self.binaries.join("flotilla").display().to_string();
        let context = self
            .directory
            .join("hub/operator/admin.yaml")
            .display()
            .to_string();
        let work = self.repository.work.display().to_string();
        let hub = self.hub.id().unwrap_or(0);
        say("\nTry next, in another terminal:\n");
        say(&format!("  export FLOTILLA_CONFIG={context}"));
        say(&format!("  {flotilla} status"));
        say(&format!("  {flotilla} explain prod-eu-1"));
        say(&format!(
            "  {flotilla} web --open        # the same in another browser"
        ));
        say("\n  promote dev to stage:");
        say(&format!("  {flotilla} promote stage"));
        say(
            "\n  prod takes it in waves: prod-eu-1 first, the others once that was healthy for five seconds;",
        );
        say("  its gate opens when stage was healthy at exactly this commit for five seconds:");
        say(&format!("  {flotilla} promote prod --wait"));
        say(
            "\n  a commit that fails in prod only: prod-eu-1 takes it, the others never do, and prod goes",
        );
        say("  back by itself; then mend it:");
        say(&format!(
            "  cd {work} && sed -i 's/probe:1/probe:broken/' clusters/prod/probe.yaml && git commit -qam 'Break prod' && git push origin HEAD:dev"
        ));
        say(&format!(
            "  {flotilla} promote stage --wait --yes && {flotilla} promote prod --wait --yes"
        ));
        say(&format!("  {flotilla} rollout show prod"));
        say(&format!(
            "  cd {work} && git revert --no-edit HEAD && git push origin HEAD:dev && {flotilla} promote stage --wait --yes && {flotilla} promote prod --wait --yes"
        ));
        say("\n  cause drift, and see it undone:");
        let kubeconfig = self.directory.join("dev-1.kubeconfig");
        if let Ok(server) = server_of(&kubeconfig) {
            say(&format!(
                "  curl -s -X DELETE {server}/api/v1/namespaces/guestbook/configmaps/greeting"
            ));
            say(&format!(
                "  curl -s {server}/api/v1/namespaces/guestbook/configmaps/greeting"
            ));
        }
        say("\n  take the hub away (the clusters go on), then end the demo with Ctrl-C:");
        say(&format!("  kill {hub}"));
        say(&format!(
            "\nAgents log to {}/*.log; Git is at {}\n",
            self.directory.display(),
            self.git.url("fleet.git")
        ));
    }

    /// Shows the fleet live until the hub goes.
    async fn show(&self) -> anyhow::Result<()> {
        let mut operator = self.operator.clone();
        let request = v1::WatchRequest {
            filter: None,
            summary: true,
        };
        let mut changes = operator.api.watch(request).await?.into_inner();
        while let Ok(Some(change)) = changes.message().await {
            if let Some(v1::watch_response::Event::Cluster(cluster)) = change.event {
                let report = application(&cluster, "guestbook")
                    .cloned()
                    .unwrap_or_default();
                let commit = report
                    .revision
                    .as_ref()
                    .map_or("-", |r| r.commit.get(..7).unwrap_or("-"));
                say(&format!(
                    "{:<10} {:<6} {commit:<8} {:<12} {:<12} {} {}",
                    cluster.name,
                    cluster.environment,
                    cluster
                        .sync()
                        .as_str_name()
                        .trim_start_matches("SYNC_")
                        .to_lowercase(),
                    cluster
                        .health()
                        .as_str_name()
                        .trim_start_matches("HEALTH_")
                        .to_lowercase(),
                    report.reason,
                    report.message
                ));
            }
        }
        say("the hub is gone; the clusters go on with what they have. Ctrl-C ends the demo");
        std::future::pending().await
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        for agent in &mut self.agents {
            agent.kill().await?;
        }
        let _ = self.web.kill().await;
        // It may have been killed on purpose.
        let _ = self.hub.kill().await;
        Ok(())
    }
}

/// Serves the pages with the operator's own context, and gives the link that lets one browser in.
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

async fn start_hub(binary: &Path, directory: &Path, address: &str) -> anyhow::Result<Child> {
    let log = std::fs::File::create(directory.join("hub.log"))?;
    let mut hub = Command::new(binary)
        .args([
            "run",
            "--poll-interval",
            "1s",
            "--listen",
            address,
            "--data-dir",
        ])
        .arg(directory.join("hub"))
        .arg("--fleet")
        .arg(directory.join("fleet.yaml"))
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    let out = hub.stdout.take().context("stdout")?;
    let ready = BufReader::new(out).lines().next_line().await?;
    anyhow::ensure!(
        ready.is_some(),
        "the hub did not start; see {}/hub.log",
        directory.display()
    );
    Ok(hub)
}

fn server_of(kubeconfig: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(kubeconfig)?;
    let value: serde_json::Value = flotilla_yaml::config::from_str("kubeconfig", &text)?;
    let server = value
        .pointer("/clusters/0/cluster/server")
        .and_then(serde_json::Value::as_str);
    Ok(server.context("the kubeconfig names no server")?.to_owned())
}

/// The agent's own namespace, in an embedded cluster; a real one has it by its installation.
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

fn git_remote(repository: &Repository, server: &GitServer) -> anyhow::Result<()> {
    git(
        &repository.work,
        &["remote", "set-url", "origin", &server.url("fleet.git")],
    )?;
    git(&repository.work, &["config", "user.name", "Flotilla demo"])?;
    git(
        &repository.work,
        &["config", "user.email", "demo@example.com"],
    )?;
    Ok(())
}

fn fleet_file(server: &GitServer) -> String {
    format!(
        "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
  - name: fleet
    url: {}
environments:
  - name: dev
    branch: dev
  - name: stage
    branch: stage
    promotesFrom: dev
  - name: prod
    branch: prod
    promotesFrom: stage
    strategy:
      waves:
        - name: canary
          selector: tier=canary
      soak: 5s
      progressDeadline: 2m
      onFailure: rollback
    gates:
      proof: {{soak: 5s}}
clusters:
  - name: prod-eu-1
    environment: prod
    labels: {{tier: canary}}
applications:
  - name: platform
    repository: fleet
    path: platform
  - name: guestbook
    repository: fleet
    path: apps/guestbook
    namespace: guestbook
    dependsOn: [platform]
  - name: cluster
    repository: fleet
    path: clusters/{{environment}}
",
        server.url("fleet.git")
    )
}

fn config(greeting: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: greeting\ndata:\n  text: {greeting}\n"
    )
}

/// What the agents hold the hub to: anything from that Git server without TLS, and plans of changes before
/// they are merged.
const POLICY: &str = "allowHttp: true\nplan: {branches: ['feature/*']}\n";

/// What each environment may set by itself.
const PROBE: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: probe
  namespace: default
spec:
  selector:
    matchLabels: {app: probe}
  template:
    metadata:
      labels: {app: probe}
    spec:
      containers:
        - name: probe
          image: example.com/probe:1
";

fn configuration(repository: &Repository) -> anyhow::Result<()> {
    let namespace =
        |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n");
    repository.write("platform/namespaces.yaml", &namespace("guestbook"))?;
    repository.write("apps/guestbook/config.yaml", &config("Hello"))?;
    repository.write(
        "apps/guestbook/deployment.yaml",
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: frontend
spec:
  replicas: 3
  selector:
    matchLabels:
      app: frontend
  template:
    metadata:
      labels:
        app: frontend
    spec:
      containers:
        - name: web
          image: example.com/guestbook/web:1
          ports:
            - containerPort: 80
---
apiVersion: v1
kind: Service
metadata:
  name: frontend
spec:
  selector:
    app: frontend
  ports:
    - port: 80
",
    )?;
    for environment in ["dev", "stage", "prod"] {
        let facts = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: environment\n  namespace: default\n\
             data:\n  name: {environment}\n"
        );
        repository.write(&format!("clusters/{environment}/facts.yaml"), &facts)?;
        repository.write(&format!("clusters/{environment}/probe.yaml"), PROBE)?;
    }
    Ok(())
}
