//! Kubernetes Events for changes, refusals and failures, so that the cluster's own people see them without
//! the hub. They are in the agent's namespace: `kubectl get events -n flotilla-system`.
//!
//! Bounded: one queue that drops when full, one writer, and the same message about the same object at
//! most once in ten minutes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::digest::Digest;
use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::plain_line;
use flotilla_shared::words::without_numbers;
use http::Method;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::Api;

/// Events that wait to be written.
const QUEUE: usize = 256;
/// Time within which the same Event is not written again.
const QUIET: Duration = Duration::from_secs(600);
/// Longest note; the API server takes 1 kB.
const MAX_NOTE: usize = 1000;
/// Most messages that are remembered; above it the memory is cleared.
const MAX_RECENT: usize = 10_000;

/// An Event to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `Normal` or `Warning`.
    warning: bool,
    reason: String,
    object: Option<ObjectRef>,
    note: String,
}

impl Event {
    /// Something was done to an object.
    #[must_use]
    pub fn done(object: &ObjectRef, action: Action) -> Self {
        Self {
            warning: false,
            reason: action.to_string(),
            object: Some(object.clone()),
            note: format!("{object}: {}", action.to_string().to_lowercase()),
        }
    }

    /// Something was not done to an object.
    #[must_use]
    pub fn refused(object: &ObjectRef, reason: Reason, message: &str) -> Self {
        Self {
            warning: true,
            reason: reason.to_string(),
            object: Some(object.clone()),
            note: format!("{object}: {}", without_numbers(message)),
        }
    }

    /// Something about the whole.
    #[must_use]
    pub fn warning(reason: Reason, message: &str) -> Self {
        Self {
            warning: true,
            reason: reason.to_string(),
            object: None,
            note: without_numbers(message),
        }
    }
}

/// The recorder. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<(String, Event)>,
}

impl Events {
    pub(crate) fn start(api: Api, namespace: &str) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = Writer {
            api,
            namespace: namespace.into(),
            recent: HashMap::new(),
        };
        // The task ends when the last sender is dropped.
        tokio::spawn(writer.run(waiting));
        Self { queue }
    }

    /// Queues an Event if there is room; never blocks.
    pub(crate) fn send(&self, application: &str, event: Event) {
        let _ = self.queue.try_send((application.to_owned(), event));
    }
}

struct Writer {
    api: Api,
    namespace: Arc<str>,
    recent: HashMap<Digest, Instant>,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<(String, Event)>) {
        while let Some((application, event)) = waiting.recv().await {
            let object = event.object.as_ref().map(ToString::to_string);
            let key = Digest::of_parts([
                application.as_bytes(),
                event.reason.as_bytes(),
                object.unwrap_or_default().as_bytes(),
                if event.warning {
                    event.note.as_bytes()
                } else {
                    b""
                },
            ]);
            let now = Instant::now();
            if self
                .recent
                .get(&key)
                .is_some_and(|at| now.duration_since(*at) < QUIET)
            {
                continue;
            }
            if self.recent.len() > MAX_RECENT {
                self.recent.clear();
            }
            self.recent.insert(key, now);
            self.write(&application, &event).await;
        }
    }

    async fn write(&self, application: &str, event: &Event) {
        let now = format!("{:.6}", Timestamp::now());
        let number: u64 = rand::random();
        let mut body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": format!("flotilla-agent.{number:016x}"),
                "namespace": *self.namespace,
                "labels": {"flotilla.dev/application": application},
            },
            "eventTime": now,
            "type": if event.warning { "Warning" } else { "Normal" },
            "reason": event.reason,
            "action": "Reconcile",
            "note": plain_line(&event.note, MAX_NOTE),
            "reportingController": "flotilla.dev/agent",
            "reportingInstance": "flotilla-agent",
            "regarding": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "namespace": *self.namespace,
                "name": format!("flotilla-inventory-{application}-0"),
            },
        });
        if application.is_empty() {
            body["regarding"]["name"] = json!("flotilla-agent");
            if let Some(metadata) = body["metadata"].as_object_mut() {
                metadata.remove("labels");
            }
        }
        if let Some(object) = &event.object {
            body["related"] = json!({
                "apiVersion": object.group,
                "kind": object.kind,
                "namespace": object.namespace,
                "name": object.name,
            });
        }
        let path = format!(
            "/apis/events.k8s.io/v1/namespaces/{}/events",
            self.namespace
        );
        let sent = self
            .api
            .send(Method::POST, &path, "application/json", Some(&body))
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, "cannot write an Event");
        }
    }
}
