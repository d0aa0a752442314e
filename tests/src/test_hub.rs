//! A hub for tests: one builder, for a hub in this process or in its own.
//!
//! ```text
//!   TestHub::builder() --options--> start() --> TestHub --kill() or stop()--> start() --> ...
//! ```
//!
//! All of its files are in one directory: `hub/` with authority and store, and `fleet.yaml`. Every start uses that
//! directory and the address of the first start.

mod process;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_hub::app::{self, Config, Running};
use flotilla_hub::authority::Authority;
use flotilla_hub::fleet::ClusterRecord;
use flotilla_hub::serve::{oidc, web};
use flotilla_shared::id::ClusterName;
use flotilla_shared::identity::Identity;
use flotilla_shared::{dial, tls};
use jiff::Timestamp;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::fleet::Operator;
use crate::issuer::Issuer;
use crate::ports::free_address;
use crate::simulated::CertificateIssuer;
use crate::write_private;

use process::HubProcess;
pub use process::{Process, Usage};

/// Longest until a hub listens, or has ended.
const LIMIT: Duration = Duration::from_secs(120);
/// A free port of loopback.
const ANY: &str = "127.0.0.1:0";
/// The default fleet of a hub in its own directory.
const NOTHING_TO_RUN: &str =
    "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{name: prod, branch: prod}]\n";

/// A hub to start: by default in this process, on SQLite, listening for agents and operators only.
#[must_use]
#[derive(Default)]
pub struct Builder {
    root: Option<PathBuf>,
    fleet: Option<String>,
    issuer: Option<String>,
    clusters: Vec<(ClusterName, ClusterRecord)>,
    config: Config,
    retry_for: Duration,
    process: Option<Process>,
    /// Methods called here whose settings cannot be passed to a process.
    only_here: Vec<&'static str>,
}

impl Builder {
    /// Uses a directory of the test, with its fleet file, instead of a temporary one.
    /// Hubs in one directory are replicas of each other.
    pub fn at(mut self, root: &Path) -> Self {
        self.root = Some(root.to_owned());
        self
    }

    /// Writes the fleet file.
    pub fn fleet(mut self, text: &str) -> Self {
        self.fleet = Some(text.to_owned());
        self
    }

    /// Adds clusters to its SQLite store before the first start.
    pub fn clusters(
        mut self,
        clusters: impl IntoIterator<Item = (ClusterName, ClusterRecord)>,
    ) -> Self {
        self.clusters.extend(clusters);
        self
    }

    /// Listens on this address, from the first start on.
    pub fn listen(self, address: &str) -> Self {
        self.set(|config| address.clone_into(&mut config.listen))
    }

    /// The interval at which it fetches each repository.
    pub fn poll(self, interval: Duration) -> Self {
        self.set(|config| config.poll_interval = Some(interval))
    }

    /// Stores in this PostgreSQL database.
    pub fn store(self, url: String) -> Self {
        self.set_only_here("store", |config| config.store_url = Some(url))
    }

    /// Serves probes and metrics.
    pub fn metrics(self) -> Self {
        self.set(|config| config.metrics_listen = Some(ANY.to_owned()))
    }

    /// Receives webhooks that are signed with this secret.
    pub fn webhooks(self, secret: &str) -> Self {
        self.set_only_here("webhooks", |config| {
            config.webhook_listen = Some(ANY.to_owned());
            config.webhook_secret = Some(secret.as_bytes().to_vec());
        })
    }

    /// Admits users of an issuer; `grants` are lines of `oidc.yaml`, which the hub reloads.
    pub fn issuer(mut self, issuer: &Issuer, grants: &str) -> Self {
        let url = &issuer.url;
        self.issuer = Some(format!("issuer: {url}\nclientId: flotilla\n{grants}\n"));
        self
    }

    /// Serves pages on plain loopback to users of the issuer; with a URL, as behind a proxy that has this URL.
    pub fn pages(self, proxy: Option<&str>) -> Self {
        let web = web::Config {
            listen: ANY.to_owned(),
            url: proxy.unwrap_or_default().to_owned(),
            behind_proxy: proxy.is_some(),
            ..web::Config::default()
        };
        match proxy {
            Some(_) => self.set_only_here("pages behind a proxy", |config| config.web = Some(web)),
            None => self.set(|config| config.web = Some(web)),
        }
    }

    /// Any other setting of a hub in this process: a hub in its own process cannot be given it, so none starts with it.
    pub fn with(self, change: impl FnOnce(&mut Config)) -> Self {
        self.set_only_here("with", change)
    }

    /// A setting that `process::arguments` passes on.
    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// A setting that it does not pass on.
    fn set_only_here(mut self, method: &'static str, change: impl FnOnce(&mut Config)) -> Self {
        self.only_here.push(method);
        self.set(change)
    }

    /// Retries a failed start for so long; by default a failed start is an error.
    pub fn retry_for(mut self, limit: Duration) -> Self {
        self.retry_for = limit;
        self
    }

    /// Runs the built program as a process. Of the settings here it supports the interval, metrics, the issuer, and
    /// pages without a proxy; with any other, which belongs into its arguments, it does not start.
    pub fn process(mut self, process: Process) -> Self {
        self.process = Some(process);
        self
    }

    /// Starts the hub.
    ///
    /// # Errors
    /// When its directory cannot be prepared, or it does not listen in time.
    pub async fn start(self) -> anyhow::Result<TestHub> {
        // The future is large, so callers hold a pointer.
        Box::pin(self.begin()).await
    }

    async fn begin(mut self) -> anyhow::Result<TestHub> {
        let clusters = std::mem::take(&mut self.clusters);
        let mut hub = self.prepare()?;
        if !clusters.is_empty() {
            anyhow::ensure!(
                hub.config.store_url.is_none(),
                "`clusters` cannot be combined with `store`: they are put into a SQLite store"
            );
            hub.enrolled = CertificateIssuer::new(&hub.config.data_dir, &clusters).await?;
        }
        hub.start().await?;
        Ok(hub)
    }

    /// Starts a process without waiting for it: its address must be given.
    ///
    /// # Errors
    /// When its directory cannot be prepared, the program cannot be run, or clusters were given.
    pub fn launch(self) -> anyhow::Result<TestHub> {
        anyhow::ensure!(
            self.clusters.is_empty(),
            "`launch` cannot be combined with `clusters`: these are put into the store by `start`"
        );
        let mut hub = self.prepare()?;
        hub.spawn()?;
        Ok(hub)
    }

    /// Creates what is missing in its directory.
    fn prepare(self) -> anyhow::Result<TestHub> {
        tls::install_provider();
        let (own, root) = match self.root {
            Some(root) => (None, root),
            None => {
                let own = tempfile::tempdir()?;
                let root = own.path().to_owned();
                (Some(own), root)
            }
        };
        let mut config = self.config;
        config.data_dir = root.join("hub");
        config.fleet = root.join("fleet.yaml");
        let otherwise = || own.is_some().then(|| NOTHING_TO_RUN.to_owned());
        if let Some(text) = self.fleet.or_else(otherwise) {
            std::fs::write(&config.fleet, text)?;
        }
        if let Some(text) = self.issuer {
            let file = root.join("oidc.yaml");
            // Another replica may read the file at this moment, so it is written only if it changes.
            if std::fs::read_to_string(&file).ok().as_deref() != Some(text.as_str()) {
                std::fs::write(&file, text)?;
            }
            config.oidc_file = Some(file);
        }
        let mut metrics: Option<SocketAddr> = None;
        if self.process.is_some() {
            anyhow::ensure!(
                self.only_here.is_empty(),
                "a hub in a process of its own cannot be combined with {}: such settings go into its arguments",
                self.only_here.join(", ")
            );
            if let Some(listen) = &mut config.metrics_listen {
                // The process does not print these addresses, so the port is chosen here.
                *listen = free_address()?;
                metrics = Some(listen.parse()?);
            }
        }
        let authority = Authority::init(&config.data_dir, Timestamp::now())?;
        Ok(TestHub {
            address: config.listen.parse()?,
            metrics,
            webhooks: None,
            pages: None,
            pages_address: None,
            enrolled: CertificateIssuer::with(authority)?,
            config,
            retry_for: self.retry_for,
            process: self.process,
            running: None,
            started: None,
            root,
            _own: own,
        })
    }
}

/// The hub. A process ends when this is dropped; a hub in this process ends with the runtime of the test.
pub struct TestHub {
    /// The address for agents and operators, the same for each start.
    pub address: SocketAddr,
    /// The address of probes and metrics.
    pub metrics: Option<SocketAddr>,
    /// The address for webhooks.
    pub webhooks: Option<SocketAddr>,
    /// The URL of the pages.
    pub pages: Option<String>,
    /// The address that serves the pages, for a hub in this process.
    pub pages_address: Option<SocketAddr>,
    /// Makes certificates of its first authority.
    pub enrolled: CertificateIssuer,
    /// The configuration of the next start.
    pub config: Config,
    retry_for: Duration,
    process: Option<Process>,
    running: Option<Running>,
    started: Option<HubProcess>,
    root: PathBuf,
    _own: Option<tempfile::TempDir>,
}

impl TestHub {
    pub fn builder() -> Builder {
        Builder::default().listen(ANY)
    }

    /// Starts it again after it was stopped or killed.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + self.retry_for;
        while let Err(error) = self.start_once().await {
            if Instant::now() >= until {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn start_once(&mut self) -> anyhow::Result<()> {
        let starting = async {
            if self.process.is_some() {
                self.spawn()?;
                self.hear().await
            } else {
                self.run_here().await
            }
        };
        let started = tokio::time::timeout(LIMIT, starting).await;
        started.context("the hub does not listen in time")?
    }

    async fn run_here(&mut self) -> anyhow::Result<()> {
        let issuer = self.config.oidc_file.as_deref();
        let config = Config {
            listen: self.address.to_string(),
            oidc: issuer.map(oidc::Config::read).transpose()?,
            ..self.config.clone()
        };
        let running = app::start(config).await;
        let running = running.context("the hub does not start")?;
        self.address = running.address;
        self.metrics = running.metrics_address;
        self.webhooks = running.webhook_address;
        self.pages.clone_from(&running.web);
        self.pages_address = running.web_address;
        self.running = Some(running);
        Ok(())
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_ref().context("it is to be no process")?;
        self.started = Some(process.spawn(&self.root, &self.config, self.address)?);
        Ok(())
    }

    /// Waits until a process prints its address.
    async fn hear(&mut self) -> anyhow::Result<()> {
        let started = self.started.as_mut().context("it was not started")?;
        self.address = started.word().await?.parse()?;
        if self.config.web.is_some() {
            self.pages = Some(started.word().await?);
        }
        Ok(())
    }

    /// Kills it like a power failure: it releases nothing and notifies nothing.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(running) = self.running.take() {
            running.kill();
        }
        if let Some(started) = self.started.take() {
            started.kill().await?;
        }
        Ok(())
    }

    /// Stops it like a supervisor.
    ///
    /// # Errors
    /// When a process exits with an error, or not in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(running) = self.running.take() {
            running.shutdown().await;
        }
        if let Some(started) = self.started.take() {
            started.stop(LIMIT).await?;
        }
        Ok(())
    }

    /// The process id; 0: there is no process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let pid = self.started.as_ref().and_then(HubProcess::pid);
        pid.unwrap_or_default()
    }

    /// The resources that its process has used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid())
    }

    /// The directory of all its files.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its current authority, which tests may replace.
    pub fn authority(&self) -> anyhow::Result<Authority> {
        Ok(Authority::open(&self.config.data_dir)?)
    }

    /// The TLS configuration of a client with a certificate for a SPIFFE URI, or without one.
    pub fn tls(&self, uri: Option<&str>) -> anyhow::Result<Arc<rustls::ClientConfig>> {
        let identity = uri.map(|uri| self.enrolled.identity(&uri.parse()?));
        let bundle = self.enrolled.trust_bundle();
        let config = tls::client_config(bundle, identity.transpose()?.as_ref())?;
        Ok(Arc::new(config))
    }

    /// A connection of such a client.
    pub async fn channel(&self, uri: Option<&str>) -> anyhow::Result<Channel> {
        Ok(dial::dial(&self.address.to_string(), self.tls(uri)?).await?)
    }

    /// The connection of an operator.
    pub async fn operator(&self, name: &str) -> anyhow::Result<Operator> {
        let uri = format!("spiffe://flotilla/operator/{name}");
        let channel = self.channel(Some(&uri)).await?;
        Ok(Operator::over(channel, self.enrolled.trust_bundle()))
    }

    /// Writes an operator's context file, in the format in which `flotilla-hub init` writes the first one.
    pub fn context(&self, name: &str) -> anyhow::Result<PathBuf> {
        let uri: Identity = format!("spiffe://flotilla/operator/{name}").parse()?;
        let authority = self.authority()?;
        let identity = authority.operator(&uri, Timestamp::now())?;
        let context = serde_json::json!({
            "apiVersion": "flotilla.dev/v1alpha1",
            "kind": "Context",
            "hub": self.address.to_string(),
            "trustBundle": authority.trust_bundle(),
            "certificate": identity.chain_pem,
            "key": identity.key_pem,
        });
        let file = self.root.join(format!("{name}.yaml"));
        write_private(&file, &context.to_string())?;
        Ok(file)
    }
}
