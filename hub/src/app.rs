//! Starts a hub from its configuration.

mod decide;
mod fleet_file;
mod pages;
mod replica;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::authority::ExternalAuthority;
use crate::metrics::Metrics;
use crate::notify;
use crate::serve::certificates::{CertificateSource, Certificates};
use crate::serve::connection_limits::Limits;
use crate::serve::oidc::{self, Oidc};
use crate::serve::web;
use crate::store::Store;

use self::decide::decide;
use self::pages::Pages;

pub use fleet_file::{FleetFileError, read as read_fleet_file};

/// Configuration of a hub.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Store, authority and Git caches.
    pub data_dir: PathBuf,
    /// The fleet file.
    pub fleet: PathBuf,
    /// Address to listen on.
    pub listen: String,
    /// `host:port` at which agents and operators reach the hub; empty: the address that was bound.
    pub address: String,
    /// Host names for the hub's certificate, besides the fixed one.
    pub hostnames: Vec<String>,
    /// Poll interval of every repository; overrides the fleet file.
    pub poll_interval: Option<Duration>,
    /// A PostgreSQL store for several replicas; none: SQLite in the data directory.
    pub store_url: Option<String>,
    /// `host:port` at which other replicas reach this one; empty: the address that was bound.
    pub replica_address: String,
    /// Address for probes and metrics; none: not served.
    pub metrics_listen: Option<String>,
    /// Address for webhooks; none: not served.
    pub webhook_listen: Option<String>,
    /// Secret that Git servers sign webhooks with.
    pub webhook_secret: Option<Vec<u8>>,
    /// Limits of connections.
    pub limits: Limits,
    /// An external authority; none: the one in the data directory.
    pub external: Option<ExternalAuthority>,
    /// An issuer whose users may log in; none: operators have certificates.
    pub oidc: Option<oidc::Config>,
    /// The file of the issuer's configuration, which is read again when it changes; none: it is not read again.
    pub oidc_file: Option<PathBuf>,
    /// Directory of credentials for reading repositories; none: only public ones can be read.
    pub git_credentials: Option<PathBuf>,
    /// Forges and their credentials; none: forges are not used.
    pub forges: Option<crate::forge::config::Forges>,
    /// The notifications file; none: no notifications.
    pub notifications: Option<PathBuf>,
    /// Credentials for pushing; none: the hub only reads.
    pub push: Option<crate::promote::Credential>,
    /// Configuration of the pages; none: they are not served.
    pub web: Option<web::Config>,
}

/// A running hub, which serves or stands by.
pub struct Running {
    /// Address that it listens on.
    pub address: std::net::SocketAddr,
    /// Address of probes and metrics.
    pub metrics_address: Option<std::net::SocketAddr>,
    /// Address of webhooks.
    pub webhook_address: Option<std::net::SocketAddr>,
    /// Public URL of the pages.
    pub web: Option<String>,
    /// Address that the pages are served on.
    pub web_address: Option<std::net::SocketAddr>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    store: Store,
}

impl Running {
    /// Ends when the hub cannot continue: another process decides, or a listener failed.
    pub async fn ended(&self) {
        self.stop.cancelled().await;
    }

    /// Stops serving; streams end, the store is closed.
    pub async fn shutdown(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A stream may outlast this limit; it ends with the process.
            if tokio::time::timeout(Duration::from_secs(3), task)
                .await
                .is_err()
            {
                tracing::warn!("a task did not stop in time");
            }
        }
        // Lets another replica take over at once. If the release fails, that replica waits until the lease expires.
        if let Err(error) = self.store.release().await {
            tracing::warn!(%error, "cannot release the lease");
        }
        self.store.close().await;
    }

    /// Stops as a killed process does: nothing is released, and no peer is informed. For tests.
    #[doc(hidden)]
    pub fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.stop.cancel();
    }
}

/// What is started before it is known which replica decides.
struct Start {
    config: Config,
    store: Store,
    listener: Arc<TcpListener>,
    hooks: Option<TcpListener>,
    probes: Option<TcpListener>,
    certificates: Arc<Certificates>,
    address: String,
    replica_address: String,
    pages: Option<Pages>,
    oidc: Option<Arc<Oidc>>,
    metrics: Metrics,
    started_at: Timestamp,
    stop: CancellationToken,
}

/// Starts a hub.
///
/// # Errors
/// When the store, the authority, the fleet file or an address cannot be used.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    // The future is large: boxed, so that callers hold only a pointer.
    Box::pin(begin(config)).await
}

async fn begin(config: Config) -> anyhow::Result<Running> {
    let now = Timestamp::now();
    let source = match &config.external {
        Some(external) => CertificateSource::External(external.clone()),
        None => CertificateSource::Own(config.data_dir.clone()),
    };
    let certificates = Arc::new(Certificates::open(source, config.hostnames.clone(), now)?);
    read_fleet_file(&config.fleet)?;
    if let Some(path) = &config.notifications {
        notify::read(path)?;
    }
    anyhow::ensure!(
        config.webhook_listen.is_none() || config.webhook_secret.is_some(),
        "webhooks need a secret: give --webhook-secret-file"
    );
    let store = match &config.store_url {
        Some(url) => Store::connect(url).await?,
        None => Store::open(&config.data_dir).await?,
    };
    store
        .prove_authority(&certificates.authority().roots()?)
        .await?;
    let listener = bind(&config.listen).await?;
    let address = listener.local_addr()?;
    let hooks = optional(config.webhook_listen.as_deref()).await?;
    let probes = optional(config.metrics_listen.as_deref()).await?;
    let oidc = config
        .oidc
        .clone()
        .map(|config| Arc::new(Oidc::new(config)));
    let pages = match &config.web {
        Some(web) => Some(Pages::bind(web, oidc.as_ref(), &store).await?),
        None => None,
    };
    let named = |text: &str| {
        if text.is_empty() {
            address.to_string()
        } else {
            text.to_owned()
        }
    };
    let bound = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr);
    let stop = CancellationToken::new();
    let mut running = Running {
        address,
        metrics_address: bound(&probes).transpose()?,
        webhook_address: bound(&hooks).transpose()?,
        web: pages.as_ref().map(|pages| pages.origin().to_owned()),
        web_address: pages.as_ref().map(Pages::local_addr).transpose()?,
        stop: stop.clone(),
        tasks: Vec::new(),
        store: store.clone(),
    };
    let start = Start {
        certificates,
        address: named(&config.address),
        replica_address: named(&config.replica_address),
        config,
        store,
        listener: Arc::new(listener),
        hooks,
        probes,
        pages,
        oidc: oidc.clone(),
        metrics: Metrics::new(),
        started_at: now,
        stop: stop.clone(),
    };
    let mut side = Vec::new();
    if let Some(oidc) = oidc {
        if let Some(path) = start.config.oidc_file.clone() {
            side.push(tokio::spawn(Arc::clone(&oidc).follow(path, stop.clone())));
        }
        side.push(tokio::spawn(oidc.run(stop.clone())));
    }
    if start.config.store_url.is_none() {
        running.tasks = decide(start).await?;
    } else {
        // Electing the deciding replica takes a moment; this one serves meanwhile.
        let task = replica::run(start);
        running.tasks.push(tokio::spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(error = format!("{error:#}"), "this replica stops");
                stop.cancel();
            }
        }));
    }
    // The driver ends when all handles are dropped, so tasks without a handle are stopped first.
    running.tasks.splice(0..0, side);
    Ok(running)
}

async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

async fn optional(address: Option<&str>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => bind(address).await.map(Some),
        None => Ok(None),
    }
}
