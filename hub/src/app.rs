//! Wiring: configuration in, a running hub out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_proto::v1::agent_service_server::AgentServiceServer;
use flotilla_proto::v1::enrollment_service_server::EnrollmentServiceServer;
use flotilla_proto::v1::fleet_service_server::FleetServiceServer;
use flotilla_shared::digest::Digest;
use flotilla_shared::tls;
use flotilla_shared::wire::MAX_MESSAGE_BYTES;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;
use crate::check;
use crate::driver::{self, Handle};
use crate::fleet::{Event, Fleet};
use crate::metrics::Metrics;
use crate::poll::Pollers;
use crate::promote;
use crate::serve::access::Access;
use crate::serve::agent_api::Agents;
use crate::serve::enroll::Enrollment;
use crate::serve::fleet_api::Operators;
use crate::serve::http::{self, Probe};
use crate::serve::standby::PassOn;
use crate::serve::webhook::{self, Hooks};
use crate::serve::{Context, FleetFileStatus, listen};
use crate::spec::{self, Spec};
use crate::store::{LEASE, Lease, Store};

/// How often the fleet file is looked at. A ConfigMap's swap of links changes no time stamp that can
/// be trusted, so its text is read and compared.
const FILE_INTERVAL: Duration = Duration::from_secs(1);
/// Largest fleet file.
const MAX_FLEET_FILE: u64 = 8 << 20;

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
    /// What the hub may push with; none: it only reads.
    pub push: Option<crate::promote::Credential>,
}

/// A hub that serves, or stands by.
pub struct Running {
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// Where probes and metrics are served.
    pub metrics_address: Option<std::net::SocketAddr>,
    /// Where webhooks are taken.
    pub webhook_address: Option<std::net::SocketAddr>,
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

/// Reads and checks a fleet file.
///
/// # Errors
/// A text with every problem, one a line.
pub fn read_fleet_file(path: &Path) -> Result<(Spec, String), String> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path)
        .map_err(|error| format!("{name}: {error}"))?
        .len();
    if size > MAX_FLEET_FILE {
        return Err(format!(
            "{name}: {size} bytes are more than the {MAX_FLEET_FILE} allowed"
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    match spec::parse(&name, &text) {
        Ok(spec) => Ok((spec, Digest::of(text.as_bytes()).to_string())),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(lines.join("\n"))
        }
    }
}

/// What is there before it is known who decides.
struct Start {
    config: Config,
    authority: Authority,
    store: Store,
    listener: Arc<TcpListener>,
    hooks: Option<TcpListener>,
    probes: Option<TcpListener>,
    tls: Arc<rustls::ServerConfig>,
    client_tls: Arc<rustls::ClientConfig>,
    address: String,
    replica_address: String,
    metrics: Metrics,
    started_at: Timestamp,
    stop: CancellationToken,
}

/// Starts a hub.
///
/// # Errors
/// When the store, the authority, the fleet file or an address cannot be used.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let now = Timestamp::now();
    let authority = Authority::open(&config.data_dir)?;
    read_fleet_file(&config.fleet).map_err(anyhow::Error::msg)?;
    anyhow::ensure!(
        config.webhook_listen.is_none() || config.webhook_secret.is_some(),
        "webhooks need a secret: give --webhook-secret-file"
    );
    let store = match &config.store_url {
        Some(url) => Store::connect(url).await?,
        None => Store::open(&config.data_dir).await?,
    };
    let listener = bind(&config.listen).await?;
    let address = listener.local_addr()?;
    let hooks = optional(config.webhook_listen.as_deref()).await?;
    let probes = optional(config.metrics_listen.as_deref()).await?;
    let named = |text: &str| {
        if text.is_empty() {
            address.to_string()
        } else {
            text.to_owned()
        }
    };
    let identity = authority.hub(&config.hostnames, now)?;
    let bound = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr);
    let stop = CancellationToken::new();
    let mut running = Running {
        address,
        metrics_address: bound(&probes).transpose()?,
        webhook_address: bound(&hooks).transpose()?,
        stop: stop.clone(),
        tasks: Vec::new(),
        store: store.clone(),
    };
    let start = Start {
        tls: Arc::new(tls::server_config(&identity, authority.trust_bundle())?),
        client_tls: Arc::new(tls::client_config(
            authority.trust_bundle(),
            Some(&identity),
        )?),
        address: named(&config.address),
        replica_address: named(&config.replica_address),
        config,
        authority,
        store,
        listener: Arc::new(listener),
        hooks,
        probes,
        metrics: Metrics::new(),
        started_at: now,
        stop: stop.clone(),
    };
    if start.config.store_url.is_none() {
        running.tasks = decide(start).await?;
    } else {
        // Which of several replicas decides takes a moment to find out; this one serves meanwhile.
        let task = replica(start);
        running.tasks.push(tokio::spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(error = format!("{error:#}"), "this replica ends");
                stop.cancel();
            }
        }));
    }
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

/// How often a replica that stands by looks whether it should decide, and one that decides proves that
/// it is there.
const LOOK: Duration = Duration::from_secs(1);

/// Stands by until the lease is free, then decides until it is lost. What was decided in memory is
/// worth nothing to the next one, so the process ends with the lease and begins anew.
async fn replica(mut start: Start) -> anyhow::Result<()> {
    let holder = format!("{:016x}", rand::random::<u64>());
    let pass_on = PassOn::new(Arc::clone(&start.client_tls));
    let standing_by = start.stop.child_token();
    let probe = Probe {
        metrics: start.metrics.clone(),
        handle: None,
    };
    let mut side = Vec::new();
    if let Some(address) = &start.config.metrics_listen
        && let Some(listener) = start.probes.take()
    {
        let bound = listener.local_addr()?;
        side.push(tokio::spawn(http::probes(
            listener,
            probe,
            standing_by.clone(),
        )));
        tracing::debug!(%bound, address, "probes while standing by");
    }
    let server = tokio::spawn(standby(
        pass_on.clone(),
        Arc::clone(&start.listener),
        Arc::clone(&start.tls),
        standing_by.clone(),
    ));
    let lease = loop {
        match start.store.acquire(&holder, &start.replica_address).await {
            Ok(Some(lease)) => break lease,
            Ok(None) => match start.store.standing().await {
                Ok(standing) => pass_on.aim(&standing.address),
                Err(error) => tracing::warn!(%error, "cannot see who decides"),
            },
            Err(error) => tracing::warn!(%error, "cannot ask for the lease"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = start.stop.cancelled() => return Ok(()),
        }
    };
    tracing::info!(term = lease.term, "this replica decides now");
    // Renewed from the first moment on: loading a large fleet takes time too.
    let keeper = tokio::spawn(keep(start.store.clone(), lease, start.stop.clone()));
    standing_by.cancel();
    for task in side.into_iter().chain([server]) {
        let _ = tokio::time::timeout(LOOK, task).await;
    }
    if let Some(address) = start.config.metrics_listen.clone() {
        start.probes = Some(bind(&address).await?);
    }
    let stop = start.stop.clone();
    let mut tasks = decide(start).await?;
    tasks.push(keeper);
    stop.cancelled().await;
    for task in tasks {
        let _ = tokio::time::timeout(Duration::from_secs(3), task).await;
    }
    Ok(())
}

/// Keeps the lease, or stops the process: also when the store has not answered for as long as a lease
/// lasts, since another may decide by then.
async fn keep(store: Store, lease: Lease, stop: CancellationToken) {
    let mut proven = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        let asked = tokio::time::Instant::now();
        match tokio::time::timeout(LEASE, store.renew(lease)).await {
            Ok(Ok(true)) => proven = asked,
            Ok(Ok(false)) => {
                tracing::error!(term = lease.term, "the lease is lost; stepping down");
                stop.cancel();
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
            Err(_) => tracing::warn!("the store does not answer"),
        }
        if proven.elapsed() >= LEASE {
            tracing::error!(
                term = lease.term,
                "the lease could not be renewed; stepping down"
            );
            stop.cancel();
            return;
        }
    }
}

/// Passes every call on.
async fn standby(
    pass_on: PassOn,
    listener: Arc<TcpListener>,
    tls: Arc<rustls::ServerConfig>,
    stop: CancellationToken,
) {
    let router = axum::Router::new().fallback_service(tower::service_fn(
        move |request: ::http::Request<axum::body::Body>| {
            let mut pass_on = pass_on.clone();
            async move {
                let request = request.map(tonic::body::Body::new);
                tower::Service::call(&mut pass_on, request).await
            }
        },
    ));
    let incoming = ReceiverStream::new(listen::accept(listener, tls));
    let served = builder()
        .add_routes(tonic::service::Routes::from(router))
        .serve_with_incoming_shutdown(incoming, stop.cancelled())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the server ended");
    }
}

/// Loads the fleet and serves it.
async fn decide(start: Start) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let Start {
        config,
        authority,
        store,
        listener,
        hooks,
        probes,
        tls,
        address,
        metrics,
        started_at,
        stop,
        ..
    } = start;
    let now = Timestamp::now();
    let (spec, digest) = read_fleet_file(&config.fleet).map_err(anyhow::Error::msg)?;
    let epoch = store.epoch().await?;
    let mut fleet = Fleet::new(epoch);
    fleet.step(store.load().await?, now);
    let (handle, driver) = driver::spawn(fleet, store.clone(), metrics.clone(), stop.clone());
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
        authority,
        access: Access::new(store.grants().await?),
        metrics: metrics.clone(),
        epoch,
        address,
        started_at,
        relay: crate::serve::relay::Relay::default(),
        refresh: Arc::clone(&refresh),
        fleet_file: Arc::clone(&fleet_file),
    });
    let spec = Arc::new(spec);
    handle.event(Event::SpecChanged(Arc::clone(&spec))).await?;
    let pollers = Pollers::new(
        handle.clone(),
        config.data_dir.join("git"),
        config.poll_interval,
        metrics.clone(),
    );
    let mut tasks = vec![
        tokio::spawn(watch_fleet_file(
            config.fleet.clone(),
            spec,
            pollers,
            handle.clone(),
            fleet_file,
            Arc::clone(&refresh),
            stop.clone(),
        )),
        tokio::spawn(check::run(handle.clone(), stop.clone())),
        tokio::spawn(retain(store, stop.clone())),
    ];
    if let Some(listener) = probes {
        let probe = Probe {
            metrics: metrics.clone(),
            handle: Some(handle.clone()),
        };
        tasks.push(tokio::spawn(http::probes(listener, probe, stop.clone())));
    }
    if let (Some(listener), Some(secret)) = (hooks, config.webhook_secret) {
        let hooks = Hooks {
            handle: handle.clone(),
            secret,
            refresh: Arc::clone(&refresh),
            metrics,
        };
        tasks.push(tokio::spawn(webhook::serve(listener, hooks, stop.clone())));
    }
    if let Some(credential) = config.push {
        let promoter = promote::run(handle.clone(), credential, refresh, stop.clone());
        tasks.push(tokio::spawn(promoter));
    }
    tracing::info!(epoch = epoch.0, "hub serves");
    tasks.push(tokio::spawn(serve(context, listener, tls, stop)));
    // Its end waits for everybody's handle, so it comes last.
    tasks.push(driver);
    Ok(tasks)
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

/// A server with its bounds.
fn builder() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 << 10)
        .http2_max_pending_accept_reset_streams(Some(20))
        .max_concurrent_streams(64)
}

async fn serve(
    context: Arc<Context>,
    listener: Arc<TcpListener>,
    tls: Arc<rustls::ServerConfig>,
    stop: CancellationToken,
) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AgentServiceServer<Agents>>().await;
    health.set_serving::<FleetServiceServer<Operators>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(flotilla_proto::FILE_DESCRIPTOR_SET)
        .build_v1();
    let agents = AgentServiceServer::new(Agents(Arc::clone(&context)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let enrollment = EnrollmentServiceServer::new(Enrollment::new(Arc::clone(&context)))
        .max_decoding_message_size(64 << 10);
    let operators = FleetServiceServer::new(Operators(context))
        .max_decoding_message_size(64 << 10)
        .max_encoding_message_size(64 << 20);
    let server = builder()
        .add_service(health_service)
        .add_optional_service(reflection.ok())
        .add_service(agents)
        .add_service(enrollment)
        .add_service(operators);
    let incoming = ReceiverStream::new(listen::accept(listener, tls));
    let served = server
        .serve_with_incoming_shutdown(incoming, stop.cancelled())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the server ended");
    }
}

async fn watch_fleet_file(
    path: PathBuf,
    mut current: Arc<Spec>,
    mut pollers: Pollers,
    handle: Handle,
    status: Arc<RwLock<FleetFileStatus>>,
    refresh: Arc<Notify>,
    stop: CancellationToken,
) {
    pollers.fit(&current);
    loop {
        tokio::select! {
            () = tokio::time::sleep(FILE_INTERVAL) => {}
            () = refresh.notified() => {
                pollers.hint();
                continue;
            }
            () = stop.cancelled() => return,
        }
        match read_fleet_file(&path) {
            Ok((spec, digest)) => {
                let changed = status.read().digest != digest;
                if !status.read().error.is_empty() || changed {
                    *status.write() = FleetFileStatus {
                        digest,
                        loaded_at: Some(Timestamp::now()),
                        error: String::new(),
                    };
                }
                if changed && *current != spec {
                    tracing::info!(file = %path.display(), "fleet file changed");
                    current = Arc::new(spec);
                    pollers.fit(&current);
                    if handle
                        .event(Event::SpecChanged(Arc::clone(&current)))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
            Err(error) => {
                // The last good file stays in force; the fault is shown, once in the log.
                if status.read().error != error {
                    tracing::error!(
                        error,
                        "fleet file refused; the last good one stays in force"
                    );
                    status.write().error = error;
                }
            }
        }
    }
}
