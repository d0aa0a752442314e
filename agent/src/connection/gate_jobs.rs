//! Jobs of gates that the hub asks for: one slot, the newest wins. Whether any of them runs is not decided
//! here.

use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_shared::wire::gate_jobs_from_wire;
use tokio::sync::watch;

use crate::reconcile::Asked;

/// Puts what is asked into the slot; what cannot be read changes nothing.
pub(super) fn take(jobs: v1::GateJobs, slot: &watch::Sender<Asked>) {
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
