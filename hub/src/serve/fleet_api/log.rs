//! The audit log on the wire.

use flotilla_proto::v1;
use flotilla_shared::wire::timestamp_to_wire;
use tokio::sync::mpsc;
use tonic::Status;

use crate::serve::{Context, store_error};
use crate::store::AuditRow;

/// Entries sent at once.
const PAGE: i64 = 200;

pub(super) fn to_wire(row: AuditRow) -> v1::AuditEntry {
    v1::AuditEntry {
        seq: u64::try_from(row.seq).unwrap_or_default(),
        at: Some(timestamp_to_wire(row.entry.at)),
        actor: row.entry.actor,
        action: row.entry.action,
        environment: row.entry.environment,
        clusters: row.entry.clusters,
        commit: row.entry.commit,
        reason: row.entry.reason,
        detail: row.entry.detail,
        hash: row.hash,
    }
}

/// Sends the newest entries, then each further one.
pub(super) async fn follow(
    context: &Context,
    request: v1::FollowAuditRequest,
    sender: &mpsc::Sender<Result<v1::AuditEntry, Status>>,
) -> Result<(), Status> {
    let mut version = context.handle.version();
    let newest = i64::from(request.newest.clamp(1, 1000));
    let rows = context
        .store
        .audit_newest(&request.environment, newest)
        .await;
    let mut rows = rows.map_err(|error| store_error(&error))?;
    let mut seq = rows.last().map_or(0, |row| row.seq);
    if request.newest == 0 {
        rows.clear();
    }
    loop {
        version.borrow_and_update();
        for row in rows.drain(..) {
            seq = row.seq;
            let entry = Ok(to_wire(row));
            sender
                .send(entry)
                .await
                .map_err(|_| Status::cancelled("the watcher is gone"))?;
        }
        // What is written to the store directly changes no version, so time wakes us too.
        tokio::select! {
            changed = version.changed() => changed.map_err(|_| Status::unavailable("stopping"))?,
            () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
            () = sender.closed() => return Ok(()),
            () = context.stop.cancelled() => return Ok(()),
        }
        let more = context
            .store
            .audit_after(seq, &request.environment, PAGE)
            .await;
        rows = more.map_err(|error| store_error(&error))?;
    }
}
