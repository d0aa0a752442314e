//! One cluster for a test: a real kube-apiserver where the envtest variables name one, otherwise, or when
//! asked for, the embedded one. Both are spoken to over TLS with client certificates.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flotilla_apiserver::{ApiServer, AuditEvent, Config, Serving, User};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::envtest::{Envtest, Programs};

/// A running cluster; it stops when dropped.
pub struct TestCluster {
    server: Server,
    directory: tempfile::TempDir,
}

enum Server {
    Embedded(ApiServer, Serving),
    Real(Box<Envtest>),
}

impl TestCluster {
    /// The embedded one.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn embedded(config: Config) -> anyhow::Result<Self> {
        flotilla_shared::tls::install_provider();
        let directory = tempfile::tempdir()?;
        let server = ApiServer::new(config);
        let serving = server.serve_tls("127.0.0.1:0").await?;
        std::fs::write(directory.path().join("kubeconfig"), serving.kubeconfig())?;
        Ok(Self {
            server: Server::Embedded(server, serving),
            directory,
        })
    }

    /// The real one; none where the environment names none.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn real() -> anyhow::Result<Option<Self>> {
        flotilla_shared::tls::install_provider();
        let Some(programs) = Programs::find() else {
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let envtest = Envtest::start(&programs, directory.path()).await?;
        Ok(Some(Self {
            server: Server::Real(Box::new(envtest)),
            directory,
        }))
    }

    /// The real one where there is one, otherwise the embedded one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        match Self::real().await? {
            Some(real) => Ok(real),
            None => Self::embedded(config).await,
        }
    }

    /// Whether it is a real one: without controllers and without faults on request.
    #[must_use]
    pub fn is_real(&self) -> bool {
        matches!(self.server, Server::Real(_))
    }

    /// The embedded server, for faults and counters.
    #[must_use]
    pub fn server(&self) -> Option<&ApiServer> {
        match &self.server {
            Server::Embedded(server, _) => Some(server),
            Server::Real(_) => None,
        }
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// The administrator's client.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        client(&self.kubeconfig()).await
    }

    /// A kubeconfig of somebody with fewer rights.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig_of(&self, user: &User) -> anyhow::Result<PathBuf> {
        let text = match &self.server {
            Server::Real(envtest) => envtest.kubeconfig(user)?,
            Server::Embedded(_, serving) => serving.kubeconfig_for(user)?,
        };
        let file = user.name.replace([':', '/'], "-");
        let path = self.directory.path().join(format!("{file}.kubeconfig"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A client of somebody with fewer rights.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn client_of(&self, user: &User) -> anyhow::Result<kube::Client> {
        client(&self.kubeconfig_of(user)?).await
    }

    /// Every write that was asked for so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit(&self) -> anyhow::Result<Vec<AuditEvent>> {
        match &self.server {
            Server::Embedded(server, _) => Ok(server.audit()),
            Server::Real(envtest) => envtest.audit(),
        }
    }
}

/// A client for a kubeconfig file.
///
/// # Errors
/// When the file cannot be used.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<kube::Client> {
    let read = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("{} cannot be read", kubeconfig.display()))?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(read, &options).await?;
    Ok(kube::Client::try_from(config)?)
}
