//! A hub as a process of its own, with what it uses up.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncBufReadExt as _;
use tokio::process::{Child, Command};

/// The process; it ends with this value.
pub struct HubProcess {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// Where its pages are.
    pub pages: Option<String>,
}

impl HubProcess {
    /// Starts one over `hub/` and `fleet.yaml` of a directory; with `files` it may have only so many
    /// files open.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(
        programs: &Path,
        directory: &Path,
        listen: &str,
        files: Option<u32>,
    ) -> anyhow::Result<Self> {
        Self::start_with(programs, directory, listen, files, None).await
    }

    /// Likewise; with `oidc`, a file about an issuer, it serves pages.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_with(
        programs: &Path,
        directory: &Path,
        listen: &str,
        files: Option<u32>,
        oidc: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let program = programs.join("flotilla-hub");
        let mut command = match files {
            None => Command::new(program),
            Some(files) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
                shell.arg(program);
                shell
            }
        };
        let command = command
            .args(["--log", "error", "run", "--poll-interval", "5s"])
            .args(["--listen", listen])
            .arg("--data-dir")
            .arg(directory.join("hub"))
            .arg("--fleet")
            .arg(directory.join("fleet.yaml"));
        if let Some(file) = oidc {
            command.args(["--web-listen", "127.0.0.1:0", "--oidc-config-file"]);
            command.arg(file);
        }
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let out = child.stdout.take().context("no standard output")?;
        let mut lines = tokio::io::BufReader::new(out).lines();
        let mut last = async || {
            let line = lines.next_line().await?.context("the hub ended")?;
            anyhow::Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
        };
        let address = last().await?;
        let pages = match oidc {
            Some(_) => Some(last().await?),
            None => None,
        };
        Ok(Self {
            child,
            address,
            pages,
        })
    }

    /// What it has used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id().unwrap_or_default())
    }

    /// Ends it as a power cut does.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill().await
    }
}

/// Of a process, as Linux counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub resident_kib: u64,
    /// Of all its threads.
    pub cpu: Duration,
}

impl Usage {
    /// Of a process.
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
        // After the parenthesised name: utime and stime are the 12th and 13th; a tick is 10 ms.
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
