//! The bounded set of reason codes in conditions, metric labels and the CLI. Every refusal is visible through
//! one of these.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Why something was refused, held, skipped or failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])* $name,)*
            /// A reason of a newer program that this version does not know.
            Other,
        }

        impl Reason {
            /// Every reason, for tests and documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)* Self::Other];

            /// The CamelCase code, stable across versions.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Other => "Other",
                }
            }

            /// What the code means, for operators: the text of its documentation.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*).trim_ascii_start(),)*
                    Self::Other => "A reason of a newer program that this version does not know.",
                }
            }
        }

        impl FromStr for Reason {
            type Err = std::convert::Infallible;

            /// Never fails: an unknown code is [`Reason::Other`].
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(match text {
                    $(stringify!($name) => Self::$name,)*
                    _ => Self::Other,
                })
            }
        }
    };
}

reasons! {
    // --- an assignment as a whole
    /// Epoch or generation is lower than that of the accepted assignment.
    StaleAssignment,
    /// The epoch is far beyond the accepted one.
    EpochJump,
    /// Same generation as the accepted assignment, but another digest.
    ConflictingAssignment,
    /// The digest does not match the content.
    DigestMismatch,
    /// The content is malformed or over a limit.
    MalformedAssignment,
    /// The assignment names another cluster.
    WrongCluster,
    /// The cluster's identity is used twice; an operator must look.
    IdentityInUse,
    /// The assignment needs an ability that this agent does not have; upgrade the agent.
    UpgradeRequired,
    /// The agent could not store the assignment, so it does not act on it.
    LedgerUnavailable,
    // --- local policy
    /// The agent's policy does not allow this repository URL.
    RepositoryNotAllowed,
    /// The agent's policy does not allow this branch.
    BranchNotAllowed,
    /// The agent's policy does not allow this path.
    PathNotAllowed,
    /// The agent's policy does not allow this kind.
    KindNotAllowed,
    /// The agent's policy does not allow this namespace.
    NamespaceNotAllowed,
    /// The agent's policy allows no gate's Job from that path, or none at all.
    GateJobNotAllowed,
    /// The agent's policy file was changed to one with a mistake; the previous policy stays in force.
    PolicyUnusable,
    /// The object belongs to the agent's own installation.
    ProtectedObject,
    /// The cluster's own operators stopped all writes.
    Frozen,
    /// An operator suspended the cluster at the hub.
    SuspendedByHub,
    // --- Git
    /// The repository could not be reached.
    RepositoryUnavailable,
    /// The Git server rejected the credentials, or requires some.
    AuthenticationFailed,
    /// The SSH server's host key is not the pinned one.
    HostKeyRefused,
    /// No repository exists at the URL.
    RepositoryNotFound,
    /// The branch does not exist.
    BranchNotFound,
    /// The commit does not exist in the repository.
    CommitNotFound,
    /// The commit is not on the branch, as the agent itself read it.
    CommitNotOnBranch,
    /// The commit does not descend from the running one.
    NotADescendant,
    /// The branch has been ahead of the assignment for too long.
    BranchAhead,
    /// The commit, or one between it and the last accepted one, is not signed.
    SignatureMissing,
    /// A signature is malformed, or was made over other content.
    SignatureInvalid,
    /// The signature's key is not in the agent's policy.
    SignatureKeyUnknown,
    /// The agent first saw the commit outside the validity of its key.
    SignatureKeyExpired,
    /// The agent's policy marks the signature's key as revoked.
    SignatureKeyRevoked,
    /// No rule of the agent's policy says how commits of this branch must be signed.
    SignatureRuleMissing,
    /// A signed approval to go back in history is not valid here.
    ApprovalRefused,
    /// The agent went back in history, as its policy allows, or could not find out whether it did.
    WentBack,
    /// The repository uses another object format than SHA-1.
    ObjectFormatUnsupported,
    /// The Git server does not offer filtered fetches.
    FilterUnsupported,
    /// A pack or object is damaged.
    CorruptRepository,
    /// A limit of bytes, objects, files or time was exceeded.
    LimitExceeded,
    // --- rendering
    /// The path does not exist in the commit.
    PathNotFound,
    /// A file is not valid YAML.
    MalformedYaml,
    /// A document is not a Kubernetes object.
    NotAManifest,
    /// Two documents describe the same object.
    DuplicateObject,
    /// The commit renders to nothing, but the application has objects.
    EmptyRender,
    /// The reader does not know this key.
    UnknownField,
    /// A remote base or URL is not supported.
    RemoteReference,
    /// Running a program while rendering is not supported.
    ExecRefused,
    /// This feature of Helm is not supported.
    HelmRefused,
    /// The chart may not do what its author expects; it is rendered all the same.
    ChartWarning,
    /// Agents do not run this kind of chart hook.
    HookNotRun,
    /// A reference cycle.
    Cycle,
    /// A reference leads outside the allowed root.
    OutsideRoot,
    /// A symbolic link leads out of the tree, or loops.
    SymlinkRefused,
    /// The path contains a Git submodule.
    Submodule,
    /// The file is a Git LFS pointer, not the content.
    LfsPointer,
    /// A file is over the size limit.
    FileTooLarge,
    /// The render failed for another reason; see the message.
    RenderFailed,
    /// A SOPS file cannot be decrypted, or was changed.
    DecryptionFailed,
    /// A manifest uses a cluster fact that does not exist.
    SubstitutionFailed,
    // --- cluster
    /// The API server does not serve this kind.
    UnknownKind,
    /// The API server could not be reached.
    ClusterUnavailable,
    /// Discovery was incomplete, so that nothing is pruned in this pass.
    PartialDiscovery,
    /// The API server refused the request because the agent lacks rights.
    Forbidden,
    /// The API server rejected the object as invalid.
    Invalid,
    /// The commit changes an immutable field.
    ImmutableField,
    /// Another manager owns a field.
    Conflict,
    /// Another application owns the object.
    OwnedByAnotherApplication,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The namespace does not exist.
    NamespaceNotFound,
    /// An admission webhook or policy denied the write.
    AdmissionDenied,
    /// An admission webhook of the cluster could not be reached, so that the API server rejected the write.
    WebhookUnavailable,
    /// The API server does not accept the agent's credentials.
    Unauthorized,
    /// Another client wrote the object at the same time; the agent reads it again.
    ChangedMeanwhile,
    /// A quota is exceeded.
    QuotaExceeded,
    /// The object is too large for the API server.
    ObjectTooLarge,
    /// The API server asks the agent to send fewer requests.
    Throttled,
    /// The pod that wanted to write is no longer the leader.
    NotLeader,
    /// The write failed for another reason; see the message.
    ApplyFailed,
    // --- deleting
    /// The deletes exceed the budget.
    DeleteBudget,
    /// Objects of this kind are deleted only after a confirmation in the cluster.
    ProtectedKind,
    /// The object says `flotilla.dev/prune: disabled`.
    PruneDisabled,
    /// The object says `flotilla.dev/prune: confirm`.
    ConfirmationRequired,
    /// The live object is not the one that was applied.
    NotOurs,
    /// The delete waits for another program's finalizer.
    WaitingForFinalizer,
    /// The inventory could not be read or trusted, or what another application wants is not known yet. Nothing is
    /// deleted meanwhile.
    InventoryUnavailable,
    /// Something other than the agent changed the inventory.
    InventoryChanged,
    // --- waiting, health and drift
    /// An application on which this one depends is not healthy yet, or has not taken over an object yet.
    DependencyNotReady,
    /// The objects did not become healthy in time.
    HealthTimeout,
    /// An object is unhealthy.
    Unhealthy,
    /// Live state differs from Git, and the drift mode is `report`.
    Drifted,
    /// Another writer changes the same fields repeatedly.
    Contested,
    /// A hook failed, or exceeded its deadline.
    HookFailed,
    /// The application is no longer assigned; its objects are kept.
    NotAssigned,
    /// The application was removed on purpose, and the agent manages none of its objects any longer.
    Removed,
    // --- hub
    /// No report for three heartbeats.
    Offline,
    /// The agent knows a later generation than the hub.
    AgentAhead,
    /// The hub was restored and does not know what the cluster runs; the cluster stays on it.
    HeldAfterRestore,
    /// The environment's branch has no commit yet.
    NoRevision,
    /// The template uses a value that this cluster does not have.
    TemplateFailed,
    /// The cluster belongs to no environment.
    NoEnvironment,
    /// The cluster waits to be accepted.
    Pending,
    /// A clock differs by more than five minutes.
    ClockSkew,
    // --- rollouts
    /// The rollout has not reached this cluster yet.
    WaitsForRollout,
    /// The cluster did not become healthy in time.
    ProgressDeadline,
    /// More approvals are required.
    ApprovalNeeded,
    /// No change window is open, or a freeze is in force.
    WindowClosed,
    /// An external check has not succeeded.
    CheckFailed,
    /// The Job of a gate has not succeeded yet.
    GateJobPending,
    /// The Job of a gate failed, or exceeded its timeout.
    GateJobFailed,
    /// The previous environment has not proven the commit.
    NotProven,
    /// The commit failed before and is not tried again.
    Quarantined,
    /// An operator pinned it to a commit.
    Pinned,
    /// An operator paused it.
    Paused,
}

impl Reason {
    /// Returns whether waiting cannot resolve it: a cluster with this reason for its assigned commit counts as failed
    /// at once, not at the end of a deadline.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Invalid
                | Self::ImmutableField
                | Self::ObjectTooLarge
                | Self::AdmissionDenied
                | Self::Forbidden
                | Self::Conflict
                | Self::KindNotAllowed
                | Self::NamespaceNotAllowed
                | Self::ProtectedObject
                | Self::HookFailed
                | Self::Cycle
        )
    }

    /// Returns whether an agent holds a delete for this reason until a person raises the budget or confirms it.
    #[must_use]
    pub fn holds_a_delete(self) -> bool {
        matches!(
            self,
            Self::DeleteBudget | Self::ConfirmationRequired | Self::ProtectedKind
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_round() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>(), Ok(*reason));
        }
        assert_eq!("FromTheFuture".parse::<Reason>(), Ok(Reason::Other));
    }

    #[test]
    fn a_delete_is_held_where_a_person_has_to_decide() {
        let held = Reason::ALL.iter().filter(|reason| reason.holds_a_delete());
        let held: Vec<&str> = held.map(|reason| reason.as_str()).collect();
        // Pages and operators' scripts rely on these codes.
        assert_eq!(
            held,
            ["DeleteBudget", "ProtectedKind", "ConfirmationRequired"]
        );
    }
}
