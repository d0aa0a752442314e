//! The user's configuration of Helm and docker, and the allowed transport.

use std::path::{Path, PathBuf};

use crate::credentials::{Logins, StoredLogin};
use crate::error::Error;
use crate::repositories::{self, Repository, same};

/// Largest configuration file, bytes.
const MAX_FILE: u64 = 16 << 20;

/// Whether connections may be unencrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Registries are called over TLS, and credentials are sent only over TLS, or to this machine.
    #[default]
    Tls,
    /// Registries are called without TLS, and credentials are sent without it.
    PlainHttp,
}

/// Named repositories, the user's logins, and the trusted certificates.
#[derive(Debug, Default)]
pub struct Config {
    pub(crate) repositories: Vec<Repository>,
    logins: Vec<Logins>,
    pub(crate) transport: Transport,
    /// PEM to trust instead of the system's roots.
    pub(crate) ca: Option<Vec<u8>>,
}

impl Config {
    /// Reads Helm's `repositories.yaml`, and the logins of `helm registry login` and `docker login`.
    /// `variable` gives the environment.
    ///
    /// # Errors
    /// A file exists and cannot be used.
    pub fn load(
        variable: impl Fn(&str) -> Option<PathBuf>,
        transport: Transport,
        ca_file: Option<&Path>,
    ) -> Result<Self, Error> {
        let variable = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
        let home = variable("HOME");
        let helm = variable("HELM_CONFIG_HOME").or_else(|| {
            let base = variable("XDG_CONFIG_HOME").or_else(|| {
                let home = home.as_ref()?;
                Some(match cfg!(target_os = "macos") {
                    true => home.join("Library/Preferences"),
                    false => home.join(".config"),
                })
            });
            Some(base?.join("helm"))
        });
        let in_helm = |name: &str| helm.as_ref().map(|helm| helm.join(name));
        let mut config = Self {
            transport,
            ca: ca_file
                .map(|path| std::fs::read(path).map_err(|cause| Error::file(path, cause)))
                .transpose()?,
            ..Self::default()
        };
        let named = variable("HELM_REPOSITORY_CONFIG").or_else(|| in_helm("repositories.yaml"));
        if let Some(path) = named
            && let Some(text) = read(&path)?
        {
            config.repositories = repositories::parse(&text)
                .map_err(|error| error.of(&format!("{} cannot be read", path.display())))?;
        }
        let docker = variable("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
        let logins = [
            variable("HELM_REGISTRY_CONFIG").or_else(|| in_helm("registry/config.json")),
            docker.map(|docker| docker.join("config.json")),
        ];
        for path in logins.into_iter().flatten() {
            if let Some(text) = read(&path)? {
                let logins =
                    Logins::parse(&text).map_err(|error| error.of(&path.display().to_string()))?;
                config.logins.push(logins);
            }
        }
        Ok(config)
    }

    /// Resolves `@name` or `alias:name`.
    pub(crate) fn named(&self, repository: &str) -> Option<&Repository> {
        let name = repository
            .strip_prefix('@')
            .or_else(|| repository.strip_prefix("alias:"))?;
        self.repositories.iter().find(|known| known.name == name)
    }

    /// Returns the configured repository of a URL.
    pub(crate) fn at(&self, url: &str) -> Option<&Repository> {
        self.repositories.iter().find(|known| same(&known.url, url))
    }

    /// Returns the user's login at a registry; Helm's own logins come first.
    pub(crate) async fn login(&self, registry: &str) -> Result<Option<StoredLogin>, Error> {
        for logins in &self.logins {
            if let Some(known) = logins.find(registry).await? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let failed = |cause| Error::file(path, cause);
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_FILE => {
            return Err(Error::refused(format!(
                "{} is larger than {MAX_FILE} bytes",
                path.display()
            )));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    std::fs::read(path).map(Some).map_err(failed)
}
