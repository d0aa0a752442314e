//! One cluster as the hub sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::wire::DecodedAssignment;
use jiff::Timestamp;

use super::event::{ClusterRecord, SessionId};

/// Whether and since when an agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Enrolled, and waits for a person.
    Pending,
    /// Accepted, never connected.
    NeverSeen,
    /// A stream is open and heard from.
    Online {
        /// Since when.
        since: Timestamp,
    },
    /// No stream, or nothing heard for three heartbeats.
    Offline,
}

/// What an agent said of itself when it connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Its version.
    pub agent_version: String,
    /// The API server's version.
    pub kubernetes_version: String,
    /// The cluster's own identity.
    pub cluster_uid: String,
}

/// Why an application that is meant for a cluster is not assigned, or is assigned as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Code.
    pub reason: Reason,
    /// For a person.
    pub message: String,
}

/// An application that is placed on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placed {
    /// None: it is assigned as the spec and heads say.
    pub problem: Option<Problem>,
}

/// Everything the hub knows of one cluster.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Apart from what its agent says.
    pub record: ClusterRecord,
    /// What it should run; none before its first assignment.
    pub assigned: Option<Arc<DecodedAssignment>>,
    /// What its agent runs on.
    pub accepted: AssignmentRef,
    /// Why the agent refused what is assigned, or why nothing can be sent to it.
    pub refusal: Option<(Reason, String)>,
    /// The last full state.
    pub report: Option<Report>,
    /// When that came.
    pub reported_at: Option<Timestamp>,
    /// Applications that are placed here.
    pub placed: BTreeMap<ApplicationName, Placed>,
    /// What its agent said of itself.
    pub facts: Facts,
    /// When anything was heard last.
    pub last_seen: Option<Timestamp>,
    /// The version of its last visible change.
    pub version: u64,
    pub(super) session: Option<(SessionId, Timestamp)>,
    pub(super) report_digest: Digest,
}

impl Cluster {
    /// How its agent is connected; `offline_after` without a word counts as gone.
    #[must_use]
    pub fn connection(&self, now: Timestamp, offline_after: jiff::SignedDuration) -> Connection {
        if self.record.pending.is_some() {
            return Connection::Pending;
        }
        match (self.session, self.last_seen) {
            (Some((_, since)), Some(seen)) if now.duration_since(seen) <= offline_after => {
                Connection::Online { since }
            }
            (_, Some(_)) => Connection::Offline,
            (_, None) => Connection::NeverSeen,
        }
    }

    /// What is assigned, as a reference; the place before all assignments where nothing is.
    #[must_use]
    pub fn assigned_ref(&self) -> AssignmentRef {
        self.assigned
            .as_ref()
            .map(|decoded| decoded.reference)
            .unwrap_or_default()
    }
}
