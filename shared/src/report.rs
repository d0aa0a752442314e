//! An agent's report about its cluster.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::assignment::AssignmentRef;
use crate::digest::Digest;
use crate::gate_job::GateJobReport;
use crate::health::{Health, SyncState};
use crate::id::ApplicationName;
use crate::object::{Action, ObjectNames, ObjectRef};
use crate::reason::Reason;
use crate::revision::{Commit, Revision};
use crate::source::SourcePaths;
use crate::words::numberless;

/// Maximum number of objects of one application in a report; the counts cover all.
pub const MAX_OBJECTS_SHOWN: usize = 200;

/// Longest message, in bytes; longer ones are cut at a character's border.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// Longest of an object's names, bytes, as Kubernetes has it.
const MAX_NAME_BYTES: usize = 253;

/// Text of an agent that the hub suspended. A restored hub recognises by it a suspension that its store lacks.
pub const SUSPENDED_BY_HUB: &str = "suspended at the hub";

/// Full state of one cluster. The newest report replaces all earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Grows with each report of one agent instance.
    pub sequence: u64,
    /// The assignment that this state belongs to.
    pub assignment: AssignmentRef,
    /// Time of the report, by the agent's clock.
    pub observed_at: Timestamp,
    /// Applications by name; boxed, since a map makes room for eleven values and most clusters have few.
    pub applications: BTreeMap<ApplicationName, Box<ApplicationReport>>,
    /// A local freeze in the owner's words, or [`SUSPENDED_BY_HUB`]; empty: neither.
    pub suspended: String,
    /// State of each gate Job that the hub asked for.
    pub gate_jobs: Vec<GateJobReport>,
    /// Digest of the applications as assigned, apart from commits, see [`crate::wire::specified`]; none: an older agent
    /// does not report it.
    pub specified: Digest,
}

/// State of one application in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApplicationReport {
    /// The last revision that was rendered and applied in full; none: nothing yet.
    pub revision: Option<Revision>,
    /// Whether it is in sync with Git.
    pub sync: SyncState,
    /// The worst health of its objects.
    pub health: Health,
    /// Reason why it is not Synced or not Current.
    pub reason: Option<Reason>,
    /// Message for operators, one line.
    pub message: String,
    /// Number of objects by health.
    pub counts: ObjectCounts,
    /// The objects worth showing, worst first, at most [`MAX_OBJECTS_SHOWN`].
    pub objects: Vec<ObjectStatus>,
    /// End of the last reconcile pass that applied `revision` in full.
    pub applied_at: Option<Timestamp>,
    /// When sync or health last changed.
    pub changed_at: Option<Timestamp>,
    /// The branch's tip as the agent itself last saw it.
    pub observed_tip: Option<Commit>,
    /// Objects written in the last reconcile pass.
    pub written: u32,
    /// Objects deleted in the last reconcile pass.
    pub pruned: u32,
    /// Digest of the files that the render read; equal digests mean an equal render.
    pub source_digest: Digest,
    /// The directories that determine what the render read, in the commit that `source_digest` is of.
    pub source_paths: SourcePaths,
    /// The commit that the last reconcile pass worked on, whether or not all of it could be applied.
    pub attempted: Option<Commit>,
}

impl ApplicationReport {
    /// Whether it is Synced and Current.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.sync == SyncState::Synced && self.health == Health::Current
    }
}

/// Number of objects by health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectCounts {
    /// Number of all objects.
    pub total: u32,
    /// Objects that are [`Health::Current`].
    pub current: u32,
    /// Objects that are [`Health::Suspended`].
    pub suspended: u32,
    /// Objects that are [`Health::InProgress`].
    pub in_progress: u32,
    /// Objects that are [`Health::Failed`].
    pub failed: u32,
    /// Objects that are [`Health::Terminating`].
    pub terminating: u32,
    /// Objects that are [`Health::NotFound`].
    pub not_found: u32,
    /// Objects that are [`Health::Unknown`].
    pub unknown: u32,
}

impl ObjectCounts {
    /// Counts one more object.
    pub fn add(&mut self, health: Health) {
        self.total += 1;
        *match health {
            Health::Current => &mut self.current,
            Health::Suspended => &mut self.suspended,
            Health::InProgress => &mut self.in_progress,
            Health::Failed => &mut self.failed,
            Health::Terminating => &mut self.terminating,
            Health::NotFound => &mut self.not_found,
            Health::Unknown => &mut self.unknown,
        } += 1;
    }
}

/// One object's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStatus {
    /// `Deployment.apps web/frontend`, of whichever version.
    pub object: ObjectRef,
    /// The last action on it.
    pub action: Action,
    /// Health of the object.
    pub health: Health,
    /// Reason, where there is one.
    pub reason: Option<Reason>,
    /// Message for operators, one line; never a value from a Secret.
    pub message: String,
}

/// Cuts `text` to at most `limit` bytes at a character's border and replaces control characters (terminal escapes among
/// them), so that it can be shown anywhere. The numbers of system errors are left out.
#[must_use]
pub fn plain_line(text: &str, limit: usize) -> String {
    let text = &*numberless(text);
    let mut line = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > limit {
            break;
        }
        line.push(c);
    }
    line
}

/// Returns the object of a group, a kind, a namespace and a name from outside, each cut to the length that Kubernetes
/// allows, so that it can be shown anywhere.
#[must_use]
pub fn plain_object(names: [&str; 4]) -> ObjectRef {
    let [group, kind, namespace, name] = names.map(|text| plain_line(text, MAX_NAME_BYTES));
    ObjectRef::from(ObjectNames {
        group,
        kind,
        namespace,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h11_text_is_cut_and_stripped_of_escapes() {
        assert_eq!(plain_line("a\u{1b}[31mred\n", 100), "a [31mred ");
        assert_eq!(plain_line(&"ä".repeat(10), 5), "ää");
        assert_eq!(plain_line("a: full (os error 28)\tb", 9), "a: full b");
    }
}
