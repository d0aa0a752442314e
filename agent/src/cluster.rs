//! The cluster's side of a pass: observe, plan, remember, apply, prune, judge.
//!
//! ```text
//!   manifests --desired--> Desired --+
//!   discovery, lists ----> Observed -+-> plan (PURE) -> inventory superset -> applies -> deletes
//!   inventory ConfigMaps -> Inventory+                                      -> inventory narrowed
//! ```

mod apply;
mod autoscalers;
mod charts;
mod counted;
mod custom_resources;
mod desired;
mod execute;
mod foresee;
mod gate_job;
mod inventory_store;
mod kinds;
mod notes;
pub mod outcome;
mod pass;
mod preview;
mod prune;
mod records;
mod seal;
mod takeover;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use charts::RanBefore;
pub use desired::{ApplicationDefaults, autoscaled, desired};
pub use foresee::UpcomingObjects;
pub(crate) use gate_job::GateJobRequest;
pub use outcome::PassOutcome;
pub use pass::{DesiredState, Memory, PassInput};

use crate::api::discovery::Discovery;
use crate::api::freeze::Freeze;
use crate::api::{Api, Error};
use crate::events::{Event, Events};
use crate::fence::Fence;
use crate::health::Rules;
use crate::leader::Elector;
use crate::metrics::Metrics;
use crate::observe::facts::Reader;
use crate::observe::managers::Managers;
use crate::observe::views::{Tenure, Views};

/// Settings for working with the API server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent's own namespace, which holds its records.
    pub namespace: String,
    /// Server-side apply's manager name.
    pub field_manager: String,
    /// Requests at once.
    pub concurrency: usize,
    /// Most requests a second.
    pub rate: u32,
    /// Longest silence of a watch before it is opened again.
    pub patience: Duration,
    /// Health rules of the agent's own.
    pub rules: Arc<Rules>,
    /// Field managers of this cluster, besides the built-in list.
    pub managers: Arc<Managers>,
    /// Whether this process may write at all.
    pub fence: Fence,
    /// The agent's metrics.
    pub metrics: Metrics,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "flotilla-system".to_owned(),
            field_manager: "flotilla".to_owned(),
            concurrency: 32,
            rate: 2000,
            patience: Duration::from_secs(180),
            rules: Arc::default(),
            managers: Arc::default(),
            fence: Fence::open(),
            metrics: Metrics::default(),
        }
    }
}

/// Whether to create a missing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenMissing {
    Make,
    Leave,
}

/// Identity of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    /// UID of the namespace kube-system.
    pub uid: String,
    /// The API server's version, such as `v1.33.1`.
    pub kubernetes_version: String,
}

/// One API server. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    api: Api,
    options: Arc<Options>,
    rules: Arc<Rules>,
    discovery: Arc<tokio::sync::Mutex<Discovery>>,
    views: Arc<Views>,
    events: Events,
    freeze: Freeze,
    /// Key that seals the agent's records; none: not read yet.
    seal: Arc<tokio::sync::Mutex<Option<seal::SealKey>>>,
}

impl Cluster {
    /// Over a client. Nothing is asked yet. Needs a runtime, for its recorder of Events.
    #[must_use]
    pub fn new(client: kube::Client, options: Options) -> Self {
        let api = Api::new(
            client,
            options.rate,
            options.fence.clone(),
            options.metrics.clone(),
        );
        let views = Views::new(
            api.clone(),
            options.field_manager.clone(),
            Arc::clone(&options.managers),
            Arc::clone(&options.rules),
            options.patience,
        );
        Self {
            views: Arc::new(views),
            events: Events::start(api.clone(), &options.namespace),
            freeze: Freeze::new(api.clone(), &options.namespace),
            api,
            rules: Arc::clone(&options.rules),
            options: Arc::new(options),
            discovery: Arc::default(),
            seal: Arc::default(),
        }
    }

    /// Identity of the cluster.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn facts(&self) -> Result<ClusterFacts, Error> {
        let system = self.api.get("/api/v1/namespaces/kube-system").await?;
        let version = self.api.get("/version").await?;
        let text = |value: &serde_json::Value, pointer: &str| {
            value
                .pointer(pointer)
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ok(ClusterFacts {
            uid: text(&system, "/metadata/uid"),
            kubernetes_version: text(&version, "/gitVersion"),
        })
    }

    /// Settings for reading live objects.
    fn reader(&self) -> Reader<'_> {
        Reader {
            manager: &self.options.field_manager,
            managers: &self.options.managers,
            rules: &self.rules,
        }
    }

    /// Whether this process may write.
    pub(crate) fn fence(&self) -> Fence {
        self.options.fence.clone()
    }

    /// Takes part in the election of the pod that works on this cluster.
    #[must_use]
    pub fn elector(&self, me: String) -> Elector {
        let fence = self.options.fence.clone();
        Elector::new(&self.api, &self.options.namespace, me, fence)
    }

    /// Returns a channel that changes whenever another client changes an object of the memory's application.
    pub fn changes(&self, memory: &mut Memory) -> tokio::sync::watch::Receiver<u64> {
        self.tenure(memory).changes()
    }

    /// The tenure of a memory: it starts with the first use of a fresh memory, and ends with the memory.
    fn tenure(&self, memory: &mut Memory) -> Arc<Tenure> {
        let tenure = memory
            .tenure
            .get_or_insert_with(|| Arc::new(self.views.enter()));
        Arc::clone(tenure)
    }

    /// Returns why the cluster's owner froze all writes; none: it is not frozen.
    pub async fn frozen(&self) -> Option<String> {
        self.freeze.reason().await
    }

    /// Writes an Event about an application as a whole.
    pub fn tell(&self, application: &str, event: Event) {
        self.events.send(application, event);
    }
}
