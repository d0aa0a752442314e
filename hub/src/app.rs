//! Wiring: configuration in, a running hub out.

mod fleet_file;
mod pages;
mod replica;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_shared::backoff::Backoff;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::authority::External;
use crate::check;
use crate::driver;
use crate::fleet::{Event, Fleet};
use crate::forge;
use crate::metrics::Metrics;
use crate::notify;
use crate::poll::Pollers;
use crate::promote;
use crate::serve::access::Access;
use crate::serve::connection_limits::Limits;
use crate::serve::http::{self, Duty, Probe};
use crate::serve::oidc::{self, Oidc};
use crate::serve::previews::ByAgents;
use crate::serve::rate::Rates;
use crate::serve::trust::{self, Source, Trust};
use crate::serve::web;
use crate::serve::webhook::{self, Hooks};
use crate::serve::{Context, FleetFileStatus, server};
use crate::store::Store;

use self::pages::Pages;

pub use fleet_file::read as read_fleet_file;

/// How to run a hub.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Store, authority and Git caches.
    pub data_dir: PathBuf,
    /// The fleet file.
    pub fleet: PathBuf,
    /// Where to listen.
    pub listen: String,
    /// `host:port` that agents and operators dial; empty: what was bound.
    pub address: String,
    /// Host names for the hub's certificate, besides the fixed one.
    pub hostnames: Vec<String>,
    /// Overrides every repository's poll interval.
    pub poll_interval: Option<Duration>,
    /// A PostgreSQL store for several replicas; none: SQLite in the data directory.
    pub store_url: Option<String>,
    /// `host:port` at which other replicas reach this one; empty: what was bound.
    pub replica_address: String,
    /// Where probes and metrics are served; none: nowhere.
    pub metrics_listen: Option<String>,
    /// Where webhooks are taken; none: nowhere.
    pub webhook_listen: Option<String>,
    /// What Git servers sign webhooks with.
    pub webhook_secret: Option<Vec<u8>>,
    /// How many connections are taken on.
    pub limits: Limits,
    /// An authority that is somebody else's; none: the one in the data directory.
    pub external: Option<External>,
    /// An issuer whose people may come in; none: operators have certificates.
    pub oidc: Option<oidc::Config>,
    /// The file that it was read from, which is read again when it changes; none: it stays as it is.
    pub oidc_file: Option<PathBuf>,
    /// A directory with what the hub reads repositories with; none: only what anybody may read.
    pub git_credentials: Option<PathBuf>,
    /// What forges are told, and with which credentials; none: nothing.
    pub forges: Option<crate::forge::config::Forges>,
    /// The file that says who is told what; none: nobody is told anything.
    pub notifications: Option<PathBuf>,
    /// What the hub may push with; none: it only reads.
    pub push: Option<crate::promote::Credential>,
    /// How pages are served; none: not at all.
    pub web: Option<web::Config>,
}

/// A hub that serves, or stands by.
pub struct Running {
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// Where probes and metrics are served.
    pub metrics_address: Option<std::net::SocketAddr>,
    /// Where webhooks are taken.
    pub webhook_address: Option<std::net::SocketAddr>,
    /// Where people find the pages.
    pub web: Option<String>,
    /// Where those are served.
    pub web_address: Option<std::net::SocketAddr>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    store: Store,
}

impl Running {
    /// Ends when the hub can go on no more: another process decides, or a listener failed.
    pub async fn ended(&self) {
        self.stop.cancelled().await;
    }

    /// Stops serving; streams end, the store is closed.
    pub async fn shutdown(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A stream may outlive our patience, but not the process.
            if tokio::time::timeout(Duration::from_secs(3), task)
                .await
                .is_err()
            {
                tracing::warn!("a task did not end in time");
            }
        }
        // So that another takes over at once; if it cannot be told, it waits for the lease's end.
        if let Err(error) = self.store.release().await {
            tracing::warn!(%error, "cannot give the lease back");
        }
        self.store.close().await;
    }

    /// Stops as a killed process does: nothing is given back, nobody is told. For tests.
    #[doc(hidden)]
    pub fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.stop.cancel();
    }
}

/// What is there before it is known who decides.
struct Start {
    config: Config,
    store: Store,
    listener: Arc<TcpListener>,
    hooks: Option<TcpListener>,
    probes: Option<TcpListener>,
    trust: Arc<Trust>,
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
    // Its state is large; callers hold a pointer.
    Box::pin(begin(config)).await
}

async fn begin(config: Config) -> anyhow::Result<Running> {
    let now = Timestamp::now();
    let source = match &config.external {
        Some(external) => Source::External(external.clone()),
        None => Source::Own(config.data_dir.clone()),
    };
    let trust = Arc::new(Trust::open(source, config.hostnames.clone(), now)?);
    read_fleet_file(&config.fleet).map_err(anyhow::Error::msg)?;
    if let Some(path) = &config.notifications {
        notify::read(path).map_err(anyhow::Error::msg)?;
    }
    anyhow::ensure!(
        config.webhook_listen.is_none() || config.webhook_secret.is_some(),
        "webhooks need a secret: give --webhook-secret-file"
    );
    let store = match &config.store_url {
        Some(url) => Store::connect(url).await?,
        None => Store::open(&config.data_dir).await?,
    };
    store.prove_authority(&trust.authority().roots()?).await?;
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
        trust,
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
        // Which of several replicas decides takes a moment to find out; this one serves meanwhile.
        let task = replica::run(start);
        running.tasks.push(tokio::spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(error = format!("{error:#}"), "this replica ends");
                stop.cancel();
            }
        }));
    }
    // The driver's end waits for everybody's handle, so what has none comes first.
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

/// Loads the fleet and serves it.
async fn decide(start: Start) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let Start {
        config,
        store,
        listener,
        hooks,
        probes,
        trust,
        address,
        pages,
        oidc,
        metrics,
        started_at,
        stop,
        ..
    } = start;
    let now = Timestamp::now();
    let (spec, digest) = read_fleet_file(&config.fleet).map_err(anyhow::Error::msg)?;
    let epoch = store.epoch().await?;
    let mut fleet = Fleet::new(epoch).since(store.epoch_since().await?);
    fleet.step(store.load().await?, now);
    let health = store.health();
    let (handle, driver) = driver::spawn(
        fleet,
        store.clone(),
        metrics.clone(),
        health.clone(),
        stop.clone(),
    );
    let refresh = Arc::new(Notify::new());
    let fleet_file = Arc::new(RwLock::new(FleetFileStatus {
        digest,
        loaded_at: Some(now),
        error: String::new(),
    }));
    let context = Arc::new(Context {
        stop: stop.clone(),
        handle: handle.clone(),
        store: store.clone(),
        trust: Arc::clone(&trust),
        rates: Rates::default(),
        access: Access::new(store.grants().await?, oidc),
        metrics: metrics.clone(),
        health: health.clone(),
        epoch,
        address,
        started_at,
        relay: crate::serve::relay::Relay::default(),
        plans: crate::serve::planning::Plans::default(),
        mover: config
            .push
            .map(|credential| Arc::new(promote::Mover::new(credential, Arc::clone(&refresh)))),
        refresh: Arc::clone(&refresh),
        fleet_file: Arc::clone(&fleet_file),
    });
    let hints = Arc::<forge::Hints>::default();
    let speaking = forge::Speaking {
        handle: handle.clone(),
        store: store.clone(),
        forges: config.forges,
        metrics: metrics.clone(),
        refresh: Arc::clone(&refresh),
        planner: Arc::new(ByAgents(Arc::clone(&context))),
        hints: Arc::clone(&hints),
    };
    let notified = match config.notifications {
        Some(path) => Some(notify::run(
            notify::Telling {
                config: notify::read(&path).map_err(anyhow::Error::msg)?,
                path,
                handle: handle.clone(),
                store: store.clone(),
                fleet_file: Arc::clone(&fleet_file),
                metrics: metrics.clone(),
                health: health.clone(),
            },
            stop.clone(),
        )),
        None => None,
    };
    let spec = Arc::new(spec);
    handle.event(Event::SpecChanged(Arc::clone(&spec))).await?;
    let pollers = Pollers::new(
        handle.clone(),
        config.data_dir.join("git"),
        config.poll_interval,
        config.git_credentials.clone(),
        metrics.clone(),
    );
    let mut tasks = vec![
        tokio::spawn(fleet_file::watch(
            config.fleet.clone(),
            spec,
            pollers,
            handle.clone(),
            fleet_file,
            Arc::clone(&refresh),
            stop.clone(),
        )),
        tokio::spawn(check::run(handle.clone(), stop.clone())),
        tokio::spawn(retain(store.clone(), stop.clone())),
        tokio::spawn(prove(store.clone(), stop.clone())),
        tokio::spawn(trust::watch(
            trust,
            Some((handle.clone(), store)),
            stop.clone(),
        )),
    ];
    if let Some(pages) = pages {
        let carrier = web::in_process(Arc::clone(&context));
        tasks.push(pages.serve(carrier, stop.clone()));
    }
    if let Some(listener) = probes {
        let probe = Probe {
            metrics: metrics.clone(),
            duty: Duty::Decides(handle.clone(), health),
        };
        tasks.push(tokio::spawn(http::probes(listener, probe, stop.clone())));
    }
    if let (Some(listener), Some(secret)) = (hooks, config.webhook_secret) {
        let hooks = Hooks {
            handle: handle.clone(),
            secret,
            refresh: Arc::clone(&refresh),
            hints,
            metrics,
        };
        tasks.push(tokio::spawn(webhook::serve(listener, hooks, stop.clone())));
    }
    if let Some(mover) = &context.mover {
        let promoter = promote::run(handle.clone(), Arc::clone(mover), stop.clone());
        tasks.push(tokio::spawn(promoter));
    }
    tasks.extend(forge::start(speaking, &stop)?);
    tasks.extend(notified.map(tokio::spawn));
    tracing::info!(epoch = epoch.0, "hub serves");
    tasks.push(tokio::spawn(server::serve(
        context,
        listener,
        config.limits,
        stop,
    )));
    // Its end waits for everybody's handle, so it comes last.
    tasks.push(driver);
    Ok(tasks)
}

/// After a failure of the store that nobody tries again, sees whether anything can be written: the hub says
/// that it is not ready until something was.
async fn prove(store: Store, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
    while !stop.is_cancelled() {
        let wait = match store.health().is_doubted() {
            false => {
                backoff.reset();
                Duration::from_millis(500)
            }
            true => match store.prove().await {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, "the store cannot be written; not ready until it can");
                    backoff.next_delay(&mut rand::rng())
                }
            },
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Forgets what is old, at the start and then daily.
async fn retain(store: Store, stop: CancellationToken) {
    loop {
        if let Err(error) = store.retain(Timestamp::now()).await {
            tracing::warn!(%error, "cannot forget what is old; will try again tomorrow");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(86_400)) => {}
            () = stop.cancelled() => return,
        }
    }
}
