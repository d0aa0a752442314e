//! Watches: the current objects or the history since a resourceVersion, then each change, with bookmarks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};

use crate::ApiServer;
use crate::convert;
use crate::kinds::Kind;
use crate::selector::{Fields, Labels};
use crate::status::{Failure, no_such_path, too_large_version, too_old};
use crate::store::{Change, Store};
use crate::table::View;
use crate::verbs::Call;

/// How often an idle watch gets a bookmark; kube-apiserver: about once a minute.
const BOOKMARK: Duration = Duration::from_secs(5);
/// Default duration of a watch, if the client sets no timeout (kube-apiserver: 30 to 60 minutes).
const LONGEST: u64 = 1800;

struct Watch {
    server: ApiServer,
    kind: Kind,
    version: String,
    namespace: String,
    name: String,
    labels: Labels,
    fields: Fields,
    bookmarks: bool,
    view: View,
    from: u64,
}

impl Watch {
    fn line(&self, kind: &str, object: &Value) -> Bytes {
        let object = convert::to(&self.kind, &self.version, object);
        let object = self.view.one(&self.kind, &self.version, object);
        Bytes::from(format!("{}\n", json!({ "type": kind, "object": object })))
    }

    fn bookmark(&self, initial: bool) -> Bytes {
        let mut object = json!({
            "kind": self.kind.kind,
            "apiVersion": self.kind.api_version(&self.version),
            "metadata": { "resourceVersion": self.from.to_string(), "creationTimestamp": null },
        });
        if let (true, Some(metadata)) = (initial, object.get_mut("metadata"))
            && let Value::Object(metadata) = metadata
        {
            metadata.insert(
                "annotations".to_owned(),
                json!({ "k8s.io/initial-events-end": "true" }),
            );
        }
        if self.view == View::Metadata {
            object = self.view.one(&self.kind, &self.version, object);
        }
        Bytes::from(format!(
            "{}\n",
            json!({ "type": "BOOKMARK", "object": object })
        ))
    }

    fn fits(&self, object: &Value) -> bool {
        self.labels.fits(object) && self.fields.fits(object)
    }

    /// The first events: the current objects, or an error if the requested version has been compacted.
    fn first(&mut self, store: &Store, call: &Call) -> Vec<Bytes> {
        let (asked, streams) = (self.from, call.parameter("sendInitialEvents") == "true");
        let mut first = Vec::new();
        if asked == 0 || streams {
            let (group, plural) = &self.kind.storage;
            let there: Vec<Arc<Value>> = store
                .range(group, plural, &self.namespace)
                .filter(|(key, object)| {
                    (self.name.is_empty() || key.3 == self.name) && self.fits(object)
                })
                .map(|(_, object)| Arc::clone(object))
                .collect();
            self.from = store.version;
            if call.parameter("sendInitialEvents") != "false" {
                first.extend(there.iter().map(|object| self.line("ADDED", object)));
            }
            if streams && self.bookmarks {
                first.push(self.bookmark(true));
            }
        } else if asked < store.forgotten {
            // Like kube-apiserver, report this as an ERROR event within the stream.
            let error = json!({ "type": "ERROR", "object": too_old(asked, store.forgotten).body });
            first.push(Bytes::from(format!("{error}\n")));
        }
        first
    }

    /// The event of a change for this watch: an object may start or cease to match its selector.
    fn event(&self, change: &Change) -> Option<Bytes> {
        let (group, plural, namespace, name) = &change.key;
        let is_ours = change.version > self.from
            && *group == self.kind.storage.0
            && *plural == self.kind.storage.1
            && (self.namespace.is_empty() || *namespace == self.namespace)
            && (self.name.is_empty() || *name == self.name);
        if !is_ours {
            return None;
        }
        let was = change
            .before
            .as_ref()
            .is_some_and(|before| self.fits(before));
        let is = !change.is_delete && self.fits(&change.object);
        let leaving = || {
            let before = change.before.as_deref().unwrap_or(&change.object);
            let mut object = before.clone();
            let version = change.version.to_string();
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.insert("resourceVersion".to_owned(), json!(version));
            }
            self.line("DELETED", &object)
        };
        match (was, is) {
            (false, true) => Some(self.line("ADDED", &change.object)),
            (true, true) => Some(self.line("MODIFIED", &change.object)),
            (true, false) => Some(leaving()),
            (false, false) => None,
        }
    }

    /// Whether a restore moved the server to a version before the last one that this watch has sent.
    fn is_ahead(&self) -> bool {
        self.from > self.server.inner.store.lock().version
    }

    fn is_away(&self) -> bool {
        self.server.is_away(&self.kind.group, &self.version)
    }

    /// All events since the last round; none if the watch lags too far behind.
    fn round(&mut self) -> Option<Vec<Bytes>> {
        let store = self.server.inner.store.lock();
        if self.from < store.forgotten {
            return None;
        }
        let first = store
            .history
            .partition_point(|change| change.version <= self.from);
        let changes: Vec<Change> = store.history.range(first..).cloned().collect();
        let version = store.version;
        drop(store);
        let lines = changes
            .iter()
            .filter_map(|change| self.event(change))
            .collect();
        self.from = version;
        Some(lines)
    }
}

impl ApiServer {
    /// Opens a watch.
    pub(crate) fn watch(
        &self,
        call: &Call,
        view: View,
    ) -> Result<impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<>, Failure>
    {
        let target = &call.target;
        let store = self.inner.store.lock();
        if !crate::access::may(&store, &call.user, &call.act()) {
            return Err(call.act().refusal(&call.user));
        }
        let kind = store
            .find(&target.group, &target.version, &target.plural)
            .filter(|kind| !kind.is_virtual())
            .cloned()
            .ok_or_else(no_such_path)?;
        let asked = call
            .parameter("resourceVersion")
            .parse::<u64>()
            .unwrap_or(0);
        let streams = call.parameter("sendInitialEvents") == "true";
        if asked > store.version {
            return Err(too_large_version(asked, store.version));
        }
        let mut watch = Watch {
            server: self.clone(),
            labels: Labels::parse(call.parameter("labelSelector"))?,
            fields: Fields::parse(call.parameter("fieldSelector"), &kind)?,
            version: target.version.clone(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            bookmarks: call.parameter("allowWatchBookmarks") == "true",
            view,
            from: asked,
            kind,
        };
        let first = watch.first(&store, call);
        drop(store);
        let ends_at_once = asked != 0 && !first.is_empty() && !streams;
        let timeout = call
            .parameter("timeoutSeconds")
            .parse::<u64>()
            .ok()
            .filter(|seconds| *seconds > 0)
            .unwrap_or(LONGEST);
        let mut changed = self.inner.changed.subscribe();
        changed.mark_changed();
        Ok(async_stream::stream! {
            for line in first {
                yield Ok(line);
            }
            if ends_at_once {
                return;
            }
            let end = tokio::time::sleep(Duration::from_secs(timeout));
            let mut end = std::pin::pin!(end);
            loop {
                tokio::select! {
                    result = changed.changed() => {
                        // Restoring etcd includes a restart of the API server, so watches end.
                        if result.is_err() || watch.is_ahead() || watch.is_away() {
                            return;
                        }
                        match watch.round() {
                            Some(lines) => for line in lines {
                                yield Ok(line);
                            },
                            None => {
                                let failure = too_old(watch.from, watch.from + 1);
                                let error = json!({ "type": "ERROR", "object": failure.body });
                                yield Ok(Bytes::from(format!("{error}\n")));
                                return;
                            }
                        }
                    }
                    () = tokio::time::sleep(BOOKMARK), if watch.bookmarks => {
                        yield Ok(watch.bookmark(false));
                    }
                    () = &mut end => return,
                }
            }
        })
    }
}
