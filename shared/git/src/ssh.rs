//! Git over SSH, by OpenSSH's client at a fixed path with fixed arguments: no shell, no configuration, no agent, no
//! environment, one key, host keys pinned. No text from a repository or the hub becomes an option.
//!
//! A program instead of a library, since the one maintained Rust client brings some sixty packages and second versions
//! of nearly all cryptography that is used here.

mod host_key;
mod private_key;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use flotilla_shared::revision::RepositoryUrl;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;
use parking_lot::Mutex;

use crate::Error;
use crate::access::SshKey;
use crate::error::one_line;

/// Path of OpenSSH's client in the images, and on nearly all machines.
const PROGRAM: &str = "/usr/bin/ssh";
/// Bytes of the program's output that are kept.
const MAX_SAID: u64 = 4096;
/// Longest wait for its last output after it was stopped.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Error output of the program.
pub(crate) struct ErrorOutput {
    text: Receiver<String>,
    key: PathBuf,
    timeout: Duration,
    is_out_of_time: Arc<Mutex<bool>>,
}

impl ErrorOutput {
    /// Returns the class of a failure by the program's own words; none: they do not tell.
    pub(crate) fn explain(&self, url: &RepositoryUrl) -> Option<Error> {
        let url = url.clone();
        if *self.is_out_of_time.lock() {
            return Some(Error::Limit {
                url,
                what: "seconds for one exchange",
                limit: self.timeout.as_secs(),
            });
        }
        let text = self.text.recv_timeout(LAST_WORDS).ok()?;
        let says = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        let cause = one_line(&text);
        if says(&[
            "Host key verification failed",
            "HOST IDENTIFICATION HAS CHANGED",
            "host key is known",
        ]) {
            let cause = host_key::in_words(&text).map_or(cause, |words| one_line(&words));
            Some(Error::HostKey { url, cause })
        } else if let Some(words) = private_key::in_words(&text, &self.key) {
            let cause = one_line(&words);
            Some(Error::Access { url, cause })
        } else if says(&[
            "Permission denied",
            "Load key",
            "Too many authentication failures",
        ]) {
            Some(Error::Authentication { url, cause })
        } else if says(&[
            "not appear to be a git repository",
            "not found",
            "No such file",
        ]) {
            Some(Error::RepositoryNotFound { url })
        } else if cause.is_empty() {
            None
        } else {
            Some(Error::Unavailable { url, cause })
        }
    }
}

/// Starts the program; it ends with the transport, or when the time is up.
pub(crate) fn connect(
    url: &RepositoryUrl,
    key: Option<&SshKey>,
    timeout: Duration,
) -> Result<(Box<dyn Transport + Send>, ErrorOutput), Error> {
    let key = key.ok_or_else(|| {
        let cause = "an SSH host needs `ssh-privatekey` and `known_hosts` among the credentials";
        refused(url, cause)
    })?;
    let parts = parts(url).ok_or_else(|| refused(url, "the URL has no user"))?;
    let (_, _, path) = parts;
    let arguments = arguments(url, parts, key)?;
    let mut child = Command::new(PROGRAM)
        .args(&arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| refused(url, format!("{PROGRAM} cannot be started: {error}")))?;
    let missing = || refused(url, format!("{PROGRAM} has no pipes"));
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let (tell, text) = mpsc::channel();
    std::thread::spawn(move || {
        let mut printed = Vec::new();
        let mut stderr = stderr;
        let mut kept = (&mut stderr).take(MAX_SAID);
        let _ = kept.read_to_end(&mut printed);
        // Drains the rest, so that the program does not block on a full pipe.
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        let _ = tell.send(String::from_utf8_lossy(&printed).into_owned());
    });
    let is_out_of_time = Arc::new(Mutex::new(false));
    let running = Running::watch(child, timeout, Arc::clone(&is_out_of_time));
    let output = Output {
        stdout,
        _running: running,
    };
    let transport: Connection<Output, ChildStdin> = Connection::new(
        output,
        stdin,
        Protocol::V2,
        path,
        None::<(String, Option<u16>)>,
        ConnectMode::Process,
        false,
    );
    let transport = transport.custom_url(Some(url.as_str().into()));
    let error_output = ErrorOutput {
        text,
        key: key.key.clone(),
        timeout,
        is_out_of_time,
    };
    Ok((Box::new(transport), error_output))
}

/// The program's output, and with it its life.
struct Output {
    stdout: ChildStdout,
    _running: Running,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stdout.read(buffer)
    }
}

/// A process that is killed when it is dropped or its time is up.
struct Running {
    child: Arc<Mutex<Child>>,
    _done: Sender<()>,
}

impl Running {
    fn watch(child: Child, timeout: Duration, is_out_of_time: Arc<Mutex<bool>>) -> Self {
        let child = Arc::new(Mutex::new(child));
        let (done, finished) = mpsc::channel::<()>();
        let watched = Arc::clone(&child);
        std::thread::spawn(move || {
            if finished.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
                *is_out_of_time.lock() = true;
                let _ = watched.lock().kill();
            }
        });
        Self { child, _done: done }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = self.child.lock();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Returns the error for unusable credentials; nothing was sent.
fn refused(url: &RepositoryUrl, cause: impl Into<String>) -> Error {
    Error::Access {
        url: url.clone(),
        cause: cause.into(),
    }
}

/// User, `host[:port]` and path.
type Parts<'u> = (&'u str, &'u str, &'u str);

fn parts(url: &RepositoryUrl) -> Option<Parts<'_>> {
    let rest = url.as_str().strip_prefix("ssh://")?;
    let at = rest.find('/')?;
    let (authority, path) = rest.split_at_checked(at)?;
    let (user, address) = authority.split_once('@')?;
    // As in git: `/~user/…` is below that user's home.
    let path = if path.starts_with("/~") {
        path.get(1..)?
    } else {
        path
    };
    Some((user, address, path))
}

fn arguments(
    url: &RepositoryUrl,
    (user, address, path): Parts<'_>,
    key: &SshKey,
) -> Result<Vec<String>, Error> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (address, "22"),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let known_hosts = plain(url, &key.known_hosts)?;
    let options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "VerifyHostKeyDNS=no",
        "CheckHostIP=no",
        "CanonicalizeHostname=no",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "CertificateFile=none",
        "PreferredAuthentications=publickey",
        "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "ProxyCommand=none",
        "ProxyJump=none",
        "ControlMaster=no",
        "ControlPath=none",
        "Tunnel=no",
        "EscapeChar=none",
        "RequestTTY=no",
        "Compression=no",
        "LogLevel=ERROR",
        "ConnectTimeout=10",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "SetEnv=GIT_PROTOCOL=version=2",
    ];
    let mut arguments = vec!["-F".to_owned(), "/dev/null".to_owned(), "-T".to_owned()];
    for option in options {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    let known_hosts = format!("UserKnownHostsFile={known_hosts}");
    arguments.extend(["-o".to_owned(), known_hosts]);
    arguments.extend(["-i".to_owned(), plain(url, &key.key)?]);
    for [name, value] in [["-p", port], ["-l", user]] {
        arguments.extend([name.to_owned(), value.to_owned()]);
    }
    // URLs have no quotes and no backslashes (`RepositoryUrl`), so that the server's shell sees one word.
    arguments.extend(["--".to_owned(), host.to_owned()]);
    arguments.push(format!("git-upload-pack '{path}'"));
    Ok(arguments)
}

/// Returns a path as text that the program neither expands nor splits.
fn plain(url: &RepositoryUrl, path: &Path) -> Result<String, Error> {
    let absolute = std::path::absolute(path).map_err(|error| refused(url, error.to_string()))?;
    let text = absolute.to_str().unwrap_or_default();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-:@+,[]".contains(&b);
    if text.is_empty() || !text.bytes().all(is_plain) {
        let path = path.display();
        let cause = format!("{path}: only letters, digits and ._-:@+, may be in its path");
        return Err(refused(url, cause));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn check(url: &str, last: &[&str]) {
        let url: RepositoryUrl = url.parse().unwrap();
        let key = SshKey {
            key: "/keys/git.example.com.ssh-privatekey".into(),
            known_hosts: "/keys/git.example.com.known_hosts".into(),
        };
        let arguments = arguments(&url, parts(&url).unwrap(), &key).unwrap();
        let tail = &arguments[arguments.len() - last.len()..];
        assert_eq!(tail, last, "{url}");
        assert_eq!(&arguments[..3], ["-F", "/dev/null", "-T"]);
    }

    #[test]
    fn g09_an_address_never_becomes_an_option() {
        check(
            "ssh://git@git.example.com/team/fleet.git",
            &[
                "-p",
                "22",
                "-l",
                "git",
                "--",
                "git.example.com",
                "git-upload-pack '/team/fleet.git'",
            ],
        );
        check(
            "ssh://deploy@[::1]:2222/~git/fleet",
            &[
                "-p",
                "2222",
                "-l",
                "deploy",
                "--",
                "::1",
                "git-upload-pack '~git/fleet'",
            ],
        );
        let url: RepositoryUrl = "ssh://git@git.example.com/fleet".parse().unwrap();
        for path in ["/a b", "/a%h", "/${HOME}", "/a\"b", "/a'b"] {
            assert!(plain(&url, Path::new(path)).is_err(), "{path}");
        }
    }
}
