//! What happens to the fleet, and what is to be done about it.

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
use super::merging::Merging;
use super::rollout::{Progress, Rollout};
use crate::enrolment::token::Redeemer;
use crate::spec::{Spec, Specification};

/// One stream of one agent. A later stream of a cluster has a greater id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What is known of a cluster apart from what its agent says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterRecord {
    /// From the token or the person who accepted it; the fleet file wins over it.
    pub environment: Option<EnvironmentName>,
    pub labels: BTreeMap<String, String>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// UID of its namespace kube-system, as told at enrolment.
    pub cluster_uid: String,
    /// SHA-256 of the public key that waits to be accepted; none: accepted.
    pub pending: Option<String>,
    /// End of the newest certificate.
    pub certificate_expires_at: Option<Timestamp>,
    /// Kept on commits by a person.
    pub pin: Option<Pin>,
    /// Asked by a person to write nothing.
    pub suspended: Option<Mark>,
    pub credential: Credential,
    /// The epoch in which a person let it go from what it was held on after a restore.
    pub let_go: Option<Epoch>,
}

/// What an agent opens its stream with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// The assignment it runs on.
    pub accepted: AssignmentRef,
    pub agent_version: String,
    pub instance: String,
    /// The cluster's own identity.
    pub cluster_uid: String,
    /// The API server's version.
    pub kubernetes_version: String,
    /// The counter of the certificate it shows; 0: not known.
    pub counter: u64,
}

/// An assignment as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAssignment {
    /// What was or will be sent.
    pub decoded: Arc<DecodedAssignment>,
}

/// A cluster as it was stored.
#[derive(Debug, Clone)]
pub struct StoredCluster {
    pub name: ClusterName,
    /// Apart from what its agent says.
    pub record: ClusterRecord,
    /// Its last assignment.
    pub assignment: Option<StoredAssignment>,
    /// Its last report.
    pub report: Option<Report>,
    /// Since when it was current, as of that report; none: it was not.
    pub current_since: Option<Timestamp>,
}

/// Who did what, where, why and with which commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// An operator, or [`flotilla_status::HUB_ACTOR`].
    pub actor: String,
    /// What was done.
    pub action: AuditAction,
    /// Where; empty: everywhere.
    pub environment: String,
    /// To which clusters.
    pub clusters: Vec<String>,
    /// With which commit; several are parted by a blank, see [`AuditEntry::commits`].
    pub commit: String,
    pub reason: String,
    /// More, for a person.
    pub detail: String,
    /// Of a rollout's step: which rollout. Only for who hears of the entry while it is written: the log keeps it in
    /// `detail`, and an entry that is read back has none.
    pub rollout: Option<String>,
}

impl AuditEntry {
    /// Commits as an entry names them, parted by a blank.
    pub(super) fn named<'c>(commits: impl Iterator<Item = &'c Commit>) -> String {
        commits.map(Commit::as_str).collect::<Vec<_>>().join(" ")
    }

    /// The commits that it names.
    pub fn commits(&self) -> impl Iterator<Item = &str> {
        self.commit.split_whitespace()
    }
}

/// What the fleet is told.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "events are taken one by one and kept nowhere in numbers"
)]
pub enum Event {
    /// State from the store, at start-up, before any other event.
    Restored {
        heads: Vec<((RepositoryName, BranchName), Head)>,
        /// Clusters with their last assignment and report.
        clusters: Vec<StoredCluster>,
        /// What was decided about environments.
        environments: Vec<(EnvironmentName, EnvironmentState)>,
        /// The last rollout of each environment.
        rollouts: Vec<Rollout>,
        /// The last certificate's number under each name that was given up.
        retired: Vec<(ClusterName, u64)>,
        /// What environments' applications were declared as, by digest.
        specifications: Vec<(Commit, Specification)>,
    },
    /// A Git server says that somebody pushed. Only a hint: what is there is read from the branch.
    Hinted {
        /// To which repository.
        repository: RepositoryName,
        /// When it said so.
        at: Timestamp,
    },
    /// Time went by.
    Tick,
    /// An external check was asked.
    Checked {
        /// For which environment.
        environment: EnvironmentName,
        /// Which check of it.
        check: String,
        /// For which rollout; empty: none ran when it was asked.
        rollout: String,
        /// Whether the answer is good.
        good: bool,
        /// What was answered.
        text: String,
    },
    /// A valid fleet file was read.
    SpecChanged(Arc<Spec>),
    /// Branches of a repository were read; those asked for and not found are not there.
    HeadsRead {
        repository: RepositoryName,
        /// Which branches were asked for.
        asked: Vec<BranchName>,
        /// What was found.
        found: BTreeMap<BranchName, Commit>,
    },
    /// A repository could not be read.
    HeadsFailed {
        repository: RepositoryName,
        /// Which branches were asked for.
        asked: Vec<BranchName>,
        problem: Problem,
    },
    /// The directories of a commit were read.
    TreesRead {
        /// In which repository.
        repository: RepositoryName,
        /// Of which commit.
        commit: Commit,
        directories: Arc<Directories>,
    },
    /// They could not be read: nobody is let through early for it, and nothing is held up.
    TreesFailed {
        /// In which repository.
        repository: RepositoryName,
        problem: Problem,
    },
    /// What a commit says of itself was read.
    HeadingRead {
        /// In which repository.
        repository: RepositoryName,
        commit: Commit,
        heading: Heading,
    },
    /// The forge was asked for the pull request of a promotion.
    MergeLooked {
        /// Into which environment.
        environment: EnvironmentName,
        /// Of which repository.
        repository: RepositoryName,
        /// What it waits for; none: there is nothing to take.
        waits: Option<Box<Merging>>,
    },
    /// A cluster was enrolled, accepted or changed.
    ClusterPut(ClusterName, ClusterRecord),
    /// A certificate was issued to a cluster.
    Issued(ClusterName, IssuedCertificate),
    /// A cluster's identity was shown by somebody who has an old copy of it.
    Cloned(ClusterName, String),
    /// Somebody may not approve in these environments any more.
    Demoted(String, Vec<EnvironmentName>),
    /// A person unlocked a cluster.
    Unlocked(ClusterName),
    /// Another certificate signs from now on (SHA-256 of it).
    AuthorityChanged(String),
    /// A person removed a cluster's record.
    ClusterRemoved(ClusterName),
    /// An agent opened a stream.
    Connected(ClusterName, SessionId, Hello),
    /// A stream ended.
    Disconnected(ClusterName, SessionId),
    /// An agent took or refused an assignment.
    Acked {
        cluster: ClusterName,
        /// On which stream.
        session: SessionId,
        /// What it speaks of.
        assignment: AssignmentRef,
        /// None: accepted; otherwise why not.
        refusal: Option<Problem>,
        /// What it runs on now.
        accepted: AssignmentRef,
    },
    /// An agent's full state.
    Reported(ClusterName, SessionId, Report, Digest),
    /// An agent lives.
    Heartbeat {
        cluster: ClusterName,
        /// On which stream.
        session: SessionId,
        /// What it runs on.
        accepted: AssignmentRef,
        /// The digest of its last report.
        report: Digest,
        /// What its clock says; none: an older agent.
        clock: Option<Timestamp>,
    },
}

/// Something is to be done, in the order of the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Keep a head.
    StoreHead(RepositoryName, BranchName, Head),
    /// Keep a cluster's record.
    StoreCluster(ClusterName, Box<ClusterRecord>),
    /// A token let somebody in.
    RedeemToken(String, Redeemer),
    /// A person revoked a token.
    RevokeToken(String, Timestamp),
    /// Keep the last certificate's number under a name that was given up.
    Retire(ClusterName, u64),
    /// Forget a cluster.
    DeleteCluster(ClusterName),
    /// Keep an assignment; comes before the [`Effect::Send`] of it.
    StoreAssignment(ClusterName, StoredAssignment),
    /// Keep a report, and since when its cluster is current.
    StoreReport(ClusterName, Report, Option<Timestamp>),
    /// Keep what was decided about an environment.
    StoreEnvironment(EnvironmentName, Box<EnvironmentState>),
    /// Keep what an environment's applications are declared as.
    StoreSpecification(Commit, Arc<Specification>),
    DeleteSpecification(Commit),
    /// Keep a rollout, without its clusters.
    StoreRollout(Box<Rollout>),
    /// Keep a cluster's part in a rollout.
    StoreProgress(String, ClusterName, Box<Progress>),
    /// Forget a cluster's part in a rollout.
    DeleteProgress(String, ClusterName),
    /// Add to the audit log.
    Audit(AuditEntry),
    /// A cluster runs its assignment's commits, healthy, so long after they were pushed.
    Measure(EnvironmentName, Duration),
    /// Put an assignment into a stream's slot, over what is there.
    Send(ClusterName, SessionId, Arc<DecodedAssignment>),
    /// Ask for the full report again.
    RequestReport(ClusterName, SessionId),
    /// Put all that a cluster is to run for gates into a stream's slot, over what is there.
    AskJobs(ClusterName, SessionId, Arc<Vec<GateJob>>),
    /// Ask for a renewal of the certificate within so many seconds.
    RequestRenewal(ClusterName, SessionId, u32),
    /// End a stream.
    Close(ClusterName, SessionId, Problem),
}

impl Effect {
    /// Whether it is for the store.
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

/// Orders the effects of a batch: every store first, every send after, and of several sends to one
/// cluster only the newest, since only that is what was stored.
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
