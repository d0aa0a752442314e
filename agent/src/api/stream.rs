//! One watch: events as the API server sends them, line by line, each line bounded.

use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, Error};

/// Longest single event; etcd does not store larger objects.
const MAX_EVENT: usize = 8 * 1024 * 1024;

/// Next item of a watch.
pub(crate) enum WatchItem {
    /// Added or modified, with the resource version to continue from.
    Changed(String, Value),
    Deleted(String, Value),
    /// Nothing changed up to here.
    Bookmark(String),
    /// The watch cannot continue (410, or an unknown event): list again.
    Relist,
    /// The server ended it, or the connection broke.
    Ended,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

/// Longest time to open a watch: the server answers at once, even if nothing happens in the cluster.
const OPENING: Duration = Duration::from_secs(10);

/// The events of one watch.
pub(crate) struct Events {
    lines: std::pin::Pin<Box<dyn AsyncBufRead + Send>>,
    line: Vec<u8>,
}

/// Opens a watch.
///
/// # Errors
/// When the server does not answer, or says no; then there is nothing to follow.
pub(crate) async fn open(api: &Api, path: &str) -> Result<Events, Error> {
    let request = api
        .request(&Method::GET, path, "application/json")
        .body(Vec::new())
        .map_err(|error| Error::unavailable(&error.to_string()))?;
    let opening = api.client().request_stream(request);
    match tokio::time::timeout(OPENING, opening).await {
        Ok(Ok(stream)) => Ok(Events {
            lines: Box::pin(stream),
            line: Vec::new(),
        }),
        Ok(Err(error)) => Err(Error::from_kube(&error)),
        Err(_) => Err(Error::unavailable(
            "the API server did not open a watch within 10 seconds",
        )),
    }
}

impl Events {
    /// The next event. Cancel-safe: a line that was read in part is kept.
    pub(crate) async fn next(&mut self) -> WatchItem {
        loop {
            let (used, is_whole) = match self.lines.fill_buf().await {
                Ok([]) | Err(_) => return WatchItem::Ended,
                Ok(bytes) => match bytes.iter().position(|byte| *byte == b'\n') {
                    Some(at) => {
                        self.line.extend_from_slice(&bytes[..at]);
                        (at + 1, true)
                    }
                    None => {
                        self.line.extend_from_slice(bytes);
                        (bytes.len(), false)
                    }
                },
            };
            self.lines.as_mut().consume(used);
            if self.line.len() > MAX_EVENT {
                return WatchItem::Relist;
            }
            if !is_whole {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if line.is_empty() {
                continue;
            }
            return read(&line);
        }
    }
}

fn read(line: &[u8]) -> WatchItem {
    let Ok(event) = serde_json::from_slice::<Event>(line) else {
        return WatchItem::Relist;
    };
    let version = event
        .object
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .map(str::to_owned);
    match (event.kind.as_str(), version) {
        ("ADDED" | "MODIFIED", Some(version)) => WatchItem::Changed(version, event.object),
        ("DELETED", Some(version)) => WatchItem::Deleted(version, event.object),
        ("BOOKMARK", Some(version)) => WatchItem::Bookmark(version),
        _ => WatchItem::Relist,
    }
}
