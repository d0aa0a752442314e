//! A file of the user's clone on its upstream branch. The content is read from there, and a changed file is pushed
//! there, while index, work tree and branches of the clone stay unchanged.

use std::path::{Path, PathBuf};

use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};

use super::{Workspace, command, run, succeed};
use crate::error::Error;

/// Settings for commits, taken over from the clone.
const IDENTITY: [&str; 6] = [
    "user.name",
    "user.email",
    "user.signingKey",
    "commit.gpgSign",
    "gpg.format",
    "gpg.ssh.program",
];

/// Origin of a file in a clone.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Root of the clone's work tree.
    pub(crate) root: PathBuf,
    /// Path of the file below the root.
    pub(crate) path: String,
    /// The repository that the branch is pushed to.
    pub(crate) url: RepositoryUrl,
    /// The branch in that repository.
    pub(crate) branch: BranchName,
    /// The clone's settings of its user.
    identity: Vec<(&'static str, String)>,
}

impl Upstream {
    /// Finds the upstream of a file in a work tree.
    pub(crate) async fn of(file: &Path) -> Result<Self, Error> {
        let found = std::fs::canonicalize(file).map_err(|cause| Error::File {
            path: file.to_owned(),
            cause,
        })?;
        let folder = found.parent().unwrap_or(&found).to_owned();
        let Some(root) = ask(&folder, &["rev-parse", "--show-toplevel"]).await? else {
            return Err(Error::refused(
                format!("{} is not in a Git work tree", file.display()),
                "clone the repository that holds the fleet file, and name the file there",
            ));
        };
        let root = std::fs::canonicalize(root).map_err(Error::Local)?;
        let path = found.strip_prefix(&root).ok().and_then(Path::to_str);
        let path = path.unwrap_or_default().to_owned();
        let Some(local) = ask(&root, &["symbolic-ref", "--quiet", "--short", "HEAD"]).await? else {
            return Err(Error::refused(
                format!("{} has no branch checked out", root.display()),
                "check out the branch that holds the hub's fleet file",
            ));
        };
        let key = |name: &str| format!("branch.{local}.{name}");
        let remote = ask(&root, &["config", "--get", &key("remote")]).await?;
        let merge = ask(&root, &["config", "--get", &key("merge")]).await?;
        let (Some(remote), Some(merge)) = (remote, merge) else {
            return Err(Error::refused(
                format!(
                    "branch {local} of {} tracks no other branch",
                    root.display()
                ),
                format!("set it with `git branch --set-upstream-to REMOTE/{local}`"),
            ));
        };
        let branch = merge
            .strip_prefix("refs/heads/")
            .unwrap_or(&merge)
            .parse()?;
        let url = ask(&root, &["remote", "get-url", "--push", "--", &remote]).await?;
        // The upstream may be a URL instead of a named remote.
        let url = address(&root, url.as_deref().unwrap_or(&remote)).parse()?;
        let mut identity = Vec::new();
        for name in IDENTITY {
            if let Some(value) = ask(&root, &["config", "--get", name]).await? {
                identity.push((name, value));
            }
        }
        Ok(Self {
            root,
            path,
            url,
            branch,
            identity,
        })
    }

    /// Returns the file's content in the work tree.
    pub(crate) fn local(&self) -> Option<String> {
        std::fs::read_to_string(self.root.join(&self.path)).ok()
    }

    /// Returns `Name <mail>` of the committer.
    pub(crate) async fn person(&self) -> Result<String, Error> {
        let mut var = command(&self.root);
        var.args(["var", "GIT_AUTHOR_IDENT"]);
        let ident = succeed("var GIT_AUTHOR_IDENT", var).await?;
        Ok(ident
            .rsplit_once('>')
            .map_or(ident.as_str(), |(who, _)| who)
            .to_owned()
            + ">")
    }
}

/// Returns one line of git's output; none: git failed.
async fn ask(folder: &Path, arguments: &[&str]) -> Result<Option<String>, Error> {
    let mut git = command(folder);
    git.args(arguments);
    let output = run(git).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.trim_end_matches('\n');
    Ok((output.status.success() && !text.is_empty()).then(|| text.to_owned()))
}

/// Returns a remote's address as a URL; git also allows paths and `user@host:path`.
fn address(root: &Path, text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    let scp = text.split_once(':').filter(|(host, _)| !host.contains('/'));
    if let Some((host, path)) = scp {
        return format!("ssh://{host}/{}", path.trim_start_matches('/'));
    }
    let path = root.join(text);
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    format!("file://{}", path.display())
}

impl Workspace {
    /// Returns a file of a commit as text.
    pub(crate) async fn file(&self, commit: &Commit, path: &str) -> Result<String, Error> {
        let mut show = self.git();
        show.args(["cat-file", "blob"])
            .arg(format!("{commit}:{path}"));
        succeed("cat-file", show).await
    }

    /// Makes a commit on top of another one that changes only this file.
    pub(crate) async fn commit_file(
        &self,
        upstream: &Upstream,
        parent: &Commit,
        content: &str,
        message: &str,
    ) -> Result<Commit, Error> {
        let place = self.directory.path().join("flotilla-file");
        std::fs::write(&place, content).map_err(Error::Local)?;
        let mut hash = self.git();
        hash.args(["hash-object", "-w", "--no-filters", "--"])
            .arg(&place);
        let blob = succeed("hash-object", hash).await?;
        let path = upstream.path.as_str();
        let mut list = self.git();
        list.args(["ls-tree", parent.as_str(), "--", path]);
        let listed = succeed("ls-tree", list).await?;
        let mode = listed.split(' ').next().filter(|mode| !mode.is_empty());
        let mode = mode.unwrap_or("100644");
        let index = self.directory.path().join("flotilla-index");
        let with_index = || {
            let mut git = self.git();
            git.env("GIT_INDEX_FILE", &index);
            git
        };
        let mut read = with_index();
        read.args(["read-tree", parent.as_str()]);
        succeed("read-tree", read).await?;
        let mut update = with_index();
        update.args(["update-index", "--cacheinfo"]);
        update.arg(format!("{mode},{},{path}", blob.trim()));
        succeed("update-index", update).await?;
        let mut write = with_index();
        write.arg("write-tree");
        let tree = succeed("write-tree", write).await?;
        self.commit_tree(tree.trim(), parent, message, &upstream.identity)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_remote_is_one_address() {
        let root = Path::new("/nowhere");
        for (text, expected) in [
            ("https://h/r.git", "https://h/r.git"),
            ("git@h:team/r.git", "ssh://git@h/team/r.git"),
            ("git@h:/srv/r.git", "ssh://git@h/srv/r.git"),
            ("/srv/r.git", "file:///srv/r.git"),
        ] {
            assert_eq!(address(root, text), expected);
        }
    }
}
