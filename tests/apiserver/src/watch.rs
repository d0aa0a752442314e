//! Watches: history from a resourceVersion on, then each change, with bookmarks.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};

use crate::ApiServer;
use crate::selector;
use crate::status::{Failure, expired, no_such_path};
use crate::store::Change;
use crate::verbs::Call;

/// How often a quiet watch tells where it is.
const BOOKMARK: Duration = Duration::from_secs(5);

struct Watch {
    server: ApiServer,
    group: String,
    plural: String,
    namespace: String,
    labels: String,
    fields: String,
    api_version: String,
    kind: String,
    bookmarks: bool,
    from: u64,
}

impl Watch {
    fn line(&self, kind: &str, object: &Value) -> Bytes {
        let mut object = object.clone();
        if let Value::Object(map) = &mut object {
            map.insert("apiVersion".to_owned(), json!(self.api_version));
            map.insert("kind".to_owned(), json!(self.kind));
        }
        Bytes::from(format!("{}\n", json!({ "type": kind, "object": object })))
    }

    fn wants(&self, change: &Change) -> bool {
        change.version > self.from
            && change.key.0 == self.group
            && change.key.1 == self.plural
            && (self.namespace.is_empty() || change.key.2 == self.namespace)
            && selector::labels(&self.labels, &change.object)
            && selector::fields(&self.fields, &change.object)
    }

    /// Everything since the last round; none where the watch is too far behind.
    fn round(&mut self) -> Option<Vec<Bytes>> {
        let store = self.server.inner.store.lock();
        if self.from < store.oldest() {
            return None;
        }
        let lines = store
            .history
            .iter()
            .filter(|change| self.wants(change))
            .map(|change| self.line(change.kind, &change.object))
            .collect();
        let version = store.version;
        drop(store);
        self.from = version;
        Some(lines)
    }
}

impl ApiServer {
    /// Opens a watch.
    pub(crate) fn watch(
        &self,
        call: &Call,
    ) -> Result<impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<>, Failure>
    {
        let target = &call.target;
        let parameter = |name: &str| call.query.get(name).cloned().unwrap_or_default();
        let store = self.inner.store.lock();
        let kind = store
            .find(&target.group, &target.version, &target.plural)
            .cloned()
            .ok_or_else(no_such_path)?;
        let asked = parameter("resourceVersion").parse::<u64>().unwrap_or(0);
        let api_version = match kind.group.as_str() {
            "" => target.version.clone(),
            group => format!("{group}/{}", target.version),
        };
        let mut watch = Watch {
            server: self.clone(),
            group: kind.group.clone(),
            plural: kind.plural.clone(),
            namespace: target.namespace.clone(),
            labels: parameter("labelSelector"),
            fields: parameter("fieldSelector"),
            api_version,
            kind: kind.kind,
            bookmarks: parameter("allowWatchBookmarks") == "true",
            from: asked,
        };
        let mut first = Vec::new();
        if asked == 0 {
            for (_, object) in store.range(&watch.group, &watch.plural, &watch.namespace) {
                if selector::labels(&watch.labels, object)
                    && selector::fields(&watch.fields, object)
                {
                    first.push(watch.line("ADDED", object));
                }
            }
            watch.from = store.version;
        } else if asked < store.oldest() {
            return Err(expired());
        }
        drop(store);
        let timeout = parameter("timeoutSeconds")
            .parse::<u64>()
            .unwrap_or(290)
            .clamp(1, 600);
        let mut changed = self.inner.changed.subscribe();
        changed.mark_changed();
        Ok(async_stream::stream! {
            for line in first {
                yield Ok(line);
            }
            let end = tokio::time::sleep(Duration::from_secs(timeout));
            let mut end = std::pin::pin!(end);
            loop {
                tokio::select! {
                    result = changed.changed() => {
                        if result.is_err() {
                            return;
                        }
                        match watch.round() {
                            Some(lines) => for line in lines {
                                yield Ok(line);
                            },
                            None => {
                                let error = json!({ "type": "ERROR", "object": expired().body });
                                yield Ok(Bytes::from(format!("{error}\n")));
                                return;
                            }
                        }
                    }
                    () = tokio::time::sleep(BOOKMARK), if watch.bookmarks => {
                        let version = watch.from.to_string();
                        let object = json!({ "metadata": { "resourceVersion": version } });
                        yield Ok(watch.line("BOOKMARK", &object));
                    }
                    () = &mut end => return,
                }
            }
        })
    }
}
