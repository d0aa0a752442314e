//! The cluster's side of a turn: observe, plan, remember, apply, prune, judge.
//!
//! ```text
//!   manifests --desired--> Desired --+
//!   discovery, lists ----> Observed -+-> plan (PURE) -> inventory superset -> applies -> deletes
//!   inventory ConfigMaps -> Inventory+                                      -> inventory narrowed
//! ```

mod api;
mod apply;
mod desired;
mod discovery;
mod inventory_store;
mod observe;
mod turn;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_shared::health::{Health, Sync};
use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;
use parking_lot::Mutex;

pub use api::Error;
pub use desired::desired;
pub use turn::TurnInput;

use api::Api;
use discovery::Discovery;

/// How the agent behaves towards its API server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the agent lives and keeps its records.
    pub namespace: String,
    /// Server-side apply's manager name.
    pub field_manager: String,
    /// Requests at once.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "flotilla-system".to_owned(),
            field_manager: "flotilla".to_owned(),
            concurrency: 16,
        }
    }
}

/// What identifies a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// UID of the namespace kube-system.
    pub uid: String,
    /// The API server's version, such as `v1.33.1`.
    pub kubernetes_version: String,
}

/// What a turn found and did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TurnOutcome {
    /// Every object, in no particular order.
    pub objects: Vec<ObjectStatus>,
    /// Whether live equals desired now.
    pub sync: Sync,
    /// The worst of the objects.
    pub health: Health,
    /// Why not synced.
    pub reason: Option<Reason>,
    /// For a person.
    pub message: String,
    /// Objects written.
    pub written: u32,
    /// Objects deleted.
    pub pruned: u32,
}

/// What was proven of an object by an apply that changed nothing although its fields look different
/// (a quantity written another way, say): while it stays so, it counts as equal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proven {
    uid: String,
    generation: i64,
    desired: flotilla_shared::digest::Digest,
}

/// One API server. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    api: Api,
    options: Arc<Options>,
    discovery: Arc<tokio::sync::Mutex<Discovery>>,
    proven: Arc<Mutex<BTreeMap<ObjectRef, Proven>>>,
    watches: Arc<watch::Watches>,
}

impl Cluster {
    /// Over a client. Nothing is asked yet.
    #[must_use]
    pub fn new(client: kube::Client, options: Options) -> Self {
        let api = Api::new(client);
        Self {
            watches: Arc::new(watch::Watches::new(api.clone())),
            api,
            options: Arc::new(options),
            discovery: Arc::default(),
            proven: Arc::default(),
        }
    }

    /// What identifies the cluster.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn facts(&self) -> Result<Facts, Error> {
        let system = self.api.get("/api/v1/namespaces/kube-system").await?;
        let version = self.api.get("/version").await?;
        let text = |value: &serde_json::Value, pointer: &str| {
            value
                .pointer(pointer)
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Facts {
            uid: text(&system, "/metadata/uid"),
            kubernetes_version: text(&version, "/gitVersion"),
        })
    }

    /// Changes whenever a managed object was changed by somebody: the agent's loop takes a turn.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.watches.changes()
    }

    /// The agent's own namespace as it is; none where it is not there.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn own_namespace(&self) -> Result<Option<serde_json::Value>, Error> {
        self.api
            .find(&format!("/api/v1/namespaces/{}", self.options.namespace))
            .await
    }
}
