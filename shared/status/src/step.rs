//! Kinds of the steps of a decision chain, and of the gates among them.

use flotilla_shared::reason::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use crate::words::words;

words! {
    /// What a gate is about: what must hold before an environment takes commits.
    pub closed GateKind {
        /// The previous environment has proven the commits.
        Health = "health",
        /// Enough people have approved the commits.
        Approval = "approval",
        /// A change window is open.
        Window = "window",
        /// No freeze is in force.
        Freeze = "freeze",
        /// An external check succeeded.
        Check = "check",
        /// A Job in a cluster succeeded.
        Job = "job",
        /// An operator overrode the other gates.
        Override = "override",
        /// The hub has verified that a rollback has the content that it announced.
        Rollback = "rollback",
        /// The commits did not fail before.
        Quarantine = "quarantine",
        /// No operator paused the environment.
        Pause = "pause",
    }
}

impl GateKind {
    /// Reason of a gate of this kind that holds commits back, and may still open (`Waiting`) or not.
    #[must_use]
    pub const fn reason(self, state: StepState) -> Reason {
        match (self, state) {
            (Self::Health | Self::Rollback, _) => Reason::NotProven,
            (Self::Approval, _) => Reason::ApprovalNeeded,
            (Self::Check, _) => Reason::CheckFailed,
            (Self::Job, StepState::Waiting) => Reason::GateJobPending,
            (Self::Job, _) => Reason::GateJobFailed,
            (Self::Window | Self::Freeze | Self::Override, _) => Reason::WindowClosed,
            (Self::Quarantine, _) => Reason::Quarantined,
            (Self::Pause, _) => Reason::Paused,
        }
    }
}

/// State of one step of a decision chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum StepState {
    /// Done or fulfilled; of a gate: open.
    Ok,
    /// Not done yet; of a gate: it may still open.
    Waiting,
    /// Failed: it cannot continue.
    Failed,
    /// Skipped on purpose.
    Skipped,
    /// A value of a newer hub.
    Unknown,
}

impl StepState {
    /// Returns the word that is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Waiting => "Waiting",
            Self::Failed => "Failed",
            Self::Skipped => "Skipped",
            Self::Unknown => "Unknown",
        }
    }

    /// Returns whether a gate in this state holds commits back. A state that only a newer hub knows does, too.
    #[must_use]
    pub fn holds_back(self) -> bool {
        !matches!(self, Self::Ok | Self::Skipped)
    }
}

words! {
    /// Kind of a step of a decision chain; of a gate, its kind.
    pub open StepKind {
        /// The environment or placement of a cluster or an application.
        Placement = "placement",
        /// The head of a branch, as the hub last read it.
        BranchHead = "branch-head",
        /// Whether a cluster was accepted, and whether its agent accepted the assignment.
        Acceptance = "acceptance",
        /// Whether the cluster's certificate is used by its agent alone.
        Identity = "identity",
        /// The assignment of a cluster.
        Assignment = "assignment",
        /// Whether the agent is connected.
        Delivery = "delivery",
        /// The difference between the agent's clock and the hub's.
        Clock = "clock",
        /// Whether the assigned commit is applied.
        Apply = "apply",
        /// A pull request that the hub would merge.
        Merge = "merge",
        /// Whether automatic promotions are held.
        Hold = "hold",
        /// The state of a rollout.
        Rollout = "rollout",
        /// Whether it is known beforehand which clusters the commits change.
        Directories = "directories",
        /// Whether enough people approved a wave.
        WaveApproval = "wave-approval",
        /// A pin of a cluster or an environment.
        Pin = "pin",
        /// Commits that wait for a rollout to end.
        Queue = "queue",
        /// The wave and phase of a cluster in a rollout.
        Wave = "wave",
        /// The state of a cluster of an environment.
        Cluster = "cluster",
        +
        /// A gate; and what is called as one: whether an application is healthy (`health`), and whether a cluster's
        /// own people forbid changes (`freeze`).
        Gate(GateKind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_called_as_nothing_else_is() {
        for kind in GateKind::ALL {
            assert_eq!(StepKind::from(kind.as_str()), StepKind::Gate(*kind));
        }
    }
}
