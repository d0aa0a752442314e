//! That the store fails is told past the outbox, since the outbox is in that store: once an hour at most, without
//! a second try, so that it may be lost, and told twice after a restart.

use std::sync::Arc;
use std::time::Duration;

use flotilla_notify::{Config, Event, Kind, Known, Notice, Target, compose};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::fault::Fault;
use super::send::Sender;
use crate::driver::Health;
use crate::metrics::Metrics;

/// A store that fails for so long is worth waking somebody.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two messages.
const APART: Duration = Duration::from_secs(3600);
/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Longest time for all that one target is sent.
const LIMIT: Duration = Duration::from_secs(30);

/// Whether it is time to tell. Pure.
#[derive(Debug, Default)]
struct Alarm {
    failing_since: Option<Instant>,
    told_at: Option<Instant>,
}

impl Alarm {
    /// The store works.
    fn works(&mut self) {
        self.failing_since = None;
    }

    /// The store fails: for how long it has, where people are to be told of that now.
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

/// Looks until it is dropped.
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

/// Tells every target that wants to know, all at once.
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
            "the hub has not been able to store anything for {} s: it decides nothing, and agents go on with \
             what they have; sent directly, since messages wait in that store, and not tried again",
            lasts.as_secs()
        ),
    };
    let wants = config.targets.iter().filter(|target| target.wants(&event));
    let all = wants.map(|target| async {
        let notice = Notice {
            // No row of the outbox has this number.
            id: -now.as_second(),
            link: config.page(&event),
            event: event.clone(),
            repeated: false,
        };
        let sent = tokio::time::timeout(LIMIT, send(target, &notice, sender)).await;
        let sent = sent.unwrap_or_else(|_| Err(Fault::passing("it took too long")));
        let outcome = match sent {
            Ok(()) => "ok",
            Err(Fault { why, .. }) => {
                tracing::warn!(
                    target = target.name,
                    why,
                    "cannot tell that the store fails"
                );
                "dead"
            }
        };
        metrics.notified(&target.name, outcome);
    });
    join_all(all).await;
}

async fn send(target: &Target, notice: &Notice, sender: &Sender) -> Result<(), Fault> {
    for post in compose(target, notice, &Known::default()) {
        sender.post(target, &post).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
