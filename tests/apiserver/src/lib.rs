//! An embedded Kubernetes API server, in memory, for tests and the demo on machines without a cluster.
//!
//! ```text
//!   HTTPS, HTTP on loopback --+
//!   in-process service -------+--> serve --> access (who, may they: RBAC)
//!                                    |
//!                                    v
//!        schema (what fields are) - verbs --> store (objects, history, a file) --> watches
//!        decode, defaults, prepare,  |
//!        validate, patch, managed ---+--> audit (every write), faults (on request)
//!                                         life: workloads become ready, garbage goes
//! ```
//!
//! The reference is kube-apiserver: where the two differ, this one is wrong. Known differences are listed in
//! `README.md` of this crate.

#![allow(
    missing_docs,
    reason = "a program: nobody else builds on its rooms, and docs say what names do not"
)]

mod access;
mod audit;
mod clock;
mod convert;
mod decode;
mod defaults;
mod discovery;
mod faults;
mod fieldset;
mod kinds;
mod life;
mod managed;
mod openapi;
mod patch;
mod prepare;
mod quantity;
mod quota;
mod request;
mod schema;
mod selector;
mod serve;
mod status;
mod store;
mod structural;
mod table;
mod typed;
mod validate;
mod verbs;
mod watch;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;

pub use access::User;
pub use audit::AuditEvent;
pub use faults::{Fault, FaultKind, StaleDiscovery};
pub use serve::{Body, Identity, ServerHandle, Service};

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a workload takes to become ready. None: no controllers, as with a bare kube-apiserver: nothing becomes
    /// ready, no garbage is collected, and namespaces stay in Terminating.
    pub ready_after: Option<Duration>,
    /// The initial bearer tokens and their users.
    pub tokens: BTreeMap<String, User>,
    /// The file that persists the objects across restarts; none: in memory only.
    pub data: Option<PathBuf>,
    /// A file to append the audit log to, one JSON object per line.
    pub audit: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ready_after: Some(Duration::from_millis(200)),
            tokens: BTreeMap::new(),
            data: None,
            audit: None,
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
    audit: Mutex<audit::Log>,
    requests: Mutex<BTreeMap<String, u64>>,
    faults: Mutex<Vec<Fault>>,
    /// By group/version.
    away: Mutex<BTreeMap<String, StaleDiscovery>>,
    tokens: Mutex<BTreeMap<String, User>>,
}

/// Adds the path to an error of a file.
fn at(path: &std::path::Path) -> impl Fn(std::io::Error) -> std::io::Error + '_ {
    move |error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl ApiServer {
    /// A server in memory with the objects of every cluster. Ignores the files of the configuration; see
    /// [`Self::open`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with(config, store::Store::new(), audit::Log::default())
    }

    /// A server with the files of the configuration.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn open(config: Config) -> std::io::Result<Self> {
        let store = match &config.data {
            Some(path) => store::Store::open(path).map_err(at(path))?,
            None => store::Store::new(),
        };
        let file = match &config.audit {
            Some(path) => {
                let mut options = std::fs::OpenOptions::new();
                let file = options.create(true).append(true).open(path);
                Some(file.map_err(at(path))?)
            }
            None => None,
        };
        let log = audit::Log {
            events: Vec::new(),
            file,
        };
        Ok(Self::with(config, store, log))
    }

    fn with(config: Config, store: store::Store, log: audit::Log) -> Self {
        let inner = Inner {
            tokens: Mutex::new(config.tokens.clone()),
            config,
            store: Mutex::new(store),
            changed: tokio::sync::watch::Sender::new(0),
            audit: Mutex::new(log),
            requests: Mutex::default(),
            faults: Mutex::default(),
            away: Mutex::default(),
        };
        let server = Self {
            inner: Arc::new(inner),
        };
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            server.bootstrap("", "namespaces", body);
        }
        server.bootstrap_roles();
        server
    }

    /// The roles of every cluster, except those for people (admin, edit, view).
    fn bootstrap_roles(&self) {
        const RBAC: &str = "rbac.authorization.k8s.io";
        let label = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
        let paths = json!([
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
            "/version/"
        ]);
        let all = json!([
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ]);
        let discovery = json!([{"nonResourceURLs": paths, "verbs": ["get"]}]);
        let basic = json!([
            {"apiGroups": ["authorization.k8s.io"], "verbs": ["create"],
                "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
            {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
        ]);
        let public = json!([{"verbs": ["get"],
            "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"]}]);
        for (name, rules, group) in [
            ("cluster-admin", all, access::MASTERS),
            ("system:discovery", discovery, "system:authenticated"),
            ("system:basic-user", basic, "system:authenticated"),
            (
                "system:public-info-viewer",
                public,
                "system:unauthenticated",
            ),
        ] {
            let metadata = json!({ "name": name, "labels": label });
            let role = json!({"metadata": metadata, "rules": rules});
            self.bootstrap(RBAC, "clusterroles", role);
            let binding = json!({
                "metadata": metadata,
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
            });
            self.bootstrap(RBAC, "clusterrolebindings", binding);
        }
    }

    /// Every write that was requested, in order, including refused ones.
    #[must_use]
    pub fn audit(&self) -> Vec<AuditEvent> {
        self.inner.audit.lock().events.clone()
    }

    /// The number of requests of each verb.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.inner.requests.lock().clone()
    }

    /// Injects a fault into matching requests until it is used up.
    pub fn inject(&self, fault: Fault) {
        self.inner.faults.lock().push(fault);
    }

    /// How many injected faults are still pending.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.inner.faults.lock().len()
    }

    /// Makes the API server of a group/version (`metrics.k8s.io/v1beta1`) unavailable, as behind an APIService:
    /// aggregated discovery reports it as stale, requests for its resources get 503, and watches of them end.
    pub fn take_away(&self, group_version: &str, stale: StaleDiscovery) {
        let mut away = self.inner.away.lock();
        away.insert(group_version.to_owned(), stale);
        drop(away);
        self.bump();
    }

    pub(crate) fn is_away(&self, group: &str, version: &str) -> bool {
        let away = self.inner.away.lock();
        away.contains_key(&format!("{group}/{version}"))
    }

    /// Replaces the accepted bearer tokens.
    pub fn set_tokens(&self, tokens: BTreeMap<String, User>) {
        *self.inner.tokens.lock() = tokens;
    }

    /// Removes all faults, and makes unavailable groups available again.
    pub fn heal(&self) {
        self.inner.faults.lock().clear();
        self.inner.away.lock().clear();
    }

    /// Compacts the history, like etcd: running watches continue, but a watch or list from an older resourceVersion
    /// gets 410.
    pub fn compact(&self) {
        self.inner.store.lock().compact();
    }

    /// A snapshot of all objects, like a backup of etcd.
    #[must_use]
    pub fn backup(&self) -> Backup {
        Backup(self.inner.store.lock().backup())
    }

    /// Restores a snapshot, including resourceVersions, like a restored etcd; watches end.
    pub fn restore(&self, backup: &Backup) {
        self.inner.store.lock().restore(&backup.0);
        self.inner.changed.send_modify(|version| *version += 1);
    }
}

/// A snapshot of all objects.
#[derive(Clone)]
pub struct Backup(store::Backup);
