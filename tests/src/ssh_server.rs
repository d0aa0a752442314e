//! A real OpenSSH server on a free port, with its own keys, to test Git over SSH.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::eventually;
use crate::ports::free_port;

const PROGRAM: &str = "/usr/sbin/sshd";

/// A running server; it ends when dropped.
pub struct SshServer {
    directory: PathBuf,
    port: u16,
    user: String,
    process: Child,
}

impl SshServer {
    /// Whether sshd is installed.
    #[must_use]
    pub fn is_here() -> bool {
        Path::new(PROGRAM).exists()
    }

    /// Starts it, with its files in `directory`; no key is authorised yet.
    ///
    /// # Errors
    /// When keys cannot be made or the server does not listen within 20 seconds.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let port = free_port()?;
        make_key(&directory.join("host")).await?;
        std::fs::write(directory.join("authorized"), "")?;
        // The privilege separation directory of sshd, which Debian's service creates at boot. Without root rights sshd
        // does not need it.
        let _ = std::fs::create_dir("/run/sshd");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             AcceptEnv GIT_PROTOCOL\nMaxStartups 100\n",
            directory.display()
        );
        std::fs::write(directory.join("sshd_config"), text)?;
        let output = Command::new("id").arg("-un").output().await?;
        let user = String::from_utf8(output.stdout)?.trim().to_owned();
        let process = run(directory, port).await?;
        let directory = directory.to_owned();
        Ok(Self {
            directory,
            port,
            user,
            process,
        })
    }

    /// The URL of a repository on this machine.
    #[must_use]
    pub fn url(&self, repository: &Path) -> String {
        let (user, port) = (&self.user, self.port);
        format!("ssh://{user}@127.0.0.1:{port}{}", repository.display())
    }

    /// The prefix of credential files for this server.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1_{}", self.port)
    }

    /// The line of `known_hosts` for its current host key.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn known_hosts(&self) -> anyhow::Result<String> {
        let key = std::fs::read_to_string(self.directory.join("host.pub"))?;
        Ok(format!("[127.0.0.1]:{} {key}", self.port))
    }

    /// Authorises this public key and no other.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn authorize(&self, key: &Path) -> anyhow::Result<()> {
        std::fs::copy(key.with_extension("pub"), self.directory.join("authorized"))?;
        Ok(())
    }

    /// Restarts it with another host key.
    ///
    /// # Errors
    /// Like [`SshServer::start`].
    pub async fn change_host_key(&mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        for name in ["host", "host.pub"] {
            std::fs::remove_file(self.directory.join(name))?;
        }
        make_key(&self.directory.join("host")).await?;
        self.process = run(&self.directory, self.port).await?;
        Ok(())
    }
}

/// Makes a key pair without a passphrase.
///
/// # Errors
/// When `ssh-keygen` fails.
pub async fn make_key(path: &Path) -> anyhow::Result<()> {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .status()
        .await
        .context("ssh-keygen")?;
    anyhow::ensure!(status.success(), "ssh-keygen failed");
    Ok(())
}

async fn run(directory: &Path, port: u16) -> anyhow::Result<Child> {
    let log = std::fs::File::create(directory.join("log"))?;
    let process = Command::new(PROGRAM)
        .args(["-D", "-e", "-f"])
        .arg(directory.join("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    eventually("sshd listens", Duration::from_secs(20), || async {
        TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await
    .with_context(|| std::fs::read_to_string(directory.join("log")).unwrap_or_default())?;
    Ok(process)
}
