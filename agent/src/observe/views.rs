//! Views: a list and a watch for each managed kind, kept as facts about the managed objects only.
//!
//! Memory is bounded by the number of managed objects, not by the size of the cluster. A view that lost
//! its watch lists again; until that succeeds it is reported as incomplete, and nothing is pruned on its
//! earlier knowledge.

mod follow;
mod look;
mod register;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flotilla_shared::assignment::IgnoreRule;
use flotilla_shared::digest::Digest;
use flotilla_shared::object::ObjectRef;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::facts::{Baseline, Fact};
use super::managers::Managers;
use crate::api::discovery::Resource;
use crate::api::{Api, Error};
use crate::health::Rules;
use crate::plan::Desired;

use register::{Moment, Register, TenureId};

/// A kind is watched across all namespaces when its objects are in more than so many.
const MANY_NAMESPACES: usize = 8;
/// Objects of one page of a list.
const PAGE: usize = 250;
/// Watches are trusted this long; then the whole is compared again.
const FULL_COMPARE: Duration = Duration::from_secs(900);

/// Collection of a view; an empty namespace: all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    group: String,
    kind: String,
    version: String,
    plural: String,
    namespaced: bool,
    namespace: String,
}

impl Key {
    fn resource(&self) -> Resource {
        Resource {
            group: self.group.clone(),
            version: self.version.clone(),
            plural: self.plural.clone(),
            namespaced: self.namespaced,
        }
    }

    fn covers(&self, object: &ObjectRef) -> bool {
        self.group == object.group
            && self.kind == object.kind
            && (self.namespace.is_empty() || self.namespace == object.namespace)
    }

    fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

#[derive(Debug, Clone)]
enum State {
    Starting,
    Synced,
    Failed(Error),
}

struct View {
    state: watch::Receiver<State>,
    task: AbortHandle,
    /// Tells the task to list again.
    again: Arc<tokio::sync::Notify>,
}

impl Drop for View {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Inner {
    register: Register,
    views: BTreeMap<Key, View>,
}

/// All views of one API server.
pub(crate) struct Views {
    api: Api,
    /// Longest silence of a watch, about the interval between two passes.
    patience: Duration,
    inner: Mutex<Inner>,
    /// Number of times that the API server went back in time.
    restored: AtomicU64,
}

/// Known state of one application's objects.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) facts: BTreeMap<ObjectRef, Arc<Fact>>,
    /// Objects that could not be read: they may or may not exist.
    pub(crate) unseen: BTreeSet<ObjectRef>,
    /// Error that makes it incomplete.
    pub(crate) problem: Option<Error>,
}

/// The period in which one worker looks after an application: what it follows, compares and proves
/// belongs to it alone, and ends when this is dropped, however the worker ended.
pub(crate) struct Tenure {
    id: TenureId,
    views: Arc<Views>,
    changed: watch::Receiver<u64>,
}

impl std::fmt::Debug for Tenure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tenure").field(&self.id).finish()
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        let mut inner = self.views.inner.lock();
        inner.register.leave(self.id);
        Views::fit_views(&mut inner);
    }
}

impl Tenure {
    /// Returns a channel that changes whenever another client changes a followed object.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// Follows the desired and recorded objects of an application, waits until they are known, and returns them.
    pub(crate) async fn observe(
        &self,
        desired: &[Arc<Desired>],
        ignore: &Arc<Vec<IgnoreRule>>,
        resources: BTreeMap<ObjectRef, Resource>,
    ) -> Snapshot {
        let over = || Snapshot {
            problem: Some(Error::unavailable("another worker manages it by now")),
            ..Snapshot::default()
        };
        if !self.views.track(self.id, desired, ignore, resources) {
            return over();
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        let late = self.views.ready(self.id, deadline).await;
        let unseen = self.views.look(self.id).await;
        let known = self.views.inner.lock().register.snapshot(self.id);
        match known {
            Some(known) => Snapshot {
                problem: late.or(unseen).or_else(|| {
                    let words = "lists of the API server restart repeatedly";
                    (!known.unseen.is_empty()).then(|| Error::unavailable(words))
                }),
                facts: known.facts,
                unseen: known.unseen,
            },
            None => over(),
        }
    }

    /// Baseline of an object. None: it is only in an inventory.
    pub(crate) fn baseline(&self, object: &ObjectRef) -> Option<Baseline> {
        let inner = self.views.inner.lock();
        inner.register.baseline(self.id, object)
    }

    /// The moment at which a request starts now.
    pub(crate) fn moment(&self) -> Moment {
        self.views.inner.lock().register.moment()
    }

    /// Learns an object as it was returned by a request of the agent that started at a moment. `applied`:
    /// the request was the whole apply of the desired state with this key, so that a remaining difference
    /// cannot be removed.
    pub(crate) fn learn(
        &self,
        object: &ObjectRef,
        live: &Value,
        asked: Moment,
        applied: Option<Digest>,
    ) {
        let mut inner = self.views.inner.lock();
        inner.register.learn(self.id, object, live, asked, applied);
    }

    /// Records that an object was deleted.
    pub(crate) fn gone(&self, object: &ObjectRef, uid: &str) {
        let mut inner = self.views.inner.lock();
        inner.register.gone(object, uid, 0, Some(self.id));
    }
}

impl Views {
    pub(crate) fn new(
        api: Api,
        manager: String,
        managers: Arc<Managers>,
        rules: Arc<Rules>,
        patience: Duration,
    ) -> Self {
        Self {
            api,
            patience,
            inner: Mutex::new(Inner {
                register: Register::new(manager, managers, rules),
                views: BTreeMap::new(),
            }),
            restored: AtomicU64::new(0),
        }
    }

    /// Returns the number of times that the API server went back in time, which invalidates earlier reads.
    pub(crate) fn restored(&self) -> u64 {
        self.restored.load(Ordering::Relaxed)
    }

    /// Starts a tenure.
    pub(crate) fn enter(self: &Arc<Self>) -> Tenure {
        let (id, changed) = self.inner.lock().register.enter();
        Tenure {
            id,
            views: Arc::clone(self),
            changed,
        }
    }

    /// Replaces what a tenure desires and owns. False: the tenure has ended.
    fn track(
        self: &Arc<Self>,
        tenure: TenureId,
        desired: &[Arc<Desired>],
        ignore: &Arc<Vec<IgnoreRule>>,
        resources: BTreeMap<ObjectRef, Resource>,
    ) -> bool {
        let by_object: BTreeMap<&ObjectRef, &Arc<Desired>> =
            desired.iter().map(|d| (&d.object, d)).collect();
        let mut objects = BTreeMap::new();
        let mut keys = BTreeSet::new();
        for (object, resource) in resources {
            keys.insert(Key {
                group: resource.group,
                kind: object.kind.clone(),
                version: resource.version,
                plural: resource.plural,
                namespaced: resource.namespaced,
                namespace: object.namespace.clone(),
            });
            let baseline = by_object
                .get(&object)
                .map(|d| Baseline::new(Arc::clone(d), ignore));
            objects.insert(object, baseline);
        }
        let mut inner = self.inner.lock();
        if !inner.register.follow(tenure, objects, keys) {
            return false;
        }
        for key in Self::fit_views(&mut inner) {
            if let Entry::Vacant(entry) = inner.views.entry(key) {
                let view = self.start(entry.key());
                entry.insert(view);
            }
        }
        true
    }

    /// Starts the views that the applications need, and ends the others.
    fn fit_views(inner: &mut Inner) -> Vec<Key> {
        let mut needed: BTreeSet<Key> = BTreeSet::new();
        let mut namespaces: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for key in inner.register.keys() {
            let everywhere = Key {
                namespace: String::new(),
                ..key.clone()
            };
            let all = namespaces.entry(everywhere).or_default();
            all.insert(key.namespace.clone());
        }
        for (key, names) in namespaces {
            if !key.namespaced || names.len() > MANY_NAMESPACES {
                needed.insert(key);
            } else {
                needed.extend(names.into_iter().map(|namespace| Key {
                    namespace,
                    ..key.clone()
                }));
            }
        }
        inner.views.retain(|key, _| needed.contains(key));
        needed.into_iter().collect()
    }

    fn start(self: &Arc<Self>, key: &Key) -> View {
        let (sender, state) = watch::channel(State::Starting);
        let again = Arc::new(tokio::sync::Notify::new());
        let views = Arc::clone(self);
        let (key, notify) = (key.clone(), Arc::clone(&again));
        let task = tokio::spawn(async move { views.run(&key, &sender, &notify).await });
        View {
            state,
            task: task.abort_handle(),
            again,
        }
    }
}
