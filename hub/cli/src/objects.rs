//! Objects of the user's own Git repository: resolves names, lists commits, and reads contents on demand from one
//! process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use flotilla_shared::report::plain_line;

use crate::error::Error;
use crate::git::LEADING_ELSEWHERE;

/// Largest object that is read: more than any file that a render accepts.
const MAX_OBJECT: u64 = 64 << 20;

/// A running `git cat-file --batch`.
pub(crate) struct Objects {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Objects {
    fn drop(&mut self) {
        // The process only reads, and its reader is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(root)
        .env("LC_ALL", "C")
        .env("GIT_NO_LAZY_FETCH", "1")
        .stdin(Stdio::null());
    for name in LEADING_ELSEWHERE {
        command.env_remove(name);
    }
    command
}

pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let output = git(root).args(arguments).output().map_err(Error::NoGit)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Git {
            what: arguments.first().copied().unwrap_or_default().to_owned(),
            detail: format!(": {}", plain_line(text.trim(), 400)),
        });
    }
    Ok(output.stdout)
}

/// Returns the commit of a name.
pub(crate) fn commit(root: &Path, name: &str) -> Result<String, Error> {
    let spec = format!("{name}^{{commit}}");
    let found = run(
        root,
        &[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &spec,
        ],
    );
    let found = found.map_err(|error| match error {
        Error::Git { .. } => Error::refused(
            format!("there is no commit {}", plain_line(name, 100)),
            "a branch that only the server has is called origin/NAME here; in CI, fetch it \
             first: a shallow clone has one commit only",
        ),
        other => other,
    })?;
    Ok(String::from_utf8_lossy(&found).trim().to_owned())
}

/// Returns the merge base of two commits; none: the local history has none.
pub(crate) fn parted(root: &Path, left: &str, other: &str) -> Option<String> {
    let found = run(root, &["merge-base", left, other]).ok()?;
    let found = String::from_utf8_lossy(&found).trim().to_owned();
    (!found.is_empty()).then_some(found)
}

/// Returns the URLs of the repository's remotes.
pub(crate) fn remotes(root: &Path) -> Vec<String> {
    let list = ["config", "--get-regexp", "^remote\\..*\\.url$"];
    let found = run(root, &list).unwrap_or_default();
    let found = String::from_utf8_lossy(&found).into_owned();
    let urls = found.lines().filter_map(|line| line.split_once(' '));
    urls.map(|(_, url)| url.trim().to_owned()).collect()
}

impl Objects {
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        let mut child = git(root)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::NoGit)?;
        let closed = || Error::Local(std::io::Error::other("git has no streams"));
        let ask = child.stdin.take().ok_or_else(closed)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(closed)?);
        Ok(Self {
            child,
            ask,
            answers,
        })
    }

    /// Returns an object's content.
    pub(crate) fn read(&mut self, id: &str) -> Result<Vec<u8>, Error> {
        self.ask
            .write_all(format!("{id}\n").as_bytes())
            .map_err(Error::Local)?;
        let mut head = String::new();
        self.answers.read_line(&mut head).map_err(Error::Local)?;
        let size = head.split_ascii_whitespace().nth(2);
        let size = size.and_then(|size| size.parse::<u64>().ok());
        let size = size.filter(|size| *size <= MAX_OBJECT).ok_or_else(|| {
            Error::Local(std::io::Error::other(format!("git has no object {id}")))
        })?;
        let mut content = Vec::new();
        let mut rest = (&mut self.answers).take(size + 1);
        rest.read_to_end(&mut content).map_err(Error::Local)?;
        content.pop();
        Ok(content)
    }
}
