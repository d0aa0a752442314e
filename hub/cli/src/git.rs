//! The user's own `git`: their credentials, their configuration, their hooks.
//!
//! Work is done in a temporary bare repository, so that no clone of the user is changed; a given clone lends its
//! objects. Text of a hub is never passed as an option, and only the transports that fleet files allow may be used.

mod upstream;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use flotilla_shared::report::plain_line;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use tokio::process::Command;

use crate::error::Error;

pub(crate) use upstream::Upstream;

/// Highest number of commits that are listed.
const MAX_LISTED: usize = 50;
/// Longest message of git that is shown.
const MAX_MESSAGE: usize = 2000;

/// A temporary bare repository.
pub(crate) struct Workspace {
    directory: tempfile::TempDir,
}

/// The commits of a move.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// `<short id> <subject>`, newest first, at most [`MAX_LISTED`].
    pub(crate) lines: Vec<String>,
    /// Number of commits.
    pub(crate) count: usize,
}

/// Variables that git sets for a hook; they would point git to another repository.
pub(crate) const LEADING_ELSEWHERE: [&str; 4] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
];

fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(directory)
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
        .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:file")
        .env("LC_ALL", "C")
        .kill_on_drop(true);
    for name in LEADING_ELSEWHERE {
        command.env_remove(name);
    }
    command
}

/// Ways to set ssh for git; the first that is set wins (git's `core.sshCommand`).
struct Ssh {
    /// `GIT_SSH_COMMAND`.
    command: Option<String>,
    /// `core.sshCommand`.
    configured: Option<String>,
    /// `GIT_SSH`, which takes no options.
    program: Option<String>,
}

impl Ssh {
    /// Returns the command that never asks for a password; none: the program of `GIT_SSH` may ask.
    fn unprompted(self) -> Option<String> {
        let usual = || self.program.is_none().then(|| "ssh".to_owned());
        let command = self.command.or(self.configured).or_else(usual)?;
        Some(format!("{command} -o BatchMode=yes"))
    }
}

fn failure(what: &str, stderr: &[u8]) -> Error {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| plain_line(line, 400))
        .collect();
    let detail: String = lines.join("\n  ").chars().take(MAX_MESSAGE).collect();
    Error::Git {
        what: what.to_owned(),
        detail: if detail.is_empty() {
            detail
        } else {
            format!(":\n  {detail}")
        },
    }
}

/// Returns the root of a folder's work tree, with the files that git knows or would add; none: the folder is not in a
/// work tree.
pub(crate) async fn work_tree(folder: &Path) -> Result<Option<(PathBuf, Vec<String>)>, Error> {
    let mut top = command(folder);
    top.args(["rev-parse", "--show-toplevel"]);
    let output = run(top).await?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        // A repository that git may not read, or does not trust, does exist: that stays an error.
        let none = ["not a git repository", "must be run in a work tree"];
        if none.iter().any(|none| message.contains(none)) {
            return Ok(None);
        }
        return Err(failure("rev-parse", &output.stderr));
    }
    let root = String::from_utf8_lossy(&output.stdout);
    let root = std::fs::canonicalize(root.trim_end_matches('\n')).map_err(Error::Local)?;
    // In the superproject's commit a submodule is only a commit id, without files.
    let mut outer = command(&root);
    outer.args(["rev-parse", "--show-superproject-working-tree"]);
    let outer = run(outer).await?;
    let above = String::from_utf8_lossy(&outer.stdout);
    let above = above.trim_end_matches('\n');
    if outer.status.success() && !above.is_empty() {
        return Err(Error::refused(
            format!(
                "{} is a submodule of {above}, and agents read no submodules",
                root.display()
            ),
            "copy its content into the repository, or name the submodule's own repository in \
             the fleet file",
        ));
    }
    let mut list = command(&root);
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let output = run(list).await?;
    if !output.status.success() {
        return Err(failure("ls-files", &output.stderr));
    }
    let paths = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    Ok(Some((root, paths)))
}

/// Runs git to its end; returns the exit code and output. Prompts for credentials reach the terminal, since git and ssh
/// open it themselves.
async fn run(mut command: Command) -> Result<std::process::Output, Error> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .await
        .map_err(Error::NoGit)
}

async fn succeed(what: &str, command: Command) -> Result<String, Error> {
    let output = run(command).await?;
    if !output.status.success() {
        return Err(failure(what, &output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the head of a branch on the server; none: the branch does not exist.
async fn head(
    mut git: Command,
    url: &RepositoryUrl,
    branch: &BranchName,
) -> Result<Option<Commit>, Error> {
    let full = branch.full_ref();
    git.args(["ls-remote", "--quiet", "--"])
        .arg(url.as_str())
        .arg(&full);
    let text = succeed("ls-remote", git).await?;
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .find(|(_, name)| *name == full)
        .map(|(commit, _)| Ok(commit.parse()?))
        .transpose()
}

impl Workspace {
    /// Makes a workspace; objects of the clone `lender` are used, and it is not changed.
    pub(crate) async fn new(lender: Option<&Path>) -> Result<Self, Error> {
        let directory = tempfile::Builder::new()
            .prefix("flotilla-promote-")
            .tempdir()
            .map_err(Error::Local)?;
        let mut init = command(directory.path());
        init.args(["init", "--quiet", "--bare", "--template="]);
        succeed("init", init).await?;
        let workspace = Self { directory };
        if let Some(lender) = lender {
            workspace.borrow_from(lender).await?;
        }
        Ok(workspace)
    }

    async fn borrow_from(&self, lender: &Path) -> Result<(), Error> {
        let mut ask = command(lender);
        ask.args([
            "rev-parse",
            "--path-format=absolute",
            "--git-path",
            "objects",
        ]);
        let objects = succeed("rev-parse", ask).await?;
        let objects = PathBuf::from(objects.trim_end_matches('\n'));
        let info = self.directory.path().join("objects").join("info");
        std::fs::create_dir_all(&info).map_err(Error::Local)?;
        std::fs::write(info.join("alternates"), format!("{}\n", objects.display()))
            .map_err(Error::Local)
    }

    fn git(&self) -> Command {
        command(self.directory.path())
    }

    /// Fetches a branch; returns its head.
    pub(crate) async fn fetch(
        &self,
        url: &RepositoryUrl,
        branch: &BranchName,
    ) -> Result<Commit, Error> {
        let local = format!("refs/flotilla/{branch}");
        let mut fetch = self.git();
        fetch
            .args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-recurse-submodules",
                "--",
            ])
            .arg(url.as_str())
            .arg(format!("+{}:{local}", branch.full_ref()));
        succeed("fetch", fetch).await?;
        let mut head = self.git();
        head.args(["rev-parse", "--verify", "--quiet"])
            .arg(format!("{local}^{{commit}}"));
        Ok(succeed("rev-parse", head).await?.trim().parse()?)
    }

    /// Returns the head of a branch on the server; none: the branch does not exist.
    pub(crate) async fn remote_head(
        &self,
        url: &RepositoryUrl,
        branch: &BranchName,
    ) -> Result<Option<Commit>, Error> {
        head(self.git(), url, branch).await
    }

    /// Likewise, without asking for a password.
    ///
    /// # Errors
    /// Also where git or ssh would have to ask.
    pub(crate) async fn remote_head_unprompted(
        &self,
        url: &RepositoryUrl,
        branch: &BranchName,
    ) -> Result<Option<Commit>, Error> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut ask = self.git();
        ask.args(["config", "--get", "core.sshCommand"]);
        let asked = run(ask).await?;
        let configured = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        let ssh = Ssh {
            command: variable("GIT_SSH_COMMAND"),
            configured: Some(configured).filter(|configured| !configured.is_empty()),
            program: variable("GIT_SSH"),
        };
        let mut git = self.git();
        // Neither on the terminal nor in a window.
        git.env("GIT_TERMINAL_PROMPT", "0")
            .env("GCM_INTERACTIVE", "never")
            .env("GIT_ASKPASS", "")
            .env("SSH_ASKPASS", "");
        if let Some(command) = ssh.unprompted() {
            git.env("GIT_SSH_COMMAND", command);
        }
        head(git, url, branch).await
    }

    /// Returns the commits of a history with this prefix.
    pub(crate) async fn find(&self, prefix: &str, head: &Commit) -> Result<Vec<Commit>, Error> {
        let mut ask = self.git();
        // `--disambiguate` does not look at history, so each commit is checked.
        ask.arg("rev-parse").arg(format!("--disambiguate={prefix}"));
        let mut found = Vec::new();
        for id in succeed("rev-parse", ask).await?.lines() {
            let Ok(commit) = id.parse::<Commit>() else {
                continue;
            };
            if self.has(&commit).await? && self.is_ancestor(&commit, head).await? {
                found.push(commit);
            }
        }
        Ok(found)
    }

    /// Whether the commit is in the workspace.
    pub(crate) async fn has(&self, commit: &Commit) -> Result<bool, Error> {
        let mut ask = self.git();
        ask.args(["cat-file", "-e"])
            .arg(format!("{commit}^{{commit}}"));
        Ok(run(ask).await?.status.success())
    }

    /// Whether one commit is the other or its ancestor.
    pub(crate) async fn is_ancestor(&self, older: &Commit, newer: &Commit) -> Result<bool, Error> {
        let mut ask = self.git();
        ask.args([
            "merge-base",
            "--is-ancestor",
            older.as_str(),
            newer.as_str(),
        ]);
        let output = run(ask).await?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(failure("merge-base", &output.stderr)),
        }
    }

    /// Returns the tree of a commit; none: it is not in the workspace.
    pub(crate) async fn tree(&self, commit: &Commit) -> Result<Option<String>, Error> {
        let mut ask = self.git();
        ask.args(["rev-parse", "--quiet", "--verify"])
            .arg(format!("{commit}^{{tree}}"));
        let output = run(ask).await?;
        let tree = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success().then_some(tree))
    }

    /// Returns the commits between two; without the older one, all of the newer one's history.
    pub(crate) async fn log(&self, from: Option<&Commit>, to: &Commit) -> Result<Log, Error> {
        let range = from.map_or(to.to_string(), |from| format!("{from}..{to}"));
        let mut list = self.git();
        list.args(["log", "--oneline", "--no-decorate", "--no-color"])
            .arg(format!("--max-count={MAX_LISTED}"))
            .arg(&range)
            .arg("--");
        let mut count = self.git();
        count.args(["rev-list", "--count"]).arg(&range).arg("--");
        let lines = succeed("log", list).await?;
        let count = succeed("rev-list", count).await?;
        Ok(Log {
            lines: lines.lines().map(|line| plain_line(line, 200)).collect(),
            count: count.trim().parse().unwrap_or_default(),
        })
    }

    /// Makes a commit on top of `parent` with the content of `content`. Author, signature and dates follow the user's
    /// configuration of git.
    pub(crate) async fn commit_content_of(
        &self,
        content: &Commit,
        parent: &Commit,
        message: &str,
    ) -> Result<Commit, Error> {
        let tree = format!("{content}^{{tree}}");
        self.commit_tree(&tree, parent, message, &[]).await
    }

    /// Commits a tree; `settings` override the user's configuration of git.
    async fn commit_tree(
        &self,
        tree: &str,
        parent: &Commit,
        message: &str,
        settings: &[(&str, String)],
    ) -> Result<Commit, Error> {
        let with_settings = || {
            let mut git = self.git();
            for (name, value) in settings {
                git.arg("-c").arg(format!("{name}={value}"));
            }
            git
        };
        let mut ask = with_settings();
        ask.args(["config", "--type=bool", "--get", "commit.gpgSign"]);
        let asked = run(ask).await?;
        let mut make = with_settings();
        make.arg("commit-tree");
        // commit-tree is plumbing, and ignores commit.gpgSign.
        if asked.status.success() && asked.stdout.starts_with(b"true") {
            make.arg("-S");
        }
        make.args(["-p", parent.as_str(), "-m", message, tree]);
        Ok(succeed("commit-tree", make).await?.trim().parse()?)
    }

    /// Pushes a commit to the branch of a pull request, replacing its previous commits.
    pub(crate) async fn replace(
        &self,
        url: &RepositoryUrl,
        commit: &Commit,
        branch: &BranchName,
    ) -> Result<(), Error> {
        self.push_ref(url, &format!("+{commit}:{}", branch.full_ref()))
            .await
    }

    /// Fast-forwards a branch. Never forced, so that the server rejects the push where the branch has moved meanwhile.
    pub(crate) async fn push(
        &self,
        url: &RepositoryUrl,
        commit: &Commit,
        branch: &BranchName,
    ) -> Result<(), Error> {
        self.push_ref(url, &format!("{commit}:{}", branch.full_ref()))
            .await
    }

    async fn push_ref(&self, url: &RepositoryUrl, refspec: &str) -> Result<(), Error> {
        let mut push = self.git();
        // Git's advice is for clones, and suggests to pull into this temporary one.
        push.args(["-c", "advice.pushUpdateRejected=false"])
            .args(["push", "--quiet", "--no-follow-tags", "--"])
            .args([url.as_str(), refspec]);
        succeed("push", push).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_ssh_is_asked_not_to_prompt() {
        let unprompted = |command: &str, configured: &str, program: &str| {
            let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
            let ssh = Ssh {
                command: named(command),
                configured: named(configured),
                program: named(program),
            };
            ssh.unprompted()
        };
        let with = |ssh: &str| Some(format!("{ssh} -o BatchMode=yes"));
        assert_eq!(unprompted("", "", ""), with("ssh"));
        let own = "ssh -i ~/.ssh/work";
        assert_eq!(unprompted("", own, ""), with(own));
        assert_eq!(unprompted("", own, "plink"), with(own));
        assert_eq!(unprompted("ssh -v", own, "plink"), with("ssh -v"));
        assert_eq!(unprompted("", "", "plink"), None);
    }
}
