//! Views: a list and a watch for each managed kind, kept as facts about the managed objects only.
//!
//! Memory is bounded by what is managed, not by what is in the cluster. A view that lost its watch lists
//! again; while it cannot, it says so, and nothing is pruned on what it knew before.

mod follow;
mod register;

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

use super::api::{Api, Error};
use super::discovery::Resource;
use super::facts::{Fact, Wanted};
use super::managers::Managers;
use crate::health::Rules;
use crate::plan::Desired;

use register::{Register, TenureId};

/// A kind is watched across all namespaces when its objects are in more than so many.
const MANY_NAMESPACES: usize = 8;
/// Objects of one page of a list.
const PAGE: usize = 250;
/// Watches are trusted this long; then the whole is compared again.
const FULL_COMPARE: Duration = Duration::from_secs(900);
/// More new objects of one view than this are listed, fewer are asked for one by one.
const ASK_ONE_BY_ONE: usize = 12;

/// Which collection a view is of; an empty namespace: all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
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
pub(super) struct Views {
    api: Api,
    /// Longest silence of a watch, about the interval between two turns.
    patience: Duration,
    inner: Mutex<Inner>,
    /// How often the API server was found to have gone back in time.
    restored: AtomicU64,
}

/// What is known of one application's objects.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) facts: BTreeMap<ObjectRef, Arc<Fact>>,
    /// Why it is not complete.
    pub(super) problem: Option<Error>,
}

/// One worker's time as the one that looks after an application: what it follows, compares and proves is
/// its own, and ends when this is dropped, however the worker ended.
pub(super) struct Tenure {
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
    /// Changes whenever an object that is followed was changed by somebody else.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// Follows what an application wants or has, waits until it is known, and returns it.
    pub(super) async fn observe(
        &self,
        desired: &[Arc<Desired>],
        ignore: &Arc<Vec<IgnoreRule>>,
        resources: BTreeMap<ObjectRef, Resource>,
    ) -> Snapshot {
        let over = || Snapshot {
            problem: Some(Error::unavailable("somebody else looks after it by now")),
            ..Snapshot::default()
        };
        let Some(fresh) = self.views.track(self.id, desired, ignore, resources) else {
            return over();
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        let late = self.views.ready(self.id, deadline).await;
        let unseen = self.views.fill(self.id, fresh).await;
        let inner = self.views.inner.lock();
        match inner.register.snapshot(self.id) {
            Some(facts) => Snapshot {
                facts,
                problem: late.or(unseen),
            },
            None => over(),
        }
    }

    /// What an object is compared with; none: it is only in an inventory.
    pub(super) fn wanted(&self, object: &ObjectRef) -> Option<Wanted> {
        let inner = self.views.inner.lock();
        inner.register.wanted(self.id, object)
    }

    /// Takes an object as a write of ours returned it. `applied`: it was the whole apply of the wish with
    /// this key, and what still looks different will not get nearer.
    pub(super) fn learn(&self, object: &ObjectRef, live: &Value, applied: Option<Digest>) {
        let mut inner = self.views.inner.lock();
        inner.register.learn(self.id, object, live, applied);
    }

    /// A deleted object is not there any more.
    pub(super) fn gone(&self, object: &ObjectRef, uid: &str) {
        let mut inner = self.views.inner.lock();
        inner.register.gone(object, uid, Some(self.id));
    }
}

impl Views {
    pub(super) fn new(
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

    /// How often the API server went back in time: what was read before is not true any more.
    pub(super) fn restored(&self) -> u64 {
        self.restored.load(Ordering::Relaxed)
    }

    /// Begins a tenure.
    pub(super) fn enter(self: &Arc<Self>) -> Tenure {
        let (id, changed) = self.inner.lock().register.enter();
        Tenure {
            id,
            views: Arc::clone(self),
            changed,
        }
    }

    /// Replaces what a tenure is known to want and have. Returns the objects to look at for it, and none
    /// where the tenure is over.
    fn track(
        self: &Arc<Self>,
        tenure: TenureId,
        desired: &[Arc<Desired>],
        ignore: &Arc<Vec<IgnoreRule>>,
        resources: BTreeMap<ObjectRef, Resource>,
    ) -> Option<Vec<(Key, ObjectRef)>> {
        let wanted: BTreeMap<&ObjectRef, &Arc<Desired>> =
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
            let wanted = wanted
                .get(&object)
                .map(|d| Wanted::new(Arc::clone(d), ignore));
            objects.insert(object, wanted);
        }
        let mut inner = self.inner.lock();
        let fresh = inner.register.follow(tenure, objects, keys)?;
        let running: Vec<Key> = Self::fit_views(&mut inner);
        let new: Vec<Key> = running
            .iter()
            .filter(|key| !inner.views.contains_key(key))
            .cloned()
            .collect();
        // What a new view lists need not be asked for.
        let asked = fresh
            .into_iter()
            .filter_map(|object| {
                let key = inner.views.keys().find(|key| key.covers(&object))?;
                Some((key.clone(), object))
            })
            .collect();
        for key in new {
            let view = self.start(&key);
            inner.views.insert(key, view);
        }
        Some(asked)
    }

    /// Which views all applications together need; those that none needs end.
    fn fit_views(inner: &mut Inner) -> Vec<Key> {
        let mut wanted: BTreeSet<Key> = BTreeSet::new();
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
                wanted.insert(key);
            } else {
                wanted.extend(names.into_iter().map(|namespace| Key {
                    namespace,
                    ..key.clone()
                }));
            }
        }
        inner.views.retain(|key, _| wanted.contains(key));
        wanted.into_iter().collect()
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

    /// Waits until every view of a tenure has listed, or could not.
    async fn ready(&self, tenure: TenureId, deadline: Instant) -> Option<Error> {
        let states: Vec<watch::Receiver<State>> = {
            let inner = self.inner.lock();
            let keys = inner.register.keys_of(tenure)?;
            let needed = |key: &Key| {
                let mine = |own: &Key| {
                    own.group == key.group
                        && own.kind == key.kind
                        && (key.namespace.is_empty() || own.namespace == key.namespace)
                };
                keys.iter().any(mine)
            };
            let views = inner.views.iter().filter(|(key, _)| needed(key));
            views.map(|(_, view)| view.state.clone()).collect()
        };
        let mut problem = None;
        for mut state in states {
            let settled = state.wait_for(|state| !matches!(state, State::Starting));
            match tokio::time::timeout_at(deadline, settled).await {
                Ok(Ok(state)) => {
                    if let State::Failed(error) = &*state {
                        problem = Some(error.clone());
                    }
                }
                Ok(Err(_)) | Err(_) => {
                    problem = Some(Error::unavailable(
                        "a list of the API server took over 30 seconds",
                    ));
                }
            }
        }
        problem
    }

    /// Looks at objects that the running views were not looking for. Returns why not at all of them.
    async fn fill(&self, tenure: TenureId, fresh: Vec<(Key, ObjectRef)>) -> Option<Error> {
        let mut by_key: BTreeMap<Key, Vec<ObjectRef>> = BTreeMap::new();
        for (key, object) in fresh {
            by_key.entry(key).or_default().push(object);
        }
        let mut problem = None;
        for (key, objects) in by_key {
            if objects.len() > ASK_ONE_BY_ONE {
                // The facts of a whole list, without disturbing the watch.
                if let Err(error) = self.list(&key, "").await {
                    self.fail(&key, &error);
                    problem = Some(error);
                }
                continue;
            }
            for object in objects {
                let path = key.resource().object(&object.namespace, &object.name);
                match self.api.find(&path).await {
                    Ok(Some(live)) => {
                        let mut inner = self.inner.lock();
                        inner.register.found(tenure, &object, &live);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.fail(&key, &error);
                        problem = Some(error);
                    }
                }
            }
        }
        problem
    }

    /// A look that failed: the view is asked to list again, and says until then that it does not know.
    fn fail(&self, key: &Key, error: &Error) {
        tracing::warn!(kind = key.kind, %error, "cannot look at a managed kind");
        if let Some(view) = self.inner.lock().views.get(key) {
            view.again.notify_one();
        }
    }
}
