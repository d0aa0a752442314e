//! An embedded Kubernetes API server, in memory, for tests and the demo on machines without a cluster.
//!
//! ```text
//!   HTTP on loopback --+
//!   in-process service +--> handle --> verbs --> store (objects, history) --> watches
//!                               |         +--> apply (managedFields, conflicts), selector, validate
//!                               +--> audit (every write), faults (on request)
//!                                         life: workloads become ready, or fail on request
//! ```
//!
//! The reference is kube-apiserver: where the two differ, this one is wrong. What it does not have yet
//! is listed in the project's `SHORTCOMINGS.md`.

mod apply;
mod audit;
mod discovery;
mod faults;
mod fieldset;
mod kinds;
mod life;
mod request;
mod selector;
mod serve;
mod status;
mod store;
mod validate;
mod verbs;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use audit::AuditEvent;
pub use faults::{Fault, FaultKind};
pub use serve::{Body, Service, Serving};

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a workload takes to become ready; none: workloads have no life.
    pub ready_after: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ready_after: Some(Duration::from_millis(200)),
        }
    }
}

/// The server. Cheap to clone.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    store: Mutex<store::Store>,
    changed: tokio::sync::watch::Sender<u64>,
    audit: Mutex<Vec<AuditEvent>>,
    requests: Mutex<std::collections::BTreeMap<String, u64>>,
    faults: Mutex<Vec<Fault>>,
}

impl ApiServer {
    /// A server with the namespaces that every cluster has.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let inner = Inner {
            config,
            store: Mutex::new(store::Store::new()),
            changed: tokio::sync::watch::Sender::new(0),
            audit: Mutex::default(),
            requests: Mutex::default(),
            faults: Mutex::default(),
        };
        let server = Self {
            inner: Arc::new(inner),
        };
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            server.bootstrap_namespace(name);
        }
        server
    }

    /// Every write that was asked for, in order, refused ones too.
    #[must_use]
    pub fn audit(&self) -> Vec<AuditEvent> {
        self.inner.audit.lock().clone()
    }

    /// How many requests of each verb were made.
    #[must_use]
    pub fn requests(&self) -> std::collections::BTreeMap<String, u64> {
        self.inner.requests.lock().clone()
    }

    /// Makes matching requests fail until it is used up.
    pub fn inject(&self, fault: Fault) {
        self.inner.faults.lock().push(fault);
    }

    /// Takes all faults back.
    pub fn heal(&self) {
        self.inner.faults.lock().clear();
    }
}
