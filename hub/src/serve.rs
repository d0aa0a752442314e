//! The gRPC services over mTLS.
//!
//! A connection without a client certificate gets as far as enrolment, health and reflection; every
//! other method asks [`peer`] first who is there.

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

/// What every service needs.
pub struct Context {
    pub handle: Handle,
    pub store: Store,
    pub certificates: Arc<certificates::Certificates>,
    /// How often each caller may call.
    pub rates: rate::Rates,
    /// Who may do what.
    pub access: access::Access,
    /// What is measured.
    pub metrics: crate::metrics::Metrics,
    /// Whether what is decided can be stored.
    pub health: crate::driver::Health,
    /// The store's epoch.
    pub epoch: Epoch,
    /// `host:port` that agents and operators should dial.
    pub address: String,
    /// Since when this process serves.
    pub started_at: Timestamp,
    /// Questions to agents.
    pub relay: relay::Relay,
    /// What commits would change, as it was asked of agents; for some minutes.
    pub plans: planning::Plans,
    /// Moves branches with the hub's own credential; none: it was given none.
    pub mover: Option<Arc<crate::promote::Mover>>,
    /// Asks the pollers to look now.
    pub refresh: Arc<tokio::sync::Notify>,
    /// The hub is stopping: streams say goodbye.
    pub stop: tokio_util::sync::CancellationToken,
    /// The fleet file in force, and why a newer one is not.
    pub fleet_file: Arc<parking_lot::RwLock<FleetFileStatus>>,
}

/// Which fleet file is in force.
#[derive(Debug, Clone, Default)]
pub struct FleetFileStatus {
    /// SHA-256 of its text.
    pub digest: String,
    /// When it was read.
    pub loaded_at: Option<Timestamp>,
    /// Why the file on disk is not in force; empty: it is.
    pub error: String,
}

impl From<Stopped> for tonic::Status {
    fn from(stopped: Stopped) -> Self {
        Self::unavailable(stopped.to_string())
    }
}

/// A failing store is ours to fix; its text stays in our log.
fn store_error(error: &crate::store::Error) -> tonic::Status {
    tracing::error!(%error, "store failed");
    not_stored(format!("{STORE_FAILED}; its log says why"))
}

/// A refusal because the store failed, marked for programs; the text is for people.
fn not_stored(text: impl Into<String>) -> tonic::Status {
    let mut status = tonic::Status::unavailable(text);
    let mark = tonic::metadata::MetadataValue::from_static("1");
    status.metadata_mut().insert(NOT_STORED, mark);
    status
}
