//! Watches on the kinds that are managed, and on nothing else. An event on a managed object wakes the
//! agent's loop; no object is kept.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use flotilla_shared::object::ObjectRef;
use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt as _, watcher};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api::Api;
use super::discovery::Resource;

/// Group, namespace and name: an event's object does not always tell its kind.
type Managed = Arc<Mutex<HashSet<(String, String, String)>>>;

/// The running watches.
pub(super) struct Watches {
    api: Api,
    running: Mutex<BTreeMap<(String, String), JoinHandle<()>>>,
    managed: Managed,
    changed: Arc<watch::Sender<u64>>,
}

impl Watches {
    pub(super) fn new(api: Api) -> Self {
        Self {
            api,
            running: Mutex::default(),
            managed: Managed::default(),
            changed: Arc::new(watch::Sender::new(0)),
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Adds what one application manages. Watches of kinds that are managed no longer are few and
    /// cheap; they end with the process.
    pub(super) fn fit<'o>(
        &self,
        resources: Vec<Resource>,
        objects: impl Iterator<Item = &'o ObjectRef>,
    ) {
        let key = |object: &ObjectRef| {
            (
                object.group.clone(),
                object.namespace.clone(),
                object.name.clone(),
            )
        };
        self.managed.lock().extend(objects.map(key));
        let mut running = self.running.lock();
        for resource in resources {
            let key = (resource.group.clone(), resource.plural.clone());
            running.entry(key).or_insert_with(|| self.start(&resource));
        }
    }

    fn start(&self, resource: &Resource) -> JoinHandle<()> {
        let api_version = match resource.group.as_str() {
            "" => resource.version.clone(),
            group => format!("{group}/{}", resource.version),
        };
        let described = ApiResource {
            group: resource.group.clone(),
            version: resource.version.clone(),
            api_version,
            kind: String::new(),
            plural: resource.plural.clone(),
        };
        let api: kube::Api<DynamicObject> =
            kube::Api::all_with(self.api.client().clone(), &described);
        let (managed, changed) = (Arc::clone(&self.managed), Arc::clone(&self.changed));
        let group = resource.group.clone();
        tokio::spawn(async move {
            // kube's watcher relists after a 410 or a cut, by itself, with backoff.
            let events = watcher::watcher(api, watcher::Config::default().any_semantic())
                .default_backoff()
                .boxed();
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                let object = match event {
                    Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object)) => object,
                    // The first list tells nothing new: the turn that started this watch has just
                    // looked. After a gap it does.
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::debug!(%error, "a watch was interrupted");
                        continue;
                    }
                };
                let metadata = object.metadata;
                let key = (
                    group.clone(),
                    metadata.namespace.unwrap_or_default(),
                    metadata.name.unwrap_or_default(),
                );
                let is_managed = managed.lock().contains(&key);
                if is_managed {
                    changed.send_modify(|version| *version += 1);
                }
            }
        })
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        for (_, task) in self.running.lock().iter() {
            task.abort();
        }
    }
}
