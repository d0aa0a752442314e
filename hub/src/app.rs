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
use crate::driver::{self, Handle};
use crate::fleet::{Event, Fleet};
use crate::poll::Pollers;
use crate::serve::access::Access;
use crate::serve::agent_api::Agents;
use crate::serve::enroll::Enrollment;
use crate::serve::fleet_api::Operators;
use crate::serve::{Context, FleetFileStatus, listen};
use crate::spec::{self, Spec};
use crate::store::Store;

/// How often the fleet file is looked at. A ConfigMap's swap of links changes no time stamp that can
/// be trusted, so its text is read and compared.
const FILE_INTERVAL: Duration = Duration::from_secs(1);
/// Largest fleet file.
const MAX_FLEET_FILE: u64 = 8 << 20;

/// How to run a hub.
#[derive(Debug, Clone)]
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
}

/// A hub that serves.
pub struct Running {
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// The fleet.
    pub handle: Handle,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    store: Store,
}

impl Running {
    /// Stops serving; streams end, the store is closed.
    pub async fn shutdown(self) {
        self.stop.cancel();
        drop(self.handle);
        for task in self.tasks {
            // A stream may outlive our patience, but not the process.
            if tokio::time::timeout(Duration::from_secs(3), task)
                .await
                .is_err()
            {
                tracing::warn!("a task did not end in time");
            }
        }
        self.store.close().await;
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

/// Starts a hub.
///
/// # Errors
/// When the store, the authority, the fleet file or the address cannot be used.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let now = Timestamp::now();
    let authority = Authority::open(&config.data_dir)?;
    let (spec, digest) = read_fleet_file(&config.fleet).map_err(anyhow::Error::msg)?;
    let store = Store::open(&config.data_dir).await?;
    let epoch = store.epoch().await?;
    let mut fleet = Fleet::new(epoch);
    fleet.step(store.load().await?, now);
    let listener = TcpListener::bind(&config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let announced = if config.address.is_empty() {
        address.to_string()
    } else {
        config.address.clone()
    };
    let identity = authority.hub(&config.hostnames, now)?;
    let tls = Arc::new(tls::server_config(&identity, authority.trust_bundle())?);

    let stop = CancellationToken::new();
    let (handle, driver) = driver::spawn(fleet, store.clone(), stop.clone());
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
        epoch,
        address: announced,
        started_at: now,
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
    );
    let watcher = tokio::spawn(watch_fleet_file(
        config.fleet.clone(),
        spec,
        pollers,
        handle.clone(),
        fleet_file,
        refresh,
        stop.clone(),
    ));
    let server = tokio::spawn(serve(context, listener, tls, stop.clone()));
    tracing::info!(%address, epoch = epoch.0, "hub serves");
    Ok(Running {
        address,
        handle,
        stop,
        tasks: vec![server, watcher, driver],
        store,
    })
}

async fn serve(
    context: Arc<Context>,
    listener: TcpListener,
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
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 << 10)
        .http2_max_pending_accept_reset_streams(Some(20))
        .max_concurrent_streams(64)
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
