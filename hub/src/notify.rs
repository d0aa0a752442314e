//! Notifications: events are rows of an outbox, written in the transaction of their audit entry, and sent by the
//! deciding replica.
//!
//! ```text
//!   audit entry --of_entry (PURE)--> outbox row, in one transaction --+
//!   the fleet --conditions (PURE)--> Gather (PURE) --> outbox row ----+--> deliver: each target at its own place
//! ```
//!
//! A target's position is stored before and after each message, so that a crash loses nothing and repeats at most one
//! message, which is marked as a possible duplicate.

mod alarm;
pub mod conditions;
mod deliver;
pub mod entry;
mod fault;
mod mail;
mod send;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_notify::{Config, Event, Kind, Notice};
use flotilla_yaml::config::ConfigError;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::driver::{Handle, Health};
use crate::metrics::Metrics;
use crate::problems::lines;
use crate::serve::FleetFileStatus;
use crate::store::Store;
use crate::suggestion::missing;

use conditions::Watcher;
use deliver::Deliveries;
pub use deliver::{FailedMessage, OutboxPosition};
use send::Sender;

/// Interval of checks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Largest notifications file, bytes.
const MAX_FILE: u64 = 1 << 20;

/// Error of the notifications file.
#[derive(Debug, thiserror::Error)]
pub enum TargetsFileError {
    #[error("{path}: {cause}")]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{0}: it is larger than {MAX_FILE} bytes")]
    TooLarge(PathBuf),
    #[error("{}", lines(.0))]
    Wrong(Vec<ConfigError>),
}

/// Reads the notifications file. Returns its text, too.
///
/// # Errors
/// See [`TargetsFileError`].
pub fn read(path: &Path) -> Result<(Config, String), TargetsFileError> {
    let text = load(path)?;
    Ok((parse(path, &text)?, text))
}

fn load(path: &Path) -> Result<String, TargetsFileError> {
    let unreadable = |cause| TargetsFileError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > MAX_FILE {
        return Err(TargetsFileError::TooLarge(path.to_owned()));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn parse(path: &Path, text: &str) -> Result<Config, TargetsFileError> {
    flotilla_notify::parse(&path.display().to_string(), text).map_err(TargetsFileError::Wrong)
}

/// Setup of notifications.
pub struct NotifySetup {
    pub handle: Handle,
    /// The store of events and positions.
    pub store: Store,
    /// The notifications file and its text.
    pub config: (Config, String),
    /// Path of that file, which is read again when it changes.
    pub path: PathBuf,
    /// State of the fleet file.
    pub fleet_file: Arc<RwLock<FleetFileStatus>>,
    /// Metrics.
    pub metrics: Metrics,
    /// Health of the store.
    pub health: Health,
}

/// Sends notifications until stopped.
pub async fn run(telling: NotifySetup, stop: CancellationToken) {
    let NotifySetup {
        handle,
        store,
        config: (mut config, mut text),
        path,
        fleet_file,
        metrics,
        health,
    } = telling;
    let sender = match Sender::new() {
        Ok(sender) => sender,
        Err(error) => {
            tracing::error!(%error, "notifications are off");
            return;
        }
    };
    let sender = Arc::new(sender);
    let (targets, alarmed) = watch::channel(config.clone());
    // A task of its own, so that it runs on while queries of the store hang.
    let alarm = alarm::run(health, alarmed, Arc::clone(&sender), metrics.clone());
    let _alarm = AbortOnDropHandle::new(tokio::spawn(alarm));
    let mut deliveries = Deliveries::new(store.clone(), sender, metrics);
    let mut watcher = Watcher::new(Timestamp::now());
    let mut refused = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        let new = load(&path).and_then(|new| match new == text {
            true => Ok(None),
            false => {
                let parsed = parse(&path, &new);
                text = new;
                parsed.map(Some)
            }
        });
        match new {
            Ok(new) => {
                if let Some(new) = new {
                    targets.send_replace(new.clone());
                    config = new;
                }
                refused.clear();
            }
            Err(error) => {
                let error = error.to_string();
                if error != refused {
                    tracing::error!(
                        error,
                        "notification targets rejected; the last valid ones stay in force"
                    );
                    refused = error;
                }
            }
        }
        let now = Timestamp::now();
        let file = fleet_file.read().error.clone();
        let seen = handle.query(move |fleet| conditions::conditions(fleet, &file, now));
        let Ok(seen) = seen.await else { return };
        for event in watcher.look(seen, now) {
            if let Err(error) = store.put_event(&event).await {
                tracing::warn!(%error, "cannot store an event for notifications");
            }
        }
        tokio::select! {
            () = deliveries.step(&config, now) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Sends a test message to a target, and returns the result.
///
/// # Errors
/// When the target does not exist, or it refuses.
pub async fn test(config: &Config, name: &str) -> anyhow::Result<()> {
    let target = config.targets.iter().find(|target| target.name == name);
    let target = target.ok_or_else(|| {
        let names = config.targets.iter().map(|target| target.name.as_str());
        anyhow::Error::msg(missing("target", name, names))
    })?;
    let event = Event {
        kind: Kind::RolloutHalted,
        at: Timestamp::now(),
        environment: "test".to_owned(),
        rollout: "test-0".to_owned(),
        commit: String::new(),
        clusters: Vec::new(),
        count: 0,
        actor: String::new(),
        reason: "this is a test by flotilla-hub notify test".to_owned(),
    };
    let notice = Notice {
        id: 0,
        link: config.page(&event),
        event,
        repeated: false,
    };
    let sender = Sender::new()?;
    let mut known = flotilla_notify::MessageRef::default();
    for kind in [Kind::RolloutHalted, Kind::RolloutSuperseded] {
        let mut notice = notice.clone();
        notice.event.kind = kind;
        for post in flotilla_notify::compose(target, &notice, &known) {
            let sent = sender.post(target, &post).await;
            match sent.map_err(|fault| anyhow::anyhow!("target {name}: {}", fault.why))? {
                Some(new) => known = new,
                None => continue,
            }
        }
    }
    Ok(())
}
