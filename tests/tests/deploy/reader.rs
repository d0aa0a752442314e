//! A reader who follows a page and types its lines at a terminal, one after the other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flotilla_tests::eventually;
use flotilla_tests::repository::git;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdout, Command};

/// Timeout of a line.
const LIMIT: Duration = Duration::from_secs(120);

/// Commands that run until they are stopped.
const FOLLOWS: [&str; 3] = [
    "flotilla-hub run",
    "flotilla status --watch",
    "flotilla events -f",
];

/// Whether a line runs until it is stopped.
pub(crate) fn follows(line: &str) -> bool {
    FOLLOWS.iter().any(|begins| line.starts_with(begins))
}

/// The reader, with a home directory and a terminal.
pub(crate) struct Reader {
    programs: PathBuf,
    /// Its home directory, which contains all its other files.
    pub(crate) home: PathBuf,
    /// Its working directory.
    pub(crate) work: PathBuf,
    /// Placeholders of the pages, and their values here.
    pub(crate) means: Vec<(String, String)>,
}

impl Reader {
    /// In its own directory.
    pub(crate) fn new(programs: &Path, home: &Path) -> Self {
        let work = home.join("work");
        std::fs::create_dir_all(&work).unwrap();
        let name = "[user]\nname = Ada\nemail = ada@example.org\n";
        std::fs::write(home.join(".gitconfig"), name).unwrap();
        Self {
            programs: programs.to_owned(),
            home: home.to_owned(),
            work,
            means: Vec::new(),
        }
    }

    /// Sets the value of a placeholder.
    pub(crate) fn means(&mut self, word: &str, meaning: &str) {
        self.means.retain(|(known, _)| known != word);
        self.means.push((word.to_owned(), meaning.to_owned()));
    }

    /// A text of the page with placeholders replaced.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, meaning) in &self.means {
            text = text.replace(word, meaning);
        }
        text
    }

    /// A command line at a terminal that answers yes to every question.
    fn terminal(&self, line: &str) -> Child {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("script")
            .args(["-qefc", &self.fill(line), "/dev/null"])
            .current_dir(&self.work)
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("HOME", &self.home)
            .env("SHELL", "/bin/bash")
            .env("TERM", "dumb")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("script of Debian's bsdutils");
        let mut keyboard = child.stdin.take().unwrap();
        tokio::spawn(async move {
            let _ = keyboard.write_all(b"y\ny\n").await;
            // Keep stdin open, as a keyboard does.
            std::future::pending::<()>().await;
        });
        child
    }

    /// Types a line and waits until it exits; returns its exit code and output.
    pub(crate) async fn types(&self, line: &str) -> (i32, String) {
        let mut child = self.terminal(line);
        let mut shown = String::new();
        let mut out = child.stdout.take().unwrap();
        let ended = tokio::time::timeout(LIMIT, async {
            let mut bytes = Vec::new();
            out.read_to_end(&mut bytes).await.unwrap();
            shown = String::from_utf8_lossy(&bytes).into_owned();
            child.wait().await.unwrap()
        });
        let ended = ended.await;
        let ended = ended.unwrap_or_else(|_| panic!("{line}: goes on for {LIMIT:?}"));
        (ended.code().unwrap_or(-1), shown)
    }

    /// Starts a command that runs until it is stopped.
    pub(crate) fn begins(&self, line: &str) -> RunningCommand {
        let mut child = self.terminal(line);
        let out = child.stdout.take().unwrap();
        RunningCommand {
            child,
            out,
            shown: String::new(),
        }
    }

    /// Clones a repository, and works in the clone from now on.
    pub(crate) fn clones(&mut self, url: &str) {
        git(&self.work, &["clone", "-q", url, "fleet"]).unwrap();
        self.work = self.work.join("fleet");
        git(&self.work, &["config", "user.name", "Ada"]).unwrap();
    }
}

/// A running command at a terminal; it ends when dropped.
pub(crate) struct RunningCommand {
    child: Child,
    out: ChildStdout,
    shown: String,
}

impl RunningCommand {
    /// Waits until it shows something.
    pub(crate) async fn until(&mut self, what: &str, is_there: impl Fn(&str) -> bool) {
        let read = async {
            while !is_there(&self.shown) {
                let mut bytes = [0; 4096];
                let count = self.out.read(&mut bytes).await.unwrap_or_default();
                assert!(count > 0, "{what}: it ended: {}", self.shown);
                self.shown += &String::from_utf8_lossy(&bytes[..count]);
            }
        };
        let read = tokio::time::timeout(LIMIT, read).await;
        assert!(read.is_ok(), "{what}: not within {LIMIT:?}: {}", self.shown);
    }

    /// Stops the command and its child processes: closing the terminal does not suffice if this process ignores
    /// SIGHUP. Locks are released afterwards.
    pub(crate) async fn end(mut self) {
        let terminal = self.child.id().unwrap();
        let path = format!("/proc/{terminal}/task/{terminal}/children");
        let ran = std::fs::read_to_string(path).unwrap_or_default();
        let ran: Vec<&str> = ran.split_whitespace().collect();
        self.child.kill().await.unwrap();
        // Most have ended when the terminal closed.
        let _ = Command::new("kill")
            .args(&ran)
            .stderr(Stdio::null())
            .status()
            .await;
        let ended = |process: &str| {
            let state = std::fs::read_to_string(format!("/proc/{process}/stat"));
            // The first thread may have exited before the others, which still hold locks.
            let threads = std::fs::read_dir(format!("/proc/{process}/task"));
            let is_last = threads.map_or(true, |all| all.count() <= 1);
            state.map_or(true, |state| state.contains(") Z ") && is_last)
        };
        eventually("what ran in the terminal ends", LIMIT, || async {
            ran.iter().all(|run| ended(run)).then_some(())
        })
        .await
        .unwrap();
    }
}
