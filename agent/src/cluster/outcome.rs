//! What a pass found and did, as it is reported and counted.

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;

/// What a pass found and did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PassOutcome {
    /// Every object, in no particular order.
    pub objects: Vec<ObjectStatus>,
    /// Whether live equals desired now.
    pub sync: SyncState,
    /// The worst of the objects.
    pub health: Health,
    /// Why not synced.
    pub reason: Option<Reason>,
    /// For a person.
    pub message: String,
    /// Whether what waits for this application may go on.
    pub usable: bool,
    /// Objects that are remembered as applied when it ended.
    pub remembered: usize,
    pub written: u32,
    pub pruned: u32,
    /// Objects that somebody had changed and that were set right.
    pub drifted: u32,
    /// Objects that somebody changed and that are left so: reported only, or fought over.
    pub differing: u32,
}
