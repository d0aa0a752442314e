//! Delivery: each target has its own position in the outbox, so that a slow or unreachable one delays no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_notify::{Config, Event, MessageRef, Notice, SendError, Target, compose};
use flotilla_shared::backoff::Backoff;
use flotilla_status::{AuditAction, HUB_ACTOR};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::send::Sender;
use crate::fleet::AuditEntry;
use crate::metrics::Metrics;
use crate::store::Store;

/// Number of events that are read at a time for one target.
const AT_ONCE: i64 = 100;
/// Highest number of subjects whose messages are remembered for a target.
const SUBJECTS: usize = 200;
/// Time after which a message that cannot be sent is given up.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// First delay of retries of a target; it increases up to [`RARELY`].
const RETRY: Duration = Duration::from_secs(5);
/// See [`RETRY`].
const RARELY: Duration = Duration::from_secs(600);

/// Highest number of given-up messages that are shown for each target.
const SHOWN: usize = 10;

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedMessage {
    /// Kind of the event.
    pub event: String,
    /// Name of the environment; empty: the whole fleet.
    #[serde(default)]
    pub environment: String,
    /// Id of the rollout; empty: none.
    #[serde(default)]
    pub rollout: String,
    pub at: Timestamp,
    pub why: String,
}

/// Position of a target in the events, kept in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboxPosition {
    /// Id of the last event that is done.
    pub cursor: i64,
    /// Id of the event that is being sent; after a restart it may have been sent already.
    pub sending: Option<i64>,
    /// When sending began to fail.
    pub failing_since: Option<Timestamp>,
    /// Number of messages that were given up.
    pub dead: u64,
    /// Why the last one was given up.
    pub last_fault: String,
    /// The last given-up messages, newest last.
    pub given_up: Vec<FailedMessage>,
    /// The target's ids of messages, by subject, newest last.
    pub known: Vec<(String, MessageRef)>,
}

impl OutboxPosition {
    fn give_up(&mut self, event: &Event, why: &str, at: Timestamp) {
        self.dead += 1;
        why.clone_into(&mut self.last_fault);
        if self.given_up.len() >= SHOWN {
            self.given_up.remove(0);
        }
        self.given_up.push(FailedMessage {
            event: event.kind.as_str().to_owned(),
            environment: event.environment.clone(),
            rollout: event.rollout.clone(),
            at,
            why: why.to_owned(),
        });
    }

    fn known(&self, subject: &str) -> MessageRef {
        let found = self.known.iter().find(|(name, _)| name == subject);
        found.map(|(_, known)| known.clone()).unwrap_or_default()
    }

    fn remember(&mut self, subject: &str, known: MessageRef) {
        self.known.retain(|(name, _)| name != subject);
        if self.known.len() >= SUBJECTS {
            self.known.remove(0);
        }
        self.known.push((subject.to_owned(), known));
    }
}

/// A target in memory.
struct TargetQueue {
    place: OutboxPosition,
    /// The event that another process was sending when it stopped.
    doubtful: Option<i64>,
    wait: Option<Instant>,
    backoff: Backoff,
}

/// See the module.
pub(super) struct Deliveries {
    store: Store,
    sender: Arc<Sender>,
    metrics: Metrics,
    lines: BTreeMap<String, TargetQueue>,
}

impl Deliveries {
    pub(super) fn new(store: Store, sender: Arc<Sender>, metrics: Metrics) -> Self {
        Self {
            store,
            sender,
            metrics,
            lines: BTreeMap::new(),
        }
    }

    /// Sends every target its pending events.
    pub(super) async fn step(&mut self, config: &Config, now: Timestamp) {
        self.lines
            .retain(|name, _| config.targets.iter().any(|target| target.name == *name));
        for target in &config.targets {
            if self.lines.contains_key(&target.name) {
                continue;
            }
            match self.store.place(&target.name).await {
                Ok(place) => {
                    let line = TargetQueue {
                        doubtful: place.sending,
                        place,
                        wait: None,
                        backoff: Backoff::new(RETRY, RARELY),
                    };
                    self.lines.insert(target.name.clone(), line);
                }
                Err(error) => tracing::warn!(%error, "cannot read a target's outbox position"),
            }
        }
        let (store, sender, metrics) = (&self.store, &*self.sender, &self.metrics);
        let all = self.lines.iter_mut().filter_map(|(name, line)| {
            let target = config.targets.iter().find(|target| target.name == *name)?;
            Some(line.step(config, target, (store, sender, metrics), now))
        });
        join_all(all).await;
    }
}

impl TargetQueue {
    async fn step(
        &mut self,
        config: &Config,
        target: &Target,
        (store, sender, metrics): (&Store, &Sender, &Metrics),
        now: Timestamp,
    ) {
        if self.wait.is_some_and(|until| until > Instant::now()) {
            return;
        }
        let rows = match store.events_after(self.place.cursor, AT_ONCE).await {
            Ok(rows) => rows,
            Err(error) => return tracing::warn!(%error, "cannot read events for notifications"),
        };
        for (id, event) in rows {
            let Some(event) = event.filter(|event| target.wants(event)) else {
                self.place.cursor = id;
                continue;
            };
            let subject = event.subject();
            let notice = Notice {
                id,
                link: config.page(&event),
                repeated: self.doubtful == Some(id),
                event,
            };
            let posts = compose(target, &notice, &self.place.known(&subject));
            if posts.is_empty() {
                self.place.cursor = id;
                continue;
            }
            // Recorded before sending, so that after a crash the message is marked as a possible repetition.
            self.place.sending = Some(id);
            if let Err(error) = store.put_place(&target.name, &self.place).await {
                return tracing::warn!(%error, "cannot record a target's outbox position; it waits");
            }
            let mut fault = None;
            for post in &posts {
                match sender.post(target, post).await {
                    Ok(Some(known)) => self.place.remember(&subject, known),
                    Ok(None) => {}
                    Err(error) => {
                        fault = Some(error);
                        break;
                    }
                }
            }
            let name = target.name.as_str();
            match fault {
                None => {
                    metrics.notified(name, "ok");
                    self.done(id);
                }
                Some(SendError { why, passing }) => {
                    let since = *self.place.failing_since.get_or_insert(now);
                    if passing && now.duration_since(since) < PATIENCE {
                        metrics.notified(name, "failed");
                        if self.backoff.attempts() == 0 {
                            tracing::warn!(
                                target = name,
                                why,
                                "cannot send a notification; will retry"
                            );
                        }
                        // Some of the message may have arrived, so the next attempt is marked as a possible repetition.
                        self.doubtful = (posts.len() > 1 || notice.repeated).then_some(id);
                        self.wait =
                            Some(Instant::now() + self.backoff.next_delay(&mut rand::rng()));
                        let _ = store.put_place(name, &self.place).await;
                        return;
                    }
                    metrics.notified(name, "dead");
                    tracing::error!(target = name, why, "a notification was given up");
                    self.place.give_up(&notice.event, &why, now);
                    self.done(id);
                    let entry = AuditEntry {
                        at: now,
                        actor: HUB_ACTOR.to_owned(),
                        action: AuditAction::NotificationGivenUp,
                        environment: notice.event.environment.clone(),
                        detail: format!("target {name}, {}: {why}", notice.event.kind.as_str()),
                        ..AuditEntry::default()
                    };
                    if let Err(error) = store.record(&entry).await {
                        tracing::warn!(%error, "cannot record that a notification was given up");
                    }
                }
            }
            if let Err(error) = store.put_place(&target.name, &self.place).await {
                return tracing::warn!(%error, "cannot record a target's outbox position");
            }
        }
    }

    fn done(&mut self, id: i64) {
        self.place.cursor = id;
        self.place.sending = None;
        self.place.failing_since = None;
        self.doubtful = None;
        self.wait = None;
        self.backoff.reset();
    }
}

#[cfg(test)]
pub(super) mod tests;
