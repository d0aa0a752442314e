//! The bounded set of reason codes in conditions, metric labels and the CLI. Every refusal is visible through
//! one of these.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why something was refused, held, skipped or failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
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
    /// An epoch far beyond the accepted one.
    EpochJump,
    /// Same generation, other digest.
    ConflictingAssignment,
    /// The digest does not match the content.
    DigestMismatch,
    /// The content is malformed or over a limit.
    MalformedAssignment,
    /// The assignment is for another cluster.
    WrongCluster,
    /// The cluster's identity is in use twice; manual action required.
    IdentityInUse,
    /// The assignment needs a feature that this agent does not support; upgrade the agent.
    UpgradeRequired,
    /// The assignment could not be stored, so it is not applied.
    LedgerUnavailable,
    // --- local policy
    /// Repository URL not on the agent's allow-list.
    RepositoryNotAllowed,
    /// Branch not allowed by the agent's policy.
    BranchNotAllowed,
    /// Path not allowed by the agent's policy.
    PathNotAllowed,
    /// Kind not allowed by the agent's policy.
    KindNotAllowed,
    /// Namespace not allowed by the agent's policy.
    NamespaceNotAllowed,
    /// The agent's policy allows no gate Jobs from that path, or none at all.
    GateJobNotAllowed,
    /// The agent's policy file was changed into one that cannot be used; the policy before it stays in force.
    PolicyUnusable,
    /// An object of the agent's own installation.
    ProtectedObject,
    /// The local owner stopped all writes.
    Frozen,
    /// The cluster was suspended at the hub.
    SuspendedByHub,
    // --- Git
    /// Repository could not be reached.
    RepositoryUnavailable,
    /// The repository rejected the credentials, or requires some.
    AuthenticationFailed,
    /// The SSH server's host key is not the pinned one.
    HostKeyRefused,
    /// No repository at the URL.
    RepositoryNotFound,
    /// The branch does not exist.
    BranchNotFound,
    /// The commit is not in the repository.
    CommitNotFound,
    /// The commit is not on the branch that the agent itself read.
    CommitNotOnBranch,
    /// The commit does not descend from the running one.
    NotADescendant,
    /// The branch has been ahead of the assigned commit for too long.
    BranchAhead,
    /// The commit, or one between it and the last accepted one, is not signed.
    SignatureMissing,
    /// A signature is malformed, or does not match its content.
    SignatureInvalid,
    /// The signature is by a key that the agent's policy does not name.
    SignatureKeyUnknown,
    /// The commit was first seen outside the validity of its key.
    SignatureKeyExpired,
    /// The signature is by a revoked key.
    SignatureKeyRevoked,
    /// No signature rule of the agent's policy covers this branch.
    SignatureRuleMissing,
    /// The signed approval of a rollback is not valid here.
    ApprovalRefused,
    /// A rollback that the agent's policy allows, or a change of commit that could not be checked for being one.
    WentBack,
    /// The repository does not use SHA-1 object ids.
    ObjectFormatUnsupported,
    /// The Git server does not support fetches without files.
    FilterUnsupported,
    /// A pack or object is damaged.
    CorruptRepository,
    /// Bytes, objects, files or time ran out.
    LimitExceeded,
    // --- rendering
    /// The path is not in the commit.
    PathNotFound,
    /// A file is not valid YAML.
    MalformedYaml,
    /// A document is not a Kubernetes object.
    NotAManifest,
    /// Two documents are the same object.
    DuplicateObject,
    /// The render is empty, but the application has objects.
    EmptyRender,
    /// An unknown key.
    UnknownField,
    /// A remote base or URL.
    RemoteReference,
    /// A plugin or function, which would run a program.
    ExecRefused,
    /// A Helm feature that is not supported.
    HelmRefused,
    /// A chart does something that may behave differently here; it is rendered anyway.
    ChartWarning,
    /// A hook of a chart that agents do not run.
    HookNotRun,
    /// A reference cycle.
    Cycle,
    /// A reference to a path outside of the allowed root.
    OutsideRoot,
    /// A symbolic link that leaves the tree or is circular.
    SymlinkRefused,
    /// A Git submodule.
    Submodule,
    /// A Git LFS pointer in place of the file.
    LfsPointer,
    /// A file over the size limit.
    FileTooLarge,
    /// The render failed for another reason; the message has it.
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
    /// Discovery was incomplete, so nothing is pruned in this pass.
    PartialDiscovery,
    /// The API server denied the request: missing rights.
    Forbidden,
    /// The API server found the object invalid.
    Invalid,
    /// An immutable field differs.
    ImmutableField,
    /// Another manager owns a field.
    Conflict,
    /// Another application owns the object.
    OwnedByAnotherApplication,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The namespace does not exist.
    NamespaceNotFound,
    /// An admission webhook or policy denied the request.
    AdmissionDenied,
    /// An admission webhook could not be reached, so the API server denied the request.
    WebhookUnavailable,
    /// The API server rejects the agent's credentials.
    Unauthorized,
    /// Another client changed the object at the same time; it is read again.
    ChangedMeanwhile,
    /// A quota is exceeded.
    QuotaExceeded,
    /// The object is too large for the API server.
    ObjectTooLarge,
    /// The API server throttles requests.
    Throttled,
    /// The pod is no longer the leader.
    NotLeader,
    /// The write failed for another reason; the message has it.
    ApplyFailed,
    // --- deleting
    /// More deletions than the delete budget allows.
    DeleteBudget,
    /// A protected kind, which is only deleted after a local confirmation.
    ProtectedKind,
    /// The object is annotated `flotilla.dev/prune: disabled`.
    PruneDisabled,
    /// The object is annotated `flotilla.dev/prune: confirm`.
    ConfirmationRequired,
    /// The live object is not the one that was applied.
    NotOurs,
    /// Waiting for a finalizer.
    WaitingForFinalizer,
    /// The inventory could not be read or trusted.
    InventoryUnavailable,
    /// The inventory was changed by another client.
    InventoryChanged,
    // --- waiting, health and drift
    /// An application that it depends on is not healthy yet.
    DependencyNotReady,
    /// Health was not reached in time.
    HealthTimeout,
    /// An object is unhealthy.
    Unhealthy,
    /// Live state differs and the mode is `report`.
    Drifted,
    /// Another controller keeps changing the same fields.
    Contested,
    /// A hook failed or exceeded its deadline.
    HookFailed,
    /// No longer assigned; its objects are kept.
    NotAssigned,
    /// Removed; the agent manages none of its objects any longer.
    Removed,
    // --- hub
    /// No report for three heartbeats.
    Offline,
    /// The agent knows a later generation than the hub.
    AgentAhead,
    /// The hub was restored and does not know what the cluster runs; the cluster keeps it.
    HeldAfterRestore,
    /// The environment's branch has no commit yet.
    NoRevision,
    /// The template uses a value that this cluster does not have.
    TemplateFailed,
    /// The cluster is in no environment.
    NoEnvironment,
    /// The cluster waits to be accepted.
    Pending,
    /// Two clocks differ by more than five minutes.
    ClockSkew,
    // --- rollouts
    /// The rollout has not reached this cluster yet.
    WaitsForRollout,
    /// The cluster did not become healthy in time.
    ProgressDeadline,
    /// Approvals are missing.
    ApprovalNeeded,
    /// No change window is open, or a freeze is active.
    WindowClosed,
    /// An external check did not succeed.
    CheckFailed,
    /// A gate Job has not succeeded yet.
    GateJobPending,
    /// A gate Job failed or exceeded its timeout.
    GateJobFailed,
    /// The previous environment has not proven the commit.
    NotProven,
    /// The commit failed before and is not rolled out again.
    Quarantined,
    /// Pinned to a commit by an operator.
    Pinned,
    /// Paused by an operator.
    Paused,
}

impl Reason {
    /// Whether time alone does not cure it: a cluster with this reason for its assigned commit counts as
    /// failed at once, not at the end of a deadline.
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

    /// Whether an agent holds a delete for it until a person decides: on more than the budget, or by confirming it.
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
        // Pages and people's scripts know them by these words.
        assert_eq!(
            held,
            ["DeleteBudget", "ProtectedKind", "ConfirmationRequired"]
        );
    }
}
