//! Events of the fleet and their effects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::digest::Digest;
use flotilla_shared::gate_job::GateJob;
use flotilla_shared::heading::Heading;
use flotilla_shared::id::{ClusterName, EnvironmentName, Epoch, RepositoryName};
use flotilla_shared::problem::Problem;
use flotilla_shared::report::Report;
use flotilla_shared::revision::{BranchName, Commit};
use flotilla_shared::source::Directories;
use flotilla_shared::wire::DecodedAssignment;
use flotilla_status::AuditAction;
use jiff::Timestamp;

use super::credential::{Credential, IssuedCertificate};
use super::environment::{EnvironmentState, Mark, Pin};
use super::head::Head;
use super::merging::PendingMerge;
use super::rollout::{Progress, Rollout};
use crate::enrolment::token::Redeemer;
use crate::spec::{Spec, Specification};

/// Id of an agent's stream. A later stream of a cluster has a greater id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Record of a cluster, apart from its agent's reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterRecord {
    /// Environment from the token or the acceptance; the fleet file overrides it.
    pub environment: Option<EnvironmentName>,
    pub labels: BTreeMap<String, String>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// UID of its namespace kube-system, as reported at enrolment.
    pub cluster_uid: String,
    /// SHA-256 of the public key that is waiting to be accepted; none: accepted.
    pub pending: Option<String>,
    /// End of the newest certificate.
    pub certificate_expires_at: Option<Timestamp>,
    /// The pin of the cluster, if any.
    pub pin: Option<Pin>,
    /// The suspension of the cluster, if any.
    pub suspended: Option<Mark>,
    pub credential: Credential,
    /// Epoch in which an operator released it after a restore.
    pub let_go: Option<Epoch>,
}

/// First message of an agent's stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// The assignment that it accepted last.
    pub accepted: AssignmentRef,
    pub agent_version: String,
    pub instance: String,
    /// UID of the namespace kube-system.
    pub cluster_uid: String,
    /// The API server's version.
    pub kubernetes_version: String,
    /// Counter of its certificate; 0: not known.
    pub counter: u64,
}

/// A stored assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAssignment {
    /// The assignment as it is sent.
    pub decoded: Arc<DecodedAssignment>,
}

/// A stored cluster.
#[derive(Debug, Clone)]
pub struct StoredCluster {
    pub name: ClusterName,
    /// Its record, apart from its agent's reports.
    pub record: ClusterRecord,
    /// Its last assignment.
    pub assignment: Option<StoredAssignment>,
    /// Its last report.
    pub report: Option<Report>,
    /// Since when it was current, as of that report; none: it was not.
    pub current_since: Option<Timestamp>,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// An operator, or [`flotilla_status::HUB_ACTOR`].
    pub actor: String,
    /// The action, one of a fixed set of words.
    pub action: AuditAction,
    /// Name of the environment; empty: everywhere.
    pub environment: String,
    /// Names of the affected clusters.
    pub clusters: Vec<String>,
    /// Its commit; several are separated by blanks, see [`AuditEntry::commits`].
    pub commit: String,
    pub reason: String,
    /// Details for operators.
    pub detail: String,
    /// For a rollout's step: id of the rollout. Only for notifications, while the entry is written: the log keeps it in
    /// `detail`, and an entry that is read back has none.
    pub rollout: Option<String>,
}

impl AuditEntry {
    /// Returns commits as an entry names them, separated by blanks.
    pub(super) fn named<'c>(commits: impl Iterator<Item = &'c Commit>) -> String {
        commits.map(Commit::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Returns the commits that it names.
    pub fn commits(&self) -> impl Iterator<Item = &str> {
        self.commit.split_whitespace()
    }
}

/// An event of the fleet.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "events are taken one by one and kept nowhere in numbers"
)]
pub enum Event {
    /// State from the store, at start-up, before any other event.
    Restored {
        heads: Vec<((RepositoryName, BranchName), Head)>,
        /// Clusters, each with its last assignment and report.
        clusters: Vec<StoredCluster>,
        /// Decisions about environments.
        environments: Vec<(EnvironmentName, EnvironmentState)>,
        /// The last rollout of each environment.
        rollouts: Vec<Rollout>,
        /// The last certificate number of each released name.
        retired: Vec<(ClusterName, u64)>,
        /// Specifications, by digest.
        specifications: Vec<(Commit, Specification)>,
    },
    /// A Git server announced a push. Only a hint: the branch is read.
    Hinted {
        /// The repository's name.
        repository: RepositoryName,
        /// When it was announced.
        at: Timestamp,
    },
    /// Time passed.
    Tick,
    /// An external check was run.
    Checked {
        /// The environment's name.
        environment: EnvironmentName,
        /// Name of the check.
        check: String,
        /// Id of the rollout; empty: none ran when it was asked.
        rollout: String,
        /// Whether it passed.
        good: bool,
        /// The answer, as a message for operators.
        text: String,
    },
    /// A valid fleet file was read.
    SpecChanged(Arc<Spec>),
    /// Branches of a repository were read; those asked for and not found do not exist.
    HeadsRead {
        repository: RepositoryName,
        /// The branches that were asked for.
        asked: Vec<BranchName>,
        /// The heads that were found.
        found: BTreeMap<BranchName, Commit>,
    },
    /// A repository could not be read.
    HeadsFailed {
        repository: RepositoryName,
        /// The branches that were asked for.
        asked: Vec<BranchName>,
        problem: Problem,
    },
    /// The directories of a commit were read.
    TreesRead {
        /// The repository's name.
        repository: RepositoryName,
        /// The commit.
        commit: Commit,
        directories: Arc<Directories>,
    },
    /// The directories of a commit could not be read: no cluster is updated early, and nothing is delayed.
    TreesFailed {
        /// The repository's name.
        repository: RepositoryName,
        problem: Problem,
    },
    /// Subject and author of a commit were read.
    HeadingRead {
        /// The repository's name.
        repository: RepositoryName,
        commit: Commit,
        heading: Heading,
    },
    /// The pull request of a promotion was looked up at the forge.
    MergeLooked {
        /// The environment's name.
        environment: EnvironmentName,
        /// The repository's name.
        repository: RepositoryName,
        /// What it waits for; none: there is nothing to merge.
        waits: Option<Box<PendingMerge>>,
    },
    /// A cluster was enrolled, accepted or changed.
    ClusterPut(ClusterName, ClusterRecord),
    /// A certificate was issued to a cluster.
    Issued(ClusterName, IssuedCertificate),
    /// A cluster's identity was presented from an old copy of it.
    Cloned(ClusterName, String),
    /// A person may no longer approve in these environments.
    Demoted(String, Vec<EnvironmentName>),
    /// An operator unlocked a cluster.
    Unlocked(ClusterName),
    /// The signing certificate changed (SHA-256 of the new one).
    AuthorityChanged(String),
    /// An operator removed a cluster's record.
    ClusterRemoved(ClusterName),
    /// An agent opened a stream.
    Connected(ClusterName, SessionId, Hello),
    /// A stream ended.
    Disconnected(ClusterName, SessionId),
    /// An agent accepted or refused an assignment.
    Acked {
        cluster: ClusterName,
        /// The stream.
        session: SessionId,
        /// The assignment that it answers.
        assignment: AssignmentRef,
        /// Why it refused; none: accepted.
        refusal: Option<Problem>,
        /// The assignment that it has accepted last.
        accepted: AssignmentRef,
    },
    /// An agent reported its full state.
    Reported(ClusterName, SessionId, Report, Digest),
    /// A heartbeat of an agent.
    Heartbeat {
        cluster: ClusterName,
        /// The stream.
        session: SessionId,
        /// The assignment that it has accepted last.
        accepted: AssignmentRef,
        /// Digest of its last report.
        report: Digest,
        /// Its clock; none: an older agent.
        clock: Option<Timestamp>,
    },
}

/// An effect; effects are executed in the order of the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Store a head.
    StoreHead(RepositoryName, BranchName, Head),
    /// Store a cluster's record.
    StoreCluster(ClusterName, Box<ClusterRecord>),
    /// Mark a token as used.
    RedeemToken(String, Redeemer),
    /// Mark a token as revoked.
    RevokeToken(String, Timestamp),
    /// Store the last certificate number of a released name.
    Retire(ClusterName, u64),
    /// Delete a cluster.
    DeleteCluster(ClusterName),
    /// Store an assignment; comes before the [`Effect::Send`] of it.
    StoreAssignment(ClusterName, StoredAssignment),
    /// Store a report, and since when its cluster is current.
    StoreReport(ClusterName, Report, Option<Timestamp>),
    /// Store the decisions about an environment.
    StoreEnvironment(EnvironmentName, Box<EnvironmentState>),
    /// Store a specification.
    StoreSpecification(Commit, Arc<Specification>),
    DeleteSpecification(Commit),
    /// Store a rollout, without its clusters.
    StoreRollout(Box<Rollout>),
    /// Store the progress of a cluster in a rollout.
    StoreProgress(String, ClusterName, Box<Progress>),
    /// Delete the progress of a cluster in a rollout.
    DeleteProgress(String, ClusterName),
    /// Add to the audit log.
    Audit(AuditEntry),
    /// Measure the time from the push of an assignment's commits until a cluster runs them, healthy.
    Measure(EnvironmentName, Duration),
    /// Put an assignment into a stream's slot, replacing what is there.
    Send(ClusterName, SessionId, Arc<DecodedAssignment>),
    /// Request the full report.
    RequestReport(ClusterName, SessionId),
    /// Put all gate Jobs of a cluster into a stream's slot, replacing what is there.
    AskJobs(ClusterName, SessionId, Arc<Vec<GateJob>>),
    /// Request a renewal of the certificate within a number of seconds.
    RequestRenewal(ClusterName, SessionId, u32),
    /// End a stream.
    Close(ClusterName, SessionId, Problem),
}

impl Effect {
    /// Returns whether it is executed by the store.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        !matches!(
            self,
            Self::Send(..)
                | Self::RequestReport(..)
                | Self::AskJobs(..)
                | Self::RequestRenewal(..)
                | Self::Close(..)
        )
    }
}

/// Orders the effects of a batch: first all stores, then all sends; of several sends to one cluster only the newest
/// remains, since only that was stored.
pub fn order_effects(effects: &mut Vec<Effect>) {
    let mut newest = BTreeMap::new();
    for effect in effects.iter() {
        if let Effect::Send(name, _, decoded) = effect {
            newest.insert(name.clone(), decoded.reference);
        }
    }
    effects.retain(|effect| match effect {
        Effect::Send(name, _, decoded) => newest.get(name) == Some(&decoded.reference),
        _ => true,
    });
    effects.sort_by_key(|effect| !effect.is_stored());
}
