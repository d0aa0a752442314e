//! Views: a list and a watch for each managed kind, kept as facts about the managed objects only.
//!
//! Memory is bounded by what is managed, not by what is in the cluster. A view that lost its watch lists
//! again; while it cannot, it says so, and nothing is pruned on what it knew before.

mod follow;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flotilla_shared::assignment::IgnoreRule;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::object::ObjectRef;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::api::{Api, Error};
use super::discovery::Resource;
use super::facts::{self, Fact, Proven, Wanted};
use crate::health::Rules;
use crate::plan::{Desired, Fit};

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

/// What one application manages.
struct Scope {
    objects: BTreeSet<ObjectRef>,
    keys: BTreeSet<Key>,
    changed: watch::Sender<u64>,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            objects: BTreeSet::new(),
            keys: BTreeSet::new(),
            changed: watch::Sender::new(0),
        }
    }
}

#[derive(Default)]
struct Inner {
    scopes: BTreeMap<ApplicationName, Scope>,
    /// What each object is compared with; none: it is only in an inventory.
    tracked: HashMap<ObjectRef, (ApplicationName, Option<Wanted>)>,
    facts: HashMap<ObjectRef, Arc<Fact>>,
    proven: HashMap<ObjectRef, Proven>,
    views: BTreeMap<Key, View>,
}

/// All views of one API server.
pub(super) struct Views {
    api: Api,
    manager: String,
    rules: Arc<Rules>,
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

impl Views {
    pub(super) fn new(api: Api, manager: String, rules: Arc<Rules>, patience: Duration) -> Self {
        Self {
            api,
            manager,
            rules,
            patience,
            inner: Mutex::default(),
            restored: AtomicU64::new(0),
        }
    }

    /// How often the API server went back in time: what was read before is not true any more.
    pub(super) fn restored(&self) -> u64 {
        self.restored.load(Ordering::Relaxed)
    }

    /// Changes whenever an object of the application was changed by somebody.
    pub(super) fn changes(&self, application: &ApplicationName) -> watch::Receiver<u64> {
        let mut inner = self.inner.lock();
        let scope = inner.scopes.entry(application.clone()).or_default();
        scope.changed.subscribe()
    }

    /// Forgets an application: nothing of it is watched or remembered any more.
    pub(super) fn forget(&self, application: &ApplicationName) {
        let mut inner = self.inner.lock();
        inner.scopes.remove(application);
        inner.tracked.retain(|_, (owner, _)| owner != application);
        let Inner { facts, tracked, .. } = &mut *inner;
        facts.retain(|object, _| tracked.contains_key(object));
        Self::fit_views(&mut inner);
    }

    /// Follows what an application wants or has, waits until it is known, and returns it.
    pub(super) async fn observe(
        self: &Arc<Self>,
        application: &ApplicationName,
        desired: &[Arc<Desired>],
        ignore: &Arc<Vec<IgnoreRule>>,
        resources: BTreeMap<ObjectRef, Resource>,
    ) -> Snapshot {
        let fresh = self.track(application, desired, ignore, resources);
        let deadline = Instant::now() + Duration::from_secs(30);
        let problem = self.ready(application, deadline).await;
        self.fill(fresh).await;
        let inner = self.inner.lock();
        let mut snapshot = Snapshot {
            facts: BTreeMap::new(),
            problem,
        };
        let Some(scope) = inner.scopes.get(application) else {
            return snapshot;
        };
        for object in &scope.objects {
            let Some(mut fact) = inner.facts.get(object).cloned() else {
                continue;
            };
            let wanted = inner
                .tracked
                .get(object)
                .and_then(|(_, wanted)| wanted.as_ref());
            if wanted.is_none_or(|wanted| wanted.key != fact.compared) {
                Arc::make_mut(&mut fact).fit = Fit::Unknown;
            }
            snapshot.facts.insert(object.clone(), fact);
        }
        snapshot
    }

    /// What an object is compared with; none: it is only in an inventory.
    pub(super) fn wanted(&self, object: &ObjectRef) -> Option<Wanted> {
        let inner = self.inner.lock();
        inner.tracked.get(object)?.1.clone()
    }

    /// Takes an object as a write of ours returned it, so that the next turn need not wait for the
    /// watch. `applied`: it was the whole apply, and what still looks different will not get nearer.
    pub(super) fn learn(&self, object: &ObjectRef, live: &Value, applied: bool) {
        let mut inner = self.inner.lock();
        let Some((_, wanted)) = inner.tracked.get(object).cloned() else {
            return;
        };
        let proven = inner.proven.get(object).filter(|_| !applied);
        let mut fact = facts::read(live, wanted.as_ref(), proven, &self.manager, &self.rules);
        if let (true, Some(wanted)) = (applied, wanted) {
            if fact.fit == Fit::Equal {
                inner.proven.remove(object);
            } else {
                let proven = Proven {
                    key: wanted.key,
                    content: facts::content(live),
                };
                inner.proven.insert(object.clone(), proven);
                fact.fit = Fit::Equal;
            }
        }
        Self::keep(&mut inner, object, fact);
    }

    /// A deleted object is not there any more.
    pub(super) fn gone(&self, object: &ObjectRef, uid: &str) {
        let mut inner = self.inner.lock();
        if inner.facts.get(object).is_some_and(|fact| fact.uid == uid) {
            inner.facts.remove(object);
        }
    }

    /// Takes a live object into the facts. Returns whether something that matters changed.
    fn put(&self, inner: &mut Inner, object: &ObjectRef, live: &Value) -> bool {
        let Some((_, wanted)) = inner.tracked.get(object) else {
            return false;
        };
        let proven = inner.proven.get(object);
        let fact = facts::read(live, wanted.as_ref(), proven, &self.manager, &self.rules);
        Self::keep(inner, object, fact)
    }

    /// Keeps a fact, unless a newer one is there. Returns whether something that matters changed.
    fn keep(inner: &mut Inner, object: &ObjectRef, fact: Fact) -> bool {
        let before = inner.facts.get(object);
        if before.is_some_and(|b| b.uid == fact.uid && b.resource_version > fact.resource_version) {
            return false;
        }
        let is_same = before.is_some_and(|b| {
            b.uid == fact.uid
                && b.fit == fact.fit
                && b.health == fact.health
                && b.terminating == fact.terminating
                && b.application == fact.application
                && b.prune == fact.prune
        });
        // The name that is held anyway, not another copy of it.
        let object = match inner.tracked.get_key_value(object) {
            Some((tracked, _)) => tracked.clone(),
            None => object.clone(),
        };
        inner.facts.insert(object, Arc::new(fact));
        !is_same
    }

    /// Replaces what an application is known to want and have. Returns the objects that a running view
    /// was not looking for until now.
    fn track(
        self: &Arc<Self>,
        application: &ApplicationName,
        desired: &[Arc<Desired>],
        ignore: &Arc<Vec<IgnoreRule>>,
        resources: BTreeMap<ObjectRef, Resource>,
    ) -> Vec<(Key, ObjectRef)> {
        let mut inner = self.inner.lock();
        let wanted: BTreeMap<&ObjectRef, &Arc<Desired>> =
            desired.iter().map(|d| (&d.object, d)).collect();
        let objects: BTreeSet<ObjectRef> = resources.keys().cloned().collect();
        let before = std::mem::replace(
            &mut inner.scopes.entry(application.clone()).or_default().objects,
            objects.clone(),
        );
        for object in before.difference(&objects) {
            if inner
                .tracked
                .get(object)
                .is_some_and(|(a, _)| a == application)
            {
                inner.tracked.remove(object);
                inner.facts.remove(object);
                inner.proven.remove(object);
            }
        }
        let mut fresh = Vec::new();
        for object in &objects {
            let next = wanted
                .get(object)
                .map(|d| Wanted::new(Arc::clone(d), ignore));
            match inner.tracked.get_mut(object) {
                // Somebody else's wish is theirs; what we only remember gives way to a wish.
                Some((owner, known)) => {
                    if owner == application || (known.is_none() && next.is_some()) {
                        *owner = application.clone();
                        *known = next;
                    }
                }
                None => {
                    let entry = (application.clone(), next);
                    inner.tracked.insert(object.clone(), entry);
                    fresh.push(object.clone());
                }
            }
        }
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
        }
        if let Some(scope) = inner.scopes.get_mut(application) {
            scope.keys = keys;
        }
        let running: Vec<Key> = Self::fit_views(&mut inner);
        let new: Vec<Key> = running
            .iter()
            .filter(|key| !inner.views.contains_key(key))
            .cloned()
            .collect();
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
        asked
    }

    /// Which views all applications together need; those that none needs end.
    fn fit_views(inner: &mut Inner) -> Vec<Key> {
        let mut wanted: BTreeSet<Key> = BTreeSet::new();
        let mut namespaces: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for key in inner.scopes.values().flat_map(|scope| &scope.keys) {
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

    /// Waits until every view of the application has listed, or could not.
    async fn ready(&self, application: &ApplicationName, deadline: Instant) -> Option<Error> {
        let states: Vec<watch::Receiver<State>> = {
            let inner = self.inner.lock();
            let scope = inner.scopes.get(application)?;
            let needed = |key: &Key| {
                let mine = |own: &Key| {
                    own.group == key.group
                        && own.kind == key.kind
                        && (key.namespace.is_empty() || own.namespace == key.namespace)
                };
                scope.keys.iter().any(mine)
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

    /// Looks at objects that the running views were not looking for.
    async fn fill(&self, fresh: Vec<(Key, ObjectRef)>) {
        let mut by_key: BTreeMap<Key, Vec<ObjectRef>> = BTreeMap::new();
        for (key, object) in fresh {
            by_key.entry(key).or_default().push(object);
        }
        for (key, objects) in by_key {
            if objects.len() > ASK_ONE_BY_ONE {
                // The facts of a whole list, without disturbing the watch.
                if let Err(error) = self.list(&key, "").await {
                    self.fail(&key, &error);
                }
                continue;
            }
            for object in objects {
                let path = key.resource().object(&object.namespace, &object.name);
                match self.api.find(&path).await {
                    Ok(Some(live)) => {
                        self.put(&mut self.inner.lock(), &object, &live);
                    }
                    Ok(None) => {}
                    Err(error) => self.fail(&key, &error),
                }
            }
        }
    }

    /// A look that failed: the view is asked to list again, and says until then that it does not know.
    fn fail(&self, key: &Key, error: &Error) {
        tracing::warn!(kind = key.kind, %error, "cannot look at a managed kind");
        if let Some(view) = self.inner.lock().views.get(key) {
            view.again.notify_one();
        }
    }
}
