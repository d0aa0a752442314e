//! Somebody who follows a page: types its lines at a terminal, one after the other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flotilla_tests::eventually;
use flotilla_tests::repository::git;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdout, Command};

/// Longest that a line may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What goes on until somebody ends it.
const FOLLOWS: [&str; 3] = [
    "flotilla-hub run",
    "flotilla status --watch",
    "flotilla events -f",
];

/// Whether a line goes on until somebody ends it.
pub(crate) fn follows(line: &str) -> bool {
    FOLLOWS.iter().any(|begins| line.starts_with(begins))
}

/// The reader, with a home and a terminal.
pub(crate) struct Reader {
    programs: PathBuf,
    /// Its home, and all else that is its own.
    pub(crate) home: PathBuf,
    /// Where it types.
    pub(crate) work: PathBuf,
    /// What stands for something in the page, and what it is here.
    pub(crate) means: Vec<(String, String)>,
}

impl Reader {
    /// In a directory of its own.
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

    /// Puts what stands for something.
    pub(crate) fn means(&mut self, word: &str, meaning: &str) {
        self.means.retain(|(known, _)| known != word);
        self.means.push((word.to_owned(), meaning.to_owned()));
    }

    /// A text of the page, as it is here.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, meaning) in &self.means {
            text = text.replace(word, meaning);
        }
        text
    }

    /// A line at a terminal, where yes is the answer to every question.
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
            // Held open: a keyboard does not end.
            std::future::pending::<()>().await;
        });
        child
    }

    /// Types a line and waits for its end; its exit code and what was shown.
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

    /// Begins what goes on until somebody ends it.
    pub(crate) fn begins(&self, line: &str) -> Following {
        let mut child = self.terminal(line);
        let out = child.stdout.take().unwrap();
        Following {
            child,
            out,
            shown: String::new(),
        }
    }

    /// The reader's clone of a repository, in which it types from now on.
    pub(crate) fn clones(&mut self, url: &str) {
        git(&self.work, &["clone", "-q", url, "fleet"]).unwrap();
        self.work = self.work.join("fleet");
        git(&self.work, &["config", "user.name", "Ada"]).unwrap();
    }
}

/// What goes on at a terminal; it ends with this value.
pub(crate) struct Following {
    child: Child,
    out: ChildStdout,
    shown: String,
}

impl Following {
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

    /// Ends it, and what runs there: a closed terminal alone would end nothing where this process was started
    /// to outlive its own. What it has locked is free then.
    pub(crate) async fn end(mut self) {
        let terminal = self.child.id().unwrap();
        let path = format!("/proc/{terminal}/task/{terminal}/children");
        let ran = std::fs::read_to_string(path).unwrap_or_default();
        let ran: Vec<&str> = ran.split_whitespace().collect();
        self.child.kill().await.unwrap();
        // Most have ended by that.
        let _ = Command::new("kill")
            .args(&ran)
            .stderr(Stdio::null())
            .status()
            .await;
        let ended = |process: &str| {
            let state = std::fs::read_to_string(format!("/proc/{process}/stat"));
            // Its first thread may have ended before the others, which hold what it has locked.
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
