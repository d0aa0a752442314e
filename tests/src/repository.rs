//! A configuration repository, made with the installed `git`: a bare one that is served, and a work tree that pushes
//! to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// A work tree and the bare repository it pushes to.
#[derive(Clone)]
pub struct Repository {
    /// The bare repository.
    pub bare: PathBuf,
    /// The work tree.
    pub work: PathBuf,
}

/// Runs `git` and returns its output.
///
/// # Errors
/// When it fails, with its message.
pub fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .current_dir(directory)
        .args([
            "-c",
            "user.name=Flotilla",
            "-c",
            "user.email=demo@example.com",
        ])
        .args([
            "-c",
            "commit.gpgsign=false",
            "-c",
            "advice.detachedHead=false",
        ])
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .context("git could not be started")?;
    anyhow::ensure!(
        output.status.success(),
        "git {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

impl Repository {
    /// Makes both below `directory`, on branch `dev`.
    ///
    /// # Errors
    /// When git fails.
    pub fn create(directory: &Path, name: &str) -> anyhow::Result<Self> {
        let bare = directory.join("served").join(format!("{name}.git"));
        let work = directory.join("work").join(name);
        std::fs::create_dir_all(&bare)?;
        std::fs::create_dir_all(&work)?;
        git(&bare, &["init", "-q", "--bare", "-b", "dev", "."])?;
        git(&work, &["init", "-q", "-b", "dev", "."])?;
        let url = bare.display().to_string();
        git(&work, &["remote", "add", "origin", &url])?;
        Ok(Self { bare, work })
    }

    /// Allows partial clones, as GitHub and GitLab do.
    ///
    /// # Errors
    /// When git fails.
    pub fn allow_filter(&self) -> anyhow::Result<()> {
        git(&self.bare, &["config", "uploadpack.allowFilter", "true"]).map(drop)
    }

    /// Writes a file of the work tree.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, content: &str) -> anyhow::Result<()> {
        let path = self.work.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(std::fs::write(path, content)?)
    }

    /// The commit that a branch is at.
    ///
    /// # Errors
    /// When there is no such branch.
    pub fn head(&self, branch: &str) -> anyhow::Result<String> {
        let reference = format!("refs/heads/{branch}");
        Ok(git(&self.work, &["rev-parse", &reference])?
            .trim()
            .to_owned())
    }

    /// Commits everything and pushes it to `branches`; returns the commit.
    ///
    /// # Errors
    /// When git fails.
    pub fn push(&self, message: &str, branches: &[&str]) -> anyhow::Result<String> {
        git(&self.work, &["add", "-A"])?;
        git(
            &self.work,
            &["commit", "-q", "--allow-empty", "-m", message],
        )?;
        let commit = git(&self.work, &["rev-parse", "HEAD"])?;
        for branch in branches {
            git(
                &self.work,
                &["push", "-q", "origin", &format!("HEAD:refs/heads/{branch}")],
            )?;
        }
        Ok(commit)
    }
}
