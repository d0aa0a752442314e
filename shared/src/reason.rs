//! The bounded set of reasons: what conditions, metric labels and the CLI say when something is not
//! as it should be. Every refusal is visible through one of these.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why something was refused, held, skipped or failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
            /// A reason that this version does not know: the other side is newer.
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

            /// Never fails: what is not known is [`Reason::Other`].
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
    /// Epoch or generation is lower than what was accepted before.
    StaleAssignment,
    /// An epoch far beyond the accepted one.
    EpochJump,
    /// Same generation, other digest.
    ConflictingAssignment,
    /// The digest does not fit the content.
    DigestMismatch,
    /// The content is malformed or over a limit.
    MalformedAssignment,
    /// It names another cluster.
    WrongCluster,
    /// The cluster's identity is in use twice; a person has to look.
    IdentityInUse,
    /// It needs an ability this agent does not have; upgrade it.
    UpgradeRequired,
    /// The accepted assignment could not be stored, so it may not be acted on.
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
    /// The agent's policy lets no gate's Job come from that path, or none at all.
    GateJobNotAllowed,
    /// The agent's policy file was changed into one that cannot be used; the policy before it stays in force.
    PolicyUnusable,
    /// An object of the agent's own installation.
    ProtectedObject,
    /// The local owner stopped all writes.
    Frozen,
    /// A person at the hub asked to write nothing.
    SuspendedByHub,
    // --- Git
    /// Repository could not be reached.
    RepositoryUnavailable,
    /// The repository asked for other credentials.
    AuthenticationFailed,
    /// The SSH server does not have the host key that is pinned.
    HostKeyRefused,
    /// No repository at the URL.
    RepositoryNotFound,
    /// The branch is not there.
    BranchNotFound,
    /// The commit is not in the repository.
    CommitNotFound,
    /// The commit is not on the branch that the agent itself read.
    CommitNotOnBranch,
    /// The commit does not descend from the one that runs.
    NotADescendant,
    /// The branch has been ahead of what is assigned for too long.
    BranchAhead,
    /// The commit, or one between it and the last accepted one, is not signed.
    SignatureMissing,
    /// A signature is malformed, or was made over something else.
    SignatureInvalid,
    /// The signature is of a key that the agent's policy does not name.
    SignatureKeyUnknown,
    /// The commit was first seen outside the time that its key is good for.
    SignatureKeyExpired,
    /// The signature is of a key that the agent's policy calls revoked.
    SignatureKeyRevoked,
    /// No rule of the agent's policy says how commits of this branch are to be signed.
    SignatureRuleMissing,
    /// A signed approval to go back in history does not hold here.
    ApprovalRefused,
    /// It went back in history, as the agent's policy allows, or whether it did could not be found out.
    WentBack,
    /// The repository uses another object format than SHA-1.
    ObjectFormatUnsupported,
    /// The Git server does not offer fetches without files.
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
    /// Nothing was rendered where something ran before.
    EmptyRender,
    /// A key that the reader does not know.
    UnknownField,
    /// A remote base or URL.
    RemoteReference,
    /// Something that would run a program.
    ExecRefused,
    /// Something of Helm that is not rendered.
    HelmRefused,
    /// A chart does something that its author may not expect here; it is rendered all the same.
    ChartWarning,
    /// A hook of a chart that agents do not run.
    HookNotRun,
    /// A reference cycle.
    Cycle,
    /// A reference out of the allowed root.
    OutsideRoot,
    /// A symbolic link that leaves the tree or loops.
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
    /// A cluster fact that a manifest asks for is not there.
    SubstitutionFailed,
    // --- cluster
    /// The API server does not serve this kind.
    UnknownKind,
    /// The API server could not be reached.
    ClusterUnavailable,
    /// Discovery was incomplete, so nothing is pruned in this pass.
    PartialDiscovery,
    /// The API server refused for lack of rights.
    Forbidden,
    /// The API server found the object invalid.
    Invalid,
    /// A field that cannot be changed.
    ImmutableField,
    /// Another manager owns a field.
    Conflict,
    /// Another application owns the object.
    OwnedByAnotherApplication,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The namespace is not there.
    NamespaceNotFound,
    /// An admission webhook or policy said no.
    AdmissionDenied,
    /// A webhook of the cluster could not be reached, so the API server let nothing through.
    WebhookUnavailable,
    /// The API server does not know the agent's credentials.
    Unauthorized,
    /// Somebody else wrote the object at the same moment; it is looked at again.
    ChangedMeanwhile,
    /// A quota is exceeded.
    QuotaExceeded,
    /// The object is too large for the API server.
    ObjectTooLarge,
    /// The API server asks for fewer requests.
    Throttled,
    /// The pod that wanted to write is not the leader any more.
    NotLeader,
    /// The write failed for another reason; the message has it.
    ApplyFailed,
    // --- deleting
    /// More deletes than the budget allows.
    DeleteBudget,
    /// A kind that is only deleted after a local confirmation.
    ProtectedKind,
    /// The object says `flotilla.dev/prune: disabled`.
    PruneDisabled,
    /// The object says `flotilla.dev/prune: confirm`.
    ConfirmationRequired,
    /// The live object is not the one that was applied.
    NotOurs,
    /// Waiting for a finalizer of somebody else.
    WaitingForFinalizer,
    /// The inventory could not be read or trusted.
    InventoryUnavailable,
    /// The inventory is not as the agent wrote it: somebody changed it.
    InventoryChanged,
    // --- waiting, health and drift
    /// An application it depends on is not healthy yet.
    DependencyNotReady,
    /// Health was not reached in time.
    HealthTimeout,
    /// An object is unhealthy.
    Unhealthy,
    /// Live state differs and the mode is `report`.
    Drifted,
    /// Another controller writes the same fields again and again.
    Contested,
    /// A hook failed, or took longer than it may.
    HookFailed,
    /// Nothing is assigned any more; objects are kept.
    NotAssigned,
    /// It was removed on purpose, and nothing of it is left to the agent.
    Removed,
    // --- hub
    /// No report for three heartbeats.
    Offline,
    /// The agent knows a later generation than the hub.
    AgentAhead,
    /// The hub was restored and does not know what the cluster runs; it stays on that.
    HeldAfterRestore,
    /// The environment's branch has no commit yet.
    NoRevision,
    /// The template uses a value this cluster does not have.
    TemplateFailed,
    /// The cluster is in no environment.
    NoEnvironment,
    /// The cluster waits to be accepted.
    Pending,
    /// A clock is off by more than five minutes.
    ClockSkew,
    // --- rollouts
    /// The rollout has not come to this cluster yet.
    WaitsForRollout,
    /// The cluster was not healthy in time.
    ProgressDeadline,
    /// Too few people have approved.
    ApprovalNeeded,
    /// No change window is open, or a freeze holds.
    WindowClosed,
    /// An external check does not answer well.
    CheckFailed,
    /// The Job of a gate has not succeeded yet.
    GateJobPending,
    /// The Job of a gate failed, or took longer than it may.
    GateJobFailed,
    /// The environment before has not proven the commit.
    NotProven,
    /// The commit failed before and is not tried again.
    Quarantined,
    /// A person keeps it on a commit.
    Pinned,
    /// A person stopped it.
    Paused,
}

impl Reason {
    /// Whether the passing of time alone cures nothing: a cluster that says so of the commit that it is
    /// to run counts as failed at once, not at the end of a deadline.
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
