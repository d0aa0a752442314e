//! A PostgreSQL server for a single test, from the system's packages.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::ports::free_port;

/// A running server; it ends when dropped.
pub struct Postgres {
    directory: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// Starts a server. None, and a recorded skip, if PostgreSQL is not installed.
    ///
    /// # Errors
    /// When it is installed but does not start.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(programs) = find() else {
            flotilla_needs::skip("postgres");
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let mut server = Self {
            directory,
            programs,
            port: 0,
            child: None,
        };
        std::fs::create_dir(server.data())?;
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(server.data()))?;
            // The account of the server must be able to enter the parent directory.
            let through = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(server.directory.path(), through)?;
        }
        let mut make = server.command("initdb");
        make.args(["--auth=trust", "--username=flotilla", "--no-sync", "-D"])
            .arg(server.data());
        run(&mut make)?;
        server.begin()?;
        Ok(Some(server))
    }

    /// A standby of this server, which replicates it from now on.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn standby(&self) -> anyhow::Result<Self> {
        let mut standby = Self {
            directory: tempfile::tempdir()?,
            programs: self.programs.clone(),
            port: 0,
            child: None,
        };
        std::fs::create_dir(standby.data())?;
        std::fs::set_permissions(standby.data(), std::fs::Permissions::from_mode(0o700))?;
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(standby.data()))?;
            let through = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(standby.directory.path(), through)?;
        }
        let mut copy = self.command("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", "flotilla", "--write-recovery-conf"])
            .args(["--checkpoint=fast", "--no-sync", "-D"])
            .arg(standby.data());
        run(&mut copy)?;
        standby.begin()?;
        Ok(standby)
    }

    /// Runs SQL as the server's owner; returns the output.
    ///
    /// # Errors
    /// When it fails.
    pub fn sql(&self, text: &str) -> anyhow::Result<String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", "flotilla", "-d", "postgres", "-X", "-q", "-t", "-A"])
            .args(["-v", "ON_ERROR_STOP=1", "-c", text])
            .output()?;
        anyhow::ensure!(
            output.status.success(),
            "{text}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The URL of its database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://flotilla@127.0.0.1:{}/postgres", self.port)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URL of its database through another address, such as that of a proxy.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("postgres://flotilla@{address}/postgres")
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        if !is_root() {
            return Command::new(path);
        }
        // PostgreSQL refuses to run as root.
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                "--",
            ])
            .arg(path);
        command
    }

    /// Kills it, like a crash.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            let pid = self.postmaster()?;
            run(Command::new("kill").args(["-9", &pid]))?;
            child.wait()?;
        }
        Ok(())
    }

    /// Pauses it without closing its connections, or resumes it.
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze(&self, frozen: bool) -> anyhow::Result<()> {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let pid = self.postmaster()?;
        let children = Command::new("pgrep").args(["-P", &pid]).output()?;
        let children = String::from_utf8(children.stdout)?;
        for pid in children.split_whitespace().chain([pid.as_str()]) {
            // A child process may have exited meanwhile.
            let _ = Command::new("kill").args([signal, pid]).output()?;
        }
        Ok(())
    }

    fn postmaster(&self) -> anyhow::Result<String> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        let line = text.lines().next().context("no pid")?;
        Ok(line.trim().to_owned())
    }

    /// Starts it for the first time, on a free port, which another process may take first.
    fn begin(&mut self) -> anyhow::Result<()> {
        for _ in 0..4 {
            self.port = free_port()?;
            let started = self.resume();
            let ended = self.child.as_mut().map(Child::try_wait).transpose()?;
            if started.is_ok() || ended.flatten().is_none() {
                return started;
            }
        }
        self.port = free_port()?;
        self.resume()
    }

    /// Starts it, also after it was killed.
    ///
    /// # Errors
    /// When it exits at once, or does not answer within two minutes.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        let mut serve = self.command("postgres");
        serve
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(serve.spawn()?);
        let deadline = std::time::Instant::now() + Duration::from_secs(120);
        loop {
            let ended = self.child.as_mut().map(Child::try_wait).transpose()?;
            anyhow::ensure!(ended.flatten().is_none(), "PostgreSQL ended at its start");
            let port = self.port.to_string();
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port, "-U", "flotilla"])
                .status()?;
            if ready.success() {
                return Ok(());
            }
            anyhow::ensure!(
                std::time::Instant::now() < deadline,
                "PostgreSQL does not answer"
            );
            // `pg_isready` asks once and does not wait.
            run(Command::new("sleep").arg("0.05"))?;
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.freeze(false);
        let _ = self.kill();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    })
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Debian installs the programs outside of PATH, by version.
fn find() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|path: &PathBuf| path.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().or_else(|| {
        let local = Path::new("/usr/bin");
        local.join("initdb").exists().then(|| local.to_owned())
    })
}
