//! Alerts on a failing store, which bypass the outbox, since the outbox is in that store: once an hour at most, without
//! retries, so that an alert may be lost, and sent twice after a restart.

use std::sync::Arc;
use std::time::Duration;

use flotilla_notify::{Config, Event, Kind, MessageRef, Notice, Target, compose};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::fault::SendError;
use super::send::Sender;
use crate::driver::Health;
use crate::metrics::Metrics;

/// Time for which the store has to fail before an alert is sent.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two alerts.
const APART: Duration = Duration::from_secs(3600);
/// Interval of checks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Longest time for sending to one target.
const LIMIT: Duration = Duration::from_secs(30);

/// Decides when an alert is sent. Pure.
#[derive(Debug, Default)]
struct Alarm {
    failing_since: Option<Instant>,
    told_at: Option<Instant>,
}

impl Alarm {
    /// Notes that the store works.
    fn works(&mut self) {
        self.failing_since = None;
    }

    /// Notes a failure of the store. Returns for how long it has failed, where an alert is due now.
    fn fails(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.failing_since.get_or_insert(now);
        let lasts = now.duration_since(since);
        let told = |at: Instant| now.duration_since(at) < APART;
        if lasts < PATIENCE || self.told_at.is_some_and(told) {
            return None;
        }
        self.told_at = Some(now);
        Some(lasts)
    }
}

/// Runs until it is dropped.
pub(super) async fn run(
    health: Health,
    config: watch::Receiver<Config>,
    sender: Arc<Sender>,
    metrics: Metrics,
) {
    let mut alarm = Alarm::default();
    loop {
        tokio::time::sleep(INTERVAL).await;
        if !health.is_failing() {
            alarm.works();
        } else if let Some(lasts) = alarm.fails(Instant::now()) {
            let config = config.borrow().clone();
            tell(&config, &sender, &metrics, lasts, Timestamp::now()).await;
        }
    }
}

/// Sends the alert to every target that gets it, in parallel.
async fn tell(
    config: &Config,
    sender: &Sender,
    metrics: &Metrics,
    lasts: Duration,
    now: Timestamp,
) {
    let event = Event {
        kind: Kind::StoreFailing,
        at: now,
        environment: String::new(),
        rollout: String::new(),
        commit: String::new(),
        clusters: Vec::new(),
        count: 0,
        actor: String::new(),
        reason: format!(
            "the hub has been unable to write to its store for {} s: it makes no decisions, and \
             agents keep what they have; sent directly because queued messages are in that \
             store, and not retried",
            lasts.as_secs()
        ),
    };
    let wants = config.targets.iter().filter(|target| target.wants(&event));
    let all = wants.map(|target| async {
        let notice = Notice {
            // Negative: no row of the outbox has this number.
            id: -now.as_second(),
            link: config.page(&event),
            event: event.clone(),
            repeated: false,
        };
        let sent = tokio::time::timeout(LIMIT, send(target, &notice, sender)).await;
        let sent = sent.unwrap_or_else(|_| Err(SendError::passing("it timed out")));
        let outcome = match sent {
            Ok(()) => "ok",
            Err(SendError { why, .. }) => {
                tracing::warn!(
                    target = target.name,
                    why,
                    "cannot send the alert that the store fails"
                );
                "dead"
            }
        };
        metrics.notified(&target.name, outcome);
    });
    join_all(all).await;
}

async fn send(target: &Target, notice: &Notice, sender: &Sender) -> Result<(), SendError> {
    for post in compose(target, notice, &MessageRef::default()) {
        sender.post(target, &post).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
