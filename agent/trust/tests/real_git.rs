//! Commits signed by the real `git`, `ssh-keygen` and `gpg`, and the verdicts on them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use flotilla_trust::{GIT_NAMESPACE, Keyring, PinnedKey, TrustError, split};
use jiff::Timestamp;

#[path = "real_git/openpgp.rs"]
mod openpgp;
#[path = "real_git/ssh.rs"]
mod ssh;

struct Workshop {
    directory: tempfile::TempDir,
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        flotilla_needs::skip(program);
    }
    found
}

fn run(program: &str, directory: &Path, arguments: &[&str]) -> Vec<u8> {
    run_at(program, directory, None, arguments)
}

/// Runs with git's clock at `date`, if it is given.
fn run_at(program: &str, directory: &Path, date: Option<&str>, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .args(arguments)
        .env("GNUPGHOME", directory.join("gnupg"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    for name in ["GIT_COMMITTER_DATE", "GIT_AUTHOR_DATE"] {
        command.envs(date.map(|date| (name, date)));
    }
    flotilla_needs::output(&mut command)
}

impl Workshop {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let workshop = Self { directory };
        workshop.git(&["init", "-q", "-b", "main", "."]);
        let home = workshop.path("gnupg");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_at(None, arguments)
    }

    fn git_at(&self, date: Option<&str>, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        let arguments: Vec<&str> = identity.iter().chain(arguments).copied().collect();
        let output = run_at("git", self.directory.path(), date, &arguments);
        String::from_utf8_lossy(&output).trim().to_owned()
    }

    fn ssh_key(&self, name: &str, kind: &[&str]) -> PinnedKey {
        let path = self.path(name);
        let mut arguments = vec![
            "-q",
            "-N",
            "",
            "-C",
            name,
            "-f",
            path.to_str().unwrap(),
            "-t",
        ];
        arguments.extend(kind);
        run("ssh-keygen", self.directory.path(), &arguments);
        let line = std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        pinned(name, Some(line), None)
    }

    fn pgp_key(&self, name: &str, algorithm: &str, usage: &str, expire: &str) -> PinnedKey {
        let id = format!("{name}@example.com");
        let batch = ["--batch", "--pinentry-mode", "loopback", "--passphrase", ""];
        let make = ["--quick-generate-key", &id, algorithm, usage, expire];
        let arguments: Vec<&str> = batch.iter().chain(&make).copied().collect();
        run("gpg", self.directory.path(), &arguments);
        self.export(name)
    }

    fn export(&self, name: &str) -> PinnedKey {
        let id = format!("{name}@example.com");
        let armoured = run("gpg", self.directory.path(), &["--armor", "--export", &id]);
        pinned(name, None, Some(String::from_utf8(armoured).unwrap()))
    }

    /// A commit signed with an SSH key, raw.
    fn ssh_commit(&self, key: &str) -> Vec<u8> {
        self.signed("ssh", &self.path(key).display().to_string(), None)
    }

    fn pgp_commit(&self, key: &str) -> Vec<u8> {
        self.signed("openpgp", &format!("{key}@example.com"), None)
    }

    /// An empty commit signed with a key of a format of git's, raw.
    fn signed(&self, format: &str, key: &str, date: Option<&str>) -> Vec<u8> {
        let format = format!("gpg.format={format}");
        let key = format!("user.signingkey={key}");
        let message = "signed\n\nbody";
        let commit = ["commit", "-q", "-S", "--allow-empty", "-m", message];
        let configured = ["-c", &format, "-c", &key];
        let arguments: Vec<&str> = configured.iter().chain(&commit).copied().collect();
        self.git_at(date, &arguments);
        self.raw("HEAD")
    }

    fn raw(&self, revision: &str) -> Vec<u8> {
        run(
            "git",
            self.directory.path(),
            &["cat-file", "commit", revision],
        )
    }
}

fn pinned(name: &str, ssh: Option<String>, openpgp: Option<String>) -> PinnedKey {
    PinnedKey {
        name: name.to_owned(),
        ssh,
        openpgp,
        valid_from: None,
        valid_until: None,
        revoked: false,
    }
}

fn names(keys: &[PinnedKey]) -> Vec<String> {
    keys.iter().map(|key| key.name.clone()).collect()
}

fn judge(raw: &[u8], keys: &[PinnedKey]) -> Result<String, TrustError> {
    let keyring = Keyring::new(keys).unwrap();
    keyring
        .commit(raw, &names(keys), Timestamp::now())
        .map(str::to_owned)
}
