//! Telling forges: one truthful status for each environment on the commit it goes to, by one writer for the
//! whole fleet. What is told is decided in [`status`]; who is told, and with what, is in [`config`].

pub mod config;
pub mod send;
pub mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_forge::Error;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::id::RepositoryName;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::driver::Handle;
use crate::metrics::Metrics;
use crate::store::Store;

use config::Forges;
use send::Sender;
use status::{Sent, desired, due};

/// Time between two looks at the fleet.
const INTERVAL: Duration = Duration::from_secs(2);
/// A forge that fails is asked again after this, and ever less often up to [`RARELY`].
const RETRY: Duration = Duration::from_secs(10);
/// See [`RETRY`].
const RARELY: Duration = Duration::from_secs(900);

/// Repositories whose forge failed, and when each is asked again.
type Waits = BTreeMap<RepositoryName, (Instant, Backoff)>;

/// Tells until stopped.
pub async fn run(
    handle: Handle,
    store: Store,
    forges: Forges,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut sender = match Sender::new(metrics) {
        Ok(sender) => sender,
        Err(error) => {
            tracing::error!(%error, "forges are told nothing");
            return;
        }
    };
    let mut waits = Waits::new();
    let mut sent = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        let mut known = match sent.take() {
            Some(known) => known,
            // The last ones are in the store: after a restart nobody lists them, and none is sent twice.
            None => match store.statuses().await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "cannot read what forges were told");
                    continue;
                }
            },
        };
        let link = forges.link.clone();
        let seen = handle
            .query(move |fleet| (desired(fleet, &link), fleet.spec().repositories.clone()))
            .await;
        let Ok((wanted, repositories)) = seen else {
            return;
        };
        let places: BTreeMap<_, _> = repositories
            .iter()
            .filter_map(|(name, one)| Some((name, forges.of(name, &one.url)?)))
            .collect();
        let waits_still = |waits: &Waits, repository: &RepositoryName| {
            let wait = waits.get(repository);
            wait.is_some_and(|(at, _)| *at > Instant::now())
        };
        let can_be_told = |repository: &RepositoryName| {
            places.contains_key(repository) && !waits_still(&waits, repository)
        };
        let now = Timestamp::now();
        for (key, status) in due(&known, &wanted, can_be_told, now) {
            let Some(place) = places.get(&key.repository) else {
                continue;
            };
            // It may have failed for another commit just now.
            if waits_still(&waits, &key.repository) {
                continue;
            }
            let told = tokio::select! {
                told = sender.status(place, &key.commit, &status.status) => told,
                () = stop.cancelled() => return,
            };
            match told {
                Ok(()) => {
                    waits.remove(&key.repository);
                    let row = Sent {
                        change: status.change.clone(),
                        at: now,
                    };
                    if let Err(error) = store.put_status(&key, &row).await {
                        tracing::warn!(%error, "cannot note what a forge was told; it may be told again");
                    }
                    known.insert(key, row);
                }
                Err(error) => wait(&mut waits, &key.repository, &error),
            }
        }
        sent = Some(known);
    }
}

/// Says once what is wrong, and asks again later.
fn wait(waits: &mut Waits, repository: &RepositoryName, error: &Error) {
    let before = waits.remove(repository);
    if before.is_none() {
        tracing::warn!(%repository, %error, "cannot set a commit's status; will try again");
    }
    let mut backoff = before.map_or_else(|| Backoff::new(RETRY, RARELY), |(_, backoff)| backoff);
    let mut delay = backoff.next_delay(&mut rand::rng());
    if let Error::RateLimited { wait } = error {
        delay = delay.max(wait.unsigned_abs());
    }
    waits.insert(repository.clone(), (Instant::now() + delay, backoff));
}
