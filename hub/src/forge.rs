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
        let wanted = handle.query(move |fleet| desired(fleet, &link)).await;
        let Ok(wanted) = wanted else { return };
        let now = Timestamp::now();
        for (key, status) in due(&known, &wanted, now) {
            let waits_still = |(at, _): &(Instant, Backoff)| *at > Instant::now();
            if waits.get(&key.repository).is_some_and(waits_still) {
                continue;
            }
            let url = handle
                .query({
                    let name = key.repository.clone();
                    move |fleet| {
                        fleet
                            .spec()
                            .repositories
                            .get(&name)
                            .map(|one| one.url.clone())
                    }
                })
                .await;
            let Ok(url) = url else { return };
            let Some(entry) = url.and_then(|url| forges.of(&key.repository, &url)) else {
                continue;
            };
            let told = tokio::select! {
                told = sender.status(&entry, &key.commit, &status.status) => told,
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
