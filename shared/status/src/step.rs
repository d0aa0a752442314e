//! Kinds of the steps of a decision chain, and of the gates among them.

use flotilla_shared::reason::Reason;

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
    /// Reason of a gate of this kind that holds commits back.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Health | Self::Rollback => Reason::NotProven,
            Self::Approval => Reason::ApprovalNeeded,
            Self::Check => Reason::CheckFailed,
            Self::Job => Reason::GateJobFailed,
            Self::Window | Self::Freeze | Self::Override => Reason::WindowClosed,
            Self::Quarantine => Reason::Quarantined,
            Self::Pause => Reason::Paused,
        }
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
