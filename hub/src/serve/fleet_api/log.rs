//! The audit log on the wire.

use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_server::FleetService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::super::access::Need;
use super::Operators;
use crate::serve::{Context, store_error};
use crate::store::AuditRow;

/// Highest number of entries of one answer; the caller sees by their numbers whether there are more.
const MAX_ENTRIES: u32 = 1000;
/// Entries that are sent at a time.
const PAGE: i64 = 200;

pub(super) async fn list_audit(
    api: &Operators,
    request: Request<v1::ListAuditRequest>,
) -> Result<Response<v1::ListAuditResponse>, Status> {
    api.allow(&request, Need::See)?;
    let request = request.into_inner();
    let limit = match request.limit {
        0 => 50,
        limit => i64::from(limit.min(MAX_ENTRIES)),
    };
    let rows = match i64::try_from(request.after).unwrap_or(i64::MAX) {
        0 => api.0.store.audit_newest(&request.environment, limit).await,
        after => {
            api.0
                .store
                .audit_after(after, &request.environment, limit)
                .await
        }
    };
    let rows = rows.map_err(|error| store_error(&error))?;
    if rows.is_empty() {
        api.known_environment(&request.environment).await?;
    }
    let entries = rows.into_iter().map(|row| shown(row).into()).collect();
    Ok(Response::new(v1::ListAuditResponse { entries }))
}

pub(super) async fn follow_audit(
    api: &Operators,
    request: Request<v1::FollowAuditRequest>,
) -> Result<Response<<Operators as FleetService>::FollowAuditStream>, Status> {
    api.allow(&request, Need::See)?;
    let request = request.into_inner();
    api.known_environment(&request.environment).await?;
    let (sender, receiver) = mpsc::channel(16);
    let context = Arc::clone(&api.0);
    tokio::spawn(async move {
        if let Err(status) = follow(&context, request, &sender).await {
            let _ = sender.try_send(Err(status));
        }
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
}

pub(super) async fn verify_audit(
    api: &Operators,
    request: Request<v1::VerifyAuditRequest>,
) -> Result<Response<v1::VerifyAuditResponse>, Status> {
    api.allow(&request, Need::See)?;
    let verified = api.0.store.verify_audit().await;
    let response = match verified.map_err(|error| store_error(&error))? {
        Ok((entries, last_hash)) => v1::VerifyAuditResponse {
            entries: u64::try_from(entries).unwrap_or_default(),
            last_hash,
            broken: String::new(),
        },
        Err(broken) => v1::VerifyAuditResponse {
            entries: u64::try_from(broken.seq - 1).unwrap_or_default(),
            last_hash: String::new(),
            broken: broken.to_string(),
        },
    };
    Ok(Response::new(response))
}

/// Converts it for operators.
fn shown(row: AuditRow) -> flotilla_status::Entry {
    flotilla_status::Entry {
        seq: u64::try_from(row.seq).unwrap_or_default(),
        at: Some(row.entry.at),
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
            let entry = Ok(shown(row).into());
            sender
                .send(entry)
                .await
                .map_err(|_| Status::cancelled("the client closed the stream"))?;
        }
        // Entries that are written to the store directly change no version, so the log is also read after a time.
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
