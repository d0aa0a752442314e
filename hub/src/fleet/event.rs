//! What happens to the fleet, and what is to be done about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::revision::{BranchName, Commit};
use flotilla_shared::wire::DecodedAssignment;
use jiff::Timestamp;

use crate::fleet::Head;
use crate::spec::Spec;

/// One stream of one agent. A later stream of a cluster has a greater id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What is known of a cluster apart from what its agent says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterRecord {
    /// From the token or the person who accepted it; the fleet file wins over it.
    pub environment: Option<EnvironmentName>,
    /// Likewise.
    pub labels: BTreeMap<String, String>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// UID of its namespace kube-system, as told at enrolment.
    pub cluster_uid: String,
    /// SHA-256 of the public key that waits to be accepted; none: accepted.
    pub pending: Option<String>,
    /// End of the newest certificate.
    pub certificate_expires_at: Option<Timestamp>,
}

/// What an agent opens its stream with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// The assignment it runs on.
    pub accepted: AssignmentRef,
    /// Its version.
    pub agent_version: String,
    /// Its process.
    pub instance: String,
    /// The cluster's own identity.
    pub cluster_uid: String,
    /// The API server's version.
    pub kubernetes_version: String,
}

/// An assignment as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAssignment {
    /// What was or will be sent.
    pub decoded: Arc<DecodedAssignment>,
}

/// Something happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// State from the store, at start-up, before any other event.
    Restored {
        /// Branch heads.
        heads: Vec<((RepositoryName, BranchName), Head)>,
        /// Clusters with their last assignment and report.
        clusters: Vec<(
            ClusterName,
            ClusterRecord,
            Option<StoredAssignment>,
            Option<Report>,
        )>,
    },
    /// A valid fleet file was read.
    SpecChanged(Arc<Spec>),
    /// Branches of a repository were read; those asked for and not found are not there.
    HeadsRead {
        /// Which repository.
        repository: RepositoryName,
        /// Which branches were asked for.
        asked: Vec<BranchName>,
        /// What was found.
        found: BTreeMap<BranchName, Commit>,
    },
    /// A repository could not be read.
    HeadsFailed {
        /// Which repository.
        repository: RepositoryName,
        /// Which branches were asked for.
        asked: Vec<BranchName>,
        /// Why.
        reason: Reason,
        /// For a person.
        message: String,
    },
    /// A cluster was enrolled, accepted or changed.
    ClusterPut(ClusterName, ClusterRecord),
    /// A person removed a cluster's record.
    ClusterRemoved(ClusterName),
    /// An agent opened a stream.
    Connected(ClusterName, SessionId, Hello),
    /// A stream ended.
    Disconnected(ClusterName, SessionId),
    /// An agent took or refused an assignment.
    Acked {
        /// Who.
        cluster: ClusterName,
        /// On which stream.
        session: SessionId,
        /// What it speaks of.
        assignment: AssignmentRef,
        /// None: accepted; otherwise why not.
        refusal: Option<(Reason, String)>,
        /// What it runs on now.
        accepted: AssignmentRef,
    },
    /// An agent's full state.
    Reported(ClusterName, SessionId, Report, Digest),
    /// An agent lives.
    Heartbeat {
        /// Who.
        cluster: ClusterName,
        /// On which stream.
        session: SessionId,
        /// What it runs on.
        accepted: AssignmentRef,
        /// The digest of its last report.
        report: Digest,
    },
}

/// Something is to be done, in the order of the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Keep a head.
    StoreHead(RepositoryName, BranchName, Head),
    /// Keep a cluster's record.
    StoreCluster(ClusterName, ClusterRecord),
    /// Forget a cluster.
    DeleteCluster(ClusterName),
    /// Keep an assignment; comes before the [`Effect::Send`] of it.
    StoreAssignment(ClusterName, StoredAssignment),
    /// Keep a report.
    StoreReport(ClusterName, Report),
    /// Put an assignment into a stream's slot, over what is there.
    Send(ClusterName, SessionId, Arc<DecodedAssignment>),
    /// Ask for the full report again.
    RequestReport(ClusterName, SessionId),
    /// End a stream.
    Close(ClusterName, SessionId, Reason, String),
}
