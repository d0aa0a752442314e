//! Credentials and roots for a host, from a directory like that of a mounted Secret.
//!
//! Files are `<directory>/<host>/<name>`, or `<directory>/<host>.<name>` with `_` for the `:` of a port, which the keys
//! of one Secret allow. They are read again at each use, so that a rotated Secret needs no restart.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use flotilla_shared::revision::RepositoryUrl;

use crate::Error;

/// Largest file with a credential or with roots, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A user name and password or token for one repository.
#[derive(Clone)]
pub struct Credentials {
    /// Often `git` or `x-access-token` where the password is a token.
    pub username: String,
    /// Never logged, never part of an error.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Private key and known hosts for an SSH server.
#[derive(Debug, Clone)]
pub struct SshKey {
    /// `ssh-privatekey`, without a passphrase.
    pub key: PathBuf,
    /// `known_hosts`: the host's keys; any other key is refused.
    pub known_hosts: PathBuf,
}

/// Credentials for a host.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// For http(s): `token`, or `username` and `password`.
    pub credentials: Option<Credentials>,
    /// For https: `ca.crt`, PEM; exactly these certificates are trusted, in place of the system's: those of
    /// authorities, and one that serves itself.
    pub roots: Option<String>,
    /// The key for SSH.
    pub ssh: Option<SshKey>,
}

impl Access {
    /// Reads the directory's files for the URL's host.
    ///
    /// # Errors
    /// When a file exists and cannot be read: the connection must not be made without it, nor with other roots.
    pub fn read(directory: Option<&Path>, url: &RepositoryUrl) -> Result<Self, Error> {
        let Some(directory) = directory else {
            return Ok(Self::default());
        };
        let files = Files { directory, url };
        if url.scheme() == "ssh" {
            let (key, known_hosts) = (files.find("ssh-privatekey")?, files.find("known_hosts")?);
            let ssh = key.zip(known_hosts);
            let ssh = ssh.map(|(key, known_hosts)| SshKey { key, known_hosts });
            return Ok(Self {
                ssh,
                ..Self::default()
            });
        }
        Ok(Self {
            credentials: files.credentials()?,
            roots: files.text("ca.crt")?,
            ssh: None,
        })
    }
}

struct Files<'a> {
    directory: &'a Path,
    url: &'a RepositoryUrl,
}

impl Files<'_> {
    fn credentials(&self) -> Result<Option<Credentials>, Error> {
        let trimmed = |name| Ok(self.text(name)?.map(|text| text.trim().to_owned()));
        let username = trimmed("username")?;
        let credentials = match trimmed("token")? {
            // Forges ignore the user name beside a token.
            Some(password) => Some((username.unwrap_or_else(|| "git".to_owned()), password)),
            None => username.zip(trimmed("password")?),
        };
        Ok(credentials.map(|(username, password)| Credentials { username, password }))
    }

    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(path) = self.find(name)? else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(&path);
        text.map(Some)
            .map_err(|error| self.error(&path, &error.to_string()))
    }

    /// Returns the file of this name, if it exists.
    fn find(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let host = self.url.authority();
        let flat = format!("{}.{name}", host.replace(':', "_"));
        for path in [
            self.directory.join(host).join(name),
            self.directory.join(flat),
        ] {
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.len() <= MAX_BYTES => return Ok(Some(path)),
                Ok(_) => return Err(self.error(&path, "it is too long")),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(self.error(&path, &error.to_string())),
            }
        }
        Ok(None)
    }

    fn error(&self, path: &Path, cause: &str) -> Error {
        Error::Access {
            url: self.url.clone(),
            cause: format!("{}: {cause}", path.display()),
        }
    }
}
