//! Calls to forges, by one writer for the whole fleet: a status for each environment on the commit that it gets
//! ([`status`]), merges of pull requests of promotions ([`merge`]), and plans for pull requests ([`preview`]). Forges
//! and credentials are in [`config`].

pub mod config;
#[cfg(test)]
mod fake;
mod hinted;
pub mod merge;
pub mod preview;
mod rounds;
pub mod send;
pub mod status;
mod waits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::driver::Handle;
use crate::metrics::Metrics;
use crate::store::Store;

use config::Forges;
pub use rounds::Hints;
use rounds::Rounds;
use send::Sender;
use status::{DesiredStatus, Key, SentStatus, desired, due, takes};
use waits::Waits;

/// Interval at which the fleet is checked.
const INTERVAL: Duration = Duration::from_secs(2);

/// Setup of calls to forges.
pub struct ForgeSetup {
    pub handle: Handle,
    /// The store, which has the statuses that were sent.
    pub store: Store,
    /// Forges and credentials; none: not configured.
    pub forges: Option<Forges>,
    /// Metrics.
    pub metrics: Metrics,
    /// Wakes the pollers.
    pub refresh: Arc<Notify>,
    pub planner: Arc<dyn preview::Planner>,
    /// Hints of webhooks about pull requests.
    pub hints: Arc<Hints>,
}

/// Starts all calls to forges, until stopped.
///
/// # Errors
/// When TLS is not available.
pub fn start(
    speaking: ForgeSetup,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let sender = Arc::new(Sender::new(speaking.metrics)?);
    let mut tasks = Vec::new();
    if let Some(forges) = speaking.forges.clone() {
        let (handle, store) = (speaking.handle.clone(), speaking.store);
        let telling = tell(handle, store, forges, Arc::clone(&sender), stop.clone());
        tasks.push(tokio::spawn(telling));
    }
    let forges = speaking.forges.unwrap_or_default();
    let taking = merge::run::MergeSetup {
        handle: speaking.handle.clone(),
        forges: forges.clone(),
        sender: Arc::clone(&sender),
        refresh: speaking.refresh,
    };
    let merges = Rounds::new(Arc::clone(&speaking.hints.merges), forges.interval);
    tasks.push(tokio::spawn(merge::run::run(taking, merges, stop.clone())));
    let previews = Rounds::new(Arc::clone(&speaking.hints.previews), forges.interval);
    let previewing = preview::run::PreviewSetup {
        handle: speaking.handle,
        forges,
        sender,
        planner: speaking.planner,
    };
    tasks.push(tokio::spawn(preview::run::run(
        previewing,
        previews,
        stop.clone(),
    )));
    Ok(tasks)
}

/// Sends statuses until stopped.
async fn tell(
    handle: Handle,
    store: Store,
    forges: Forges,
    sender: Arc<Sender>,
    stop: CancellationToken,
) {
    let mut waits = Waits::default();
    let mut sent = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        let mut known = match sent.take() {
            Some(known) => known,
            // Read from the store, so that a restart sends no status twice.
            None => match store.statuses().await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "cannot read the statuses sent to forges");
                    continue;
                }
            },
        };
        let link = forges.link.clone();
        let seen = handle
            .query(move |fleet| (desired(fleet, &link), fleet.spec().repositories.clone()))
            .await;
        let Ok((statuses, repositories)) = seen else {
            return;
        };
        let places: BTreeMap<_, _> = repositories
            .iter()
            .filter_map(|(name, repository)| Some((name, forges.of(name, &repository.url)?)))
            .collect();
        let can_be_told = |key: &Key, status: &DesiredStatus| {
            let place = places.get(&key.repository);
            place.is_some_and(|place| takes(place.at.kind(), status))
                && !waits.holds(&key.repository, Instant::now())
        };
        let now = Timestamp::now();
        for (key, status) in due(&known, &statuses, can_be_told, now) {
            let Some(place) = places.get(&key.repository) else {
                continue;
            };
            // An earlier status of this round may have failed, so the delay is checked again.
            if waits.holds(&key.repository, Instant::now()) {
                continue;
            }
            let told = tokio::select! {
                told = sender.status(place, &key.commit, &status.status) => told,
                () = stop.cancelled() => return,
            };
            match told {
                Ok(()) => {
                    waits.ended(&key.repository);
                    let row = SentStatus {
                        change: status.change.clone(),
                        at: now,
                    };
                    if let Err(error) = store.put_status(&key, &row).await {
                        tracing::warn!(%error, "cannot record a status sent to a forge; it may be sent again");
                    }
                    known.insert(key, row);
                }
                Err(error) => {
                    let repository = &key.repository;
                    if waits.failed(repository, &error, Instant::now()) {
                        tracing::warn!(%repository, %error, "cannot set a commit's status; will retry");
                    }
                }
            }
        }
        sent = Some(known);
    }
}
