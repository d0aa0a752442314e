//! Outcome of a pass, for reports and metrics.

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;

/// Outcome of a pass.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PassOutcome {
    /// Every object, in no particular order.
    pub objects: Vec<ObjectStatus>,
    /// Whether live equals desired now.
    pub sync: SyncState,
    /// The worst of the objects.
    pub health: Health,
    /// Reason why it is not synced.
    pub reason: Option<Reason>,
    /// Message for operators.
    pub message: String,
    /// Whether applications that depend on this one may proceed.
    pub usable: bool,
    /// Objects that are remembered as applied when it ended.
    pub remembered: usize,
    pub written: u32,
    pub pruned: u32,
    /// Number of drifted objects that were corrected.
    pub drifted: u32,
    /// Number of drifted objects that are not corrected: only reported, or contested.
    pub differing: u32,
    /// Objects were prepared for a scope that their kind no longer has: the desired state has to be prepared
    /// again.
    pub outdated: bool,
}
