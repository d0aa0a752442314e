//! Keeps the mirror up to date: one stream of changes from the hub, opened again when it ends.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::watch_response::Event;
use flotilla_shared::backoff::Backoff;
use flotilla_status::{Cluster, Environment, Hub};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Api;
use crate::mirror::{Change, Mirror};

/// Shortest time between two updates of readers.
const TELL: Duration = Duration::from_secs(1);
/// Interval at which the caller's rights and the errors of the fleet file are queried.
const ASK: Duration = Duration::from_secs(15);

/// The data that pages are drawn from.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Environments and clusters, stale since [`Mirror::lost`].
    pub mirror: Mirror,
    /// The hub's answer about itself and the rights of the following caller.
    pub hub: Arc<Hub>,
}

/// Follows a hub until no reader is left.
pub async fn follow(api: Api, seen: watch::Sender<Arc<Snapshot>>) {
    let current = Arc::new(Mutex::new(seen.borrow().mirror.clone()));
    let hub = Arc::new(Mutex::new(Arc::clone(&seen.borrow().hub)));
    let tell = {
        let (current, hub) = (Arc::clone(&current), Arc::clone(&hub));
        async move {
            let mut told = u64::MAX;
            let mut pace = tokio::time::interval(TELL);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !seen.is_closed() {
                pace.tick().await;
                let mirror = current.lock().clone();
                let hub = Arc::clone(&hub.lock());
                if mirror.revision != told || seen.borrow().hub != hub {
                    told = mirror.revision;
                    seen.send_replace(Arc::new(Snapshot { mirror, hub }));
                }
            }
        }
    };
    let listen = async {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            if let Err(error) = listen(&api, &current, &mut backoff).await {
                tracing::info!(error = %error.message(), "no answer from the hub; trying again");
            }
            current.lock().apply(Change::Lost, Timestamp::now());
            let delay = backoff.next_delay(&mut rand::rng());
            tokio::time::sleep(delay).await;
        }
    };
    let ask = async {
        loop {
            tokio::time::sleep(ASK).await;
            if let Ok(answer) = crate::ask::hub(&api).await {
                *hub.lock() = Arc::new(answer);
            }
        }
    };
    tokio::select! {
        () = tell => {}
        () = listen => {}
        () = ask => {}
    }
}

async fn listen(
    api: &Api,
    current: &Mutex<Mirror>,
    backoff: &mut Backoff,
) -> Result<(), tonic::Status> {
    let request = v1::WatchRequest {
        filter: None,
        summary: true,
    };
    let mut stream = api.clone().watch(request).await?.into_inner();
    current.lock().apply(Change::Began, Timestamp::now());
    // A quiet fleet sends nothing; pings of the connection detect an unreachable hub.
    while let Some(word) = stream.message().await? {
        let change = match word.event {
            Some(Event::Environment(environment)) => {
                Change::Environment(Box::new(Environment::from(&environment)))
            }
            Some(Event::Cluster(cluster)) => Change::Cluster(Box::new(Cluster::from(&cluster))),
            Some(Event::ClusterRemoved(name)) => Change::Removed(flotilla_status::text(&name)),
            Some(Event::Bookmark(_)) => {
                backoff.reset();
                Change::Complete
            }
            None => continue,
        };
        current.lock().apply(change, Timestamp::now());
    }
    Ok(())
}
