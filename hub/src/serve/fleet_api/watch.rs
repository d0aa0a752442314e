//! One watcher's stream.

use flotilla_proto::v1;
use flotilla_shared::id::ClusterName;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tonic::Status;

use super::super::Context;
use crate::status::{self, Filter};

/// Sends what changed since the last round, newest state only: a slow watcher sees fewer rounds, not
/// a longer queue.
pub(super) async fn run(
    context: &Context,
    filter: Filter,
    summary: bool,
    sender: &mpsc::Sender<Result<v1::WatchResponse, Status>>,
) -> Result<(), Status> {
    use v1::watch_response::Event as Change;
    let mut version = context.handle.version();
    let mut seen = 0u64;
    let mut shown = std::collections::BTreeSet::<ClusterName>::new();
    let mut first = true;
    let gone = |_| Status::cancelled("the watcher is gone");
    loop {
        version.borrow_and_update();
        let (filter, before) = (filter.clone(), shown.clone());
        let (changes, now_shown, at) = context
            .handle
            .query(move |fleet| {
                let now = Timestamp::now();
                let mut changes = Vec::new();
                if fleet.environments_version() > seen || seen == 0 {
                    let all = status::environments(fleet, now);
                    changes.extend(all.into_iter().map(Change::Environment));
                }
                let mut shown = std::collections::BTreeSet::new();
                for (name, cluster) in fleet.clusters() {
                    if !filter.matches(fleet, name, now) {
                        continue;
                    }
                    shown.insert(name.clone());
                    if (cluster.version > seen || !before.contains(name))
                        && let Some(status) = status::cluster(fleet, name, now, summary)
                    {
                        changes.push(Change::Cluster(status));
                    }
                }
                for name in before.difference(&shown) {
                    changes.push(Change::ClusterRemoved(name.to_string()));
                }
                (changes, shown, fleet.version())
            })
            .await?;
        seen = at;
        shown = now_shown;
        for event in changes {
            sender
                .send(Ok(v1::WatchResponse { event: Some(event) }))
                .await
                .map_err(gone)?;
        }
        if std::mem::take(&mut first) {
            let event = Some(Change::Bookmark(true));
            sender
                .send(Ok(v1::WatchResponse { event }))
                .await
                .map_err(gone)?;
        }
        tokio::select! {
            changed = version.changed() => changed.map_err(|_| Status::unavailable("stopping"))?,
            () = sender.closed() => return Ok(()),
            () = context.stop.cancelled() => return Ok(()),
        }
    }
}
