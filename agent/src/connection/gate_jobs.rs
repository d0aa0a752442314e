//! Jobs of gates that the hub requests: one slot, the newest wins. Whether any of them runs is not decided
//! here.

use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_shared::wire::gate_jobs_from_wire;
use tokio::sync::watch;

use crate::reconcile::RequestedJobs;

/// Puts the requested Jobs into the slot; an unreadable message changes nothing.
pub(super) fn take(jobs: v1::GateJobs, slot: &watch::Sender<RequestedJobs>) {
    match gate_jobs_from_wire(jobs) {
        Ok(jobs) => {
            slot.send_if_modified(|current| {
                let is_new = **current != jobs;
                if is_new {
                    *current = Arc::new(jobs);
                }
                is_new
            });
        }
        Err(error) => {
            tracing::warn!(%error, "cannot decode the hub's gate Jobs; none is started");
        }
    }
}
