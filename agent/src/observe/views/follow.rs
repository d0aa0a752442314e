//! Life cycle of a view: list, follow, and list again.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_shared::backoff::Backoff;
use flotilla_shared::object::ObjectRef;
use flotilla_shared::percent;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::register::{Listing, ObjectSource};
use super::{FULL_COMPARE, Key, PAGE, State, Views};
use crate::api::Error;
use crate::api::stream::{self, WatchItem};
use crate::observe::facts;

impl Views {
    /// Life cycle of a view: list, follow, and list again.
    pub(super) async fn run(
        &self,
        key: &Key,
        state: &watch::Sender<State>,
        again: &tokio::sync::Notify,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        let mut newest = String::new();
        loop {
            match self.list(key, &newest, Listing::Followed).await {
                Ok(resource_version) => {
                    newest.clone_from(&resource_version);
                    let was_failed = matches!(&*state.borrow(), State::Failed(_));
                    state.send_replace(State::Synced);
                    if was_failed {
                        self.wake(key);
                    }
                    backoff.reset();
                    tokio::select! {
                        followed = self.follow(key, resource_version) => newest = followed,
                        () = again.notified() => {
                            state.send_replace(State::Starting);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(kind = key.kind, namespace = key.namespace, %error,
                        "cannot list a managed kind; nothing is pruned until it can");
                    self.inner.lock().register.lost(key);
                    state.send_replace(State::Failed(error));
                    self.wake(key);
                    let delay = backoff.next_delay(&mut rand::rng());
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    fn wake(&self, key: &Key) {
        let is_needed = |own: &Key| own.group == key.group && own.kind == key.kind;
        self.inner.lock().register.wake(is_needed);
    }

    /// Reads the whole collection; a tracked object that is not in it does not exist. Returns the
    /// resource version to follow from. `newest` is the last version seen before; empty: none.
    pub(super) async fn list(
        &self,
        key: &Key,
        newest: &str,
        listing: Listing,
    ) -> Result<String, Error> {
        match self.list_by(key, newest, PAGE, listing).await {
            // The history that the next page needs was compacted, as with a slow server (A21): list everything
            // at once.
            Err(error) if error.code == 410 => self.list_by(key, newest, 0, listing).await,
            other => other,
        }
    }

    async fn list_by(
        &self,
        key: &Key,
        newest: &str,
        limit: usize,
        listing: Listing,
    ) -> Result<String, Error> {
        let asked = self.inner.lock().register.moment();
        let mut seen: BTreeSet<ObjectRef> = BTreeSet::new();
        let mut token = String::new();
        let resource_version = loop {
            let collection = key.resource().collection(&key.namespace);
            let path = format!("{collection}?limit={limit}{token}");
            let mut page = self.api.get(&path).await?;
            let went_back = is_older(version_of(&page), newest);
            let as_of = version_of(&page).parse::<u64>().unwrap_or(0);
            if went_back && token.is_empty() {
                self.inner.lock().register.went_back(key);
                self.restored.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    kind = key.kind,
                    namespace = key.namespace,
                    seen = newest,
                    "the API server went back in time (a restored etcd?); comparing everything \
                     again"
                );
            }
            let items = page.get_mut("items").and_then(Value::as_array_mut);
            for item in items.into_iter().flatten() {
                let object = facts::object_of(&key.group, &key.kind, item);
                let mut inner = self.inner.lock();
                if inner.register.is_tracked(&object) {
                    name_type(item, key);
                    let read = ObjectSource::Listed {
                        version: as_of,
                        asked,
                    };
                    inner.register.put(&object, item, read);
                    seen.insert(object);
                }
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(next) if !next.is_empty() => {
                    token = format!("&continue={}", percent::encode(next, b""));
                }
                _ => break version_of(&page).to_owned(),
            }
        };
        let as_of = resource_version.parse::<u64>().unwrap_or(0);
        let mut inner = self.inner.lock();
        inner.register.listed(key, &seen, as_of, asked, listing);
        Ok(resource_version)
    }

    /// Follows a collection until it has to be listed again. Returns the last version that was seen.
    async fn follow(&self, key: &Key, mut resource_version: String) -> String {
        let until = Instant::now() + jitter(FULL_COMPARE);
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        while Instant::now() < until {
            let patience = jitter(self.patience);
            let path = format!(
                "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
                key.resource().collection(&key.namespace),
                patience.as_secs().max(1),
                percent::encode(&resource_version, b""),
            );
            let mut events = match stream::open(&self.api, &path).await {
                Ok(events) => events,
                Err(error) => {
                    tracing::debug!(%error, "cannot open a watch");
                    // The version is gone, or is one that a restored etcd does not know yet (A19), or
                    // the server keeps refusing: list everything again.
                    if !error.is_transient() || backoff.attempts() >= 4 {
                        return resource_version;
                    }
                    let delay = backoff.next_delay(&mut rand::rng());
                    tokio::time::sleep(delay).await;
                    continue;
                }
            };
            // A connection that stays open and silent is noticed soon after the server should have
            // ended it (A18).
            let silent = Instant::now() + patience + Duration::from_secs(15);
            let mut last_word = Instant::now();
            loop {
                let limit = silent.max(last_word + Duration::from_secs(15));
                let Ok(next) = tokio::time::timeout_at(limit, events.next()).await else {
                    break;
                };
                last_word = Instant::now();
                match next {
                    WatchItem::Changed(version, mut live) => {
                        self.changed(key, &mut live);
                        resource_version = version;
                        backoff.reset();
                    }
                    WatchItem::Deleted(version, live) => {
                        self.deleted(key, &version, &live);
                        resource_version = version;
                    }
                    WatchItem::Bookmark(version) => resource_version = version,
                    WatchItem::Relist => return resource_version,
                    WatchItem::Ended => break,
                }
            }
            if last_word.elapsed() < Duration::from_millis(200) && backoff.attempts() > 0 {
                let delay = backoff.next_delay(&mut rand::rng());
                tokio::time::sleep(delay).await;
            }
        }
        resource_version
    }

    fn changed(&self, key: &Key, live: &mut Value) {
        let object = facts::object_of(&key.group, &key.kind, live);
        let mut inner = self.inner.lock();
        if inner.register.is_tracked(&object) {
            name_type(live, key);
            inner.register.put(&object, live, ObjectSource::Event);
        }
    }

    fn deleted(&self, key: &Key, version: &str, live: &Value) {
        let object = facts::object_of(&key.group, &key.kind, live);
        if let Some(uid) = live.pointer("/metadata/uid").and_then(Value::as_str) {
            let version = version.parse::<u64>().unwrap_or(0);
            let mut inner = self.inner.lock();
            inner.register.gone(&object, uid, version, None);
        }
    }
}

/// The resource version of a list.
fn version_of(list: &Value) -> &str {
    list.pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .unwrap_or("0")
}

/// Whether one resource version is before another; they are numbers that grow (KEP-5504).
fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}

/// Items of a list do not repeat their type.
fn name_type(item: &mut Value, key: &Key) {
    if let Value::Object(map) = item {
        map.entry("apiVersion")
            .or_insert_with(|| Value::String(key.api_version()));
        map.entry("kind")
            .or_insert_with(|| Value::String(key.kind.clone()));
    }
}

/// Between 80 and 100 percent, so that the watches of a fleet do not end together.
fn jitter(duration: Duration) -> Duration {
    duration.mul_f64(rand::Rng::random_range(&mut rand::rng(), 0.8..1.0))
}
