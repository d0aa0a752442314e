//! The stream of a watcher.

use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_server::FleetService;
use flotilla_proto::v1::watch_response::Event as Change;
use flotilla_shared::id::ClusterName;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::super::Context;
use super::super::access::Need;
use super::Operators;
use crate::status::{self, Detail, Filter};

pub(super) async fn watch(
    api: &Operators,
    request: Request<v1::WatchRequest>,
) -> Result<Response<<Operators as FleetService>::WatchStream>, Status> {
    api.allow(&request, Need::See)?;
    let request = request.into_inner();
    let filter = super::filter(request.filter)?;
    // A cluster may be watched before it exists.
    let (filter, unknown) = api
        .ask(move |fleet, _| {
            let unknown = filter.unknown_place(fleet);
            (filter, unknown)
        })
        .await?;
    if let Some(unknown) = unknown {
        return Err(Status::not_found(unknown));
    }
    let detail = match request.summary {
        true => Detail::Summary,
        false => Detail::Full,
    };
    let (sender, receiver) = mpsc::channel(16);
    let context = Arc::clone(&api.0);
    tokio::spawn(async move {
        // Ends when the client disconnects or the hub stops; neither is an error.
        let _ = run(&context, filter, detail, &sender).await;
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
}

/// Changes for a watcher.
#[derive(Default)]
struct WatchUpdate {
    environments: Vec<flotilla_status::Environment>,
    clusters: Vec<flotilla_status::Cluster>,
    /// Clusters that no longer exist, or no longer match.
    gone: Vec<ClusterName>,
}

impl WatchUpdate {
    /// Returns the changes for the wire, in the order in which they are sent.
    fn events(self) -> impl Iterator<Item = Change> {
        let environments = self.environments.into_iter();
        let environments = environments.map(|environment| Change::Environment(environment.into()));
        let clusters = self.clusters.into_iter();
        let clusters = clusters.map(|cluster| Change::Cluster(cluster.into()));
        let gone = self.gone.into_iter();
        let gone = gone.map(|name| Change::ClusterRemoved(name.to_string()));
        environments.chain(clusters).chain(gone)
    }
}

/// Sends what changed since the last round, newest state only: a slow watcher sees fewer rounds, not
/// a longer queue.
pub(super) async fn run(
    context: &Context,
    filter: Filter,
    detail: Detail,
    sender: &mpsc::Sender<Result<v1::WatchResponse, Status>>,
) -> Result<(), Status> {
    let mut version = context.handle.version();
    let mut seen = 0u64;
    let mut shown = std::collections::BTreeSet::<ClusterName>::new();
    let mut first = true;
    let gone = |_| Status::cancelled("the client closed the stream");
    loop {
        version.borrow_and_update();
        let (filter, before) = (filter.clone(), shown.clone());
        let (news, now_shown, at) = context
            .handle
            .query(move |fleet| {
                let now = Timestamp::now();
                let mut news = WatchUpdate::default();
                if fleet.environments_version() > seen || seen == 0 {
                    news.environments = status::environments(fleet, now);
                }
                let mut shown = std::collections::BTreeSet::new();
                for (name, cluster) in fleet.clusters() {
                    if !filter.matches(fleet, name, now) {
                        continue;
                    }
                    shown.insert(name.clone());
                    if (cluster.version > seen || !before.contains(name))
                        && let Some(status) = status::cluster(fleet, name, now, detail)
                    {
                        news.clusters.push(status);
                    }
                }
                news.gone = before.difference(&shown).cloned().collect();
                (news, shown, fleet.version())
            })
            .await?;
        seen = at;
        shown = now_shown;
        for event in news.events() {
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
