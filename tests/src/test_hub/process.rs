//! A hub in its own process, and the resources that it uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_hub::app::Config;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How to run the built program, in the hub's directory.
#[derive(Default)]
pub struct Process {
    /// The directory of the programs.
    pub programs: PathBuf,
    /// Shell commands to run before the hub, such as setting limits.
    pub shell: String,
    /// Additional arguments of `run`.
    pub arguments: Vec<String>,
    /// Additional environment variables.
    pub environment: Vec<(&'static str, String)>,
    /// The file to which its log is appended; none: errors only, among the output of the test.
    pub log: Option<PathBuf>,
}

impl Process {
    pub(super) fn spawn(
        &self,
        root: &Path,
        config: &Config,
        listen: SocketAddr,
    ) -> anyhow::Result<HubProcess> {
        let script = format!("{}\nexec \"$0\" \"$@\"", self.shell);
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command.arg(self.programs.join("flotilla-hub"));
        match &self.log {
            Some(path) => {
                let mut options = std::fs::OpenOptions::new();
                command.stderr(options.create(true).append(true).open(path)?);
            }
            None => {
                command.args(["--log", "error"]);
            }
        }
        let mut child = command
            .arg("run")
            .args(arguments(config, listen))
            .args(&self.arguments)
            .envs(self.environment.clone())
            .current_dir(root)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("flotilla-hub")?;
        let out = child.stdout.take().context("no standard output")?;
        let out = BufReader::new(out).lines();
        Ok(HubProcess { child, out })
    }
}

/// The command line for a configuration of a hub in its directory.
fn arguments(config: &Config, listen: SocketAddr) -> Vec<String> {
    let interval = config.poll_interval.map(|every| every.as_secs_f64());
    let issuer = config.oidc_file.as_ref().map(|_| "oidc.yaml".to_owned());
    let pages = config.web.as_ref().map(|web| web.listen.clone());
    let options = [
        ("--data-dir", Some("hub".to_owned())),
        ("--fleet", Some("fleet.yaml".to_owned())),
        ("--listen", Some(listen.to_string())),
        ("--poll-interval", interval.map(|every| format!("{every}s"))),
        ("--metrics-listen", config.metrics_listen.clone()),
        ("--oidc-config-file", issuer),
        ("--web-listen", pages),
    ];
    let given = options.into_iter();
    let given = given.filter_map(|(name, value)| Some([name.to_owned(), value?]));
    given.flatten().collect()
}

/// The process; it ends when dropped.
pub(super) struct HubProcess {
    child: Child,
    /// Its stdout. A hub that cannot print its address exits.
    out: Lines<BufReader<ChildStdout>>,
}

impl HubProcess {
    /// The last word of the next line.
    pub(super) async fn word(&mut self) -> anyhow::Result<String> {
        let line = self.out.next_line().await?.context("the hub ended")?;
        Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) async fn kill(mut self) -> std::io::Result<()> {
        self.child.kill().await
    }

    /// Sends SIGTERM, and waits until it has exited.
    pub(super) async fn stop(mut self, limit: Duration) -> anyhow::Result<()> {
        let pid = self.child.id().context("the hub has ended")?.to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().await?;
        anyhow::ensure!(asked.success(), "the hub cannot be asked to end");
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        let ended = ended.context("the hub does not end")??;
        anyhow::ensure!(ended.success(), "the hub ended with {ended}");
        Ok(())
    }
}

/// Resource usage of a process, as reported by Linux.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub resident_kib: u64,
    /// CPU time of all threads.
    pub cpu: Duration,
}

impl Usage {
    /// The usage of a process.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let read =
            |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let resident_kib = read("status")
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        let stat = read("stat");
        // After the name in parentheses: utime and stime are the 12th and 13th field; a tick is 10 ms.
        let ticks: u64 = stat
            .rsplit(')')
            .next()
            .map(|rest| {
                let fields: Vec<&str> = rest.split_whitespace().collect();
                let field = |index: usize| -> u64 {
                    fields
                        .get(index)
                        .and_then(|f| f.parse().ok())
                        .unwrap_or_default()
                };
                field(11) + field(12)
            })
            .unwrap_or_default();
        Self {
            resident_kib,
            cpu: Duration::from_millis(ticks * 10),
        }
    }
}
