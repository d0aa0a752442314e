//! The gRPC services over mTLS.
//!
//! A connection without a client certificate can call enrolment, health and reflection; every other method first asks
//! [`peer`] for the caller.

pub mod access;
pub mod agent_api;
pub(crate) mod caller;
pub mod certificates;
pub mod connection;
pub mod connection_limits;
pub mod enroll;
pub mod fleet_api;
pub mod http;
pub mod http2;
pub mod listen;
pub mod login;
pub mod oidc;
pub mod peer;
pub mod penalties;
pub mod planning;
pub mod previews;
pub mod rate;
pub mod relay;
pub mod server;
pub mod standby;
pub mod web;
pub mod webhook;

use std::sync::Arc;

use flotilla_shared::dial::NOT_STORED;
use flotilla_shared::id::Epoch;
use flotilla_shared::words::STORE_FAILED;
use jiff::Timestamp;

use crate::driver::{Handle, Stopped};
use crate::store::Store;

/// Seconds between an agent's heartbeats.
pub const HEARTBEAT_SECONDS: u32 = 10;

/// Context of all services.
pub struct Context {
    pub handle: Handle,
    pub store: Store,
    pub certificates: Arc<certificates::Certificates>,
    /// Rate limits of callers.
    pub rates: rate::Rates,
    /// Roles of operators.
    pub access: access::Access,
    /// Metrics.
    pub metrics: crate::metrics::Metrics,
    /// Health of the store.
    pub health: crate::driver::Health,
    /// The store's epoch.
    pub epoch: Epoch,
    /// `host:port` at which agents and operators reach the hub.
    pub address: String,
    /// When this process started to serve.
    pub started_at: Timestamp,
    /// Questions to agents.
    pub relay: relay::Relay,
    /// Plans of the last minutes.
    pub plans: planning::Plans,
    /// Moves branches with the hub's own credential; none: it has none.
    pub mover: Option<Arc<crate::promote::Mover>>,
    /// Wakes the pollers.
    pub refresh: Arc<tokio::sync::Notify>,
    /// Cancelled when the hub is stopping.
    pub stop: tokio_util::sync::CancellationToken,
    /// State of the fleet file in force, with the errors of a newer one.
    pub fleet_file: Arc<parking_lot::RwLock<FleetFileStatus>>,
}

/// State of the fleet file.
#[derive(Debug, Clone, Default)]
pub struct FleetFileStatus {
    /// SHA-256 of its text.
    pub digest: String,
    /// When the file was read.
    pub loaded_at: Option<Timestamp>,
    /// Why the file on disk is not in force; empty: it is.
    pub error: String,
}

impl From<Stopped> for tonic::Status {
    fn from(stopped: Stopped) -> Self {
        Self::unavailable(stopped.to_string())
    }
}

/// Converts an error of the store; its text stays in the hub's log.
fn store_error(error: &crate::store::Error) -> tonic::Status {
    tracing::error!(%error, "store failed");
    not_stored(format!("{STORE_FAILED}; its log says why"))
}

/// Makes a refusal because the store failed, with a mark for programs; the text is for operators.
fn not_stored(text: impl Into<String>) -> tonic::Status {
    let mut status = tonic::Status::unavailable(text);
    let mark = tonic::metadata::MetadataValue::from_static("1");
    status.metadata_mut().insert(NOT_STORED, mark);
    status
}
