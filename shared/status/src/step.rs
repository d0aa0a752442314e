//! Kinds of the steps of a decision chain, and of the gates among them.

use crate::words::words;

words! {
    /// What a gate is about: what must hold before an environment takes commits.
    pub closed GateKind {
        /// The environment before proves the commits.
        Health = "health",
        /// People approve them.
        Approval = "approval",
        /// It is a time for changes.
        Window = "window",
        /// It is no time for changes.
        Freeze = "freeze",
        /// Something outside is asked.
        Check = "check",
        /// A Job in a cluster says so.
        Job = "job",
        /// Somebody let them in, whatever the others say.
        Override = "override",
        /// The hub has seen that they go back, as somebody says.
        Rollback = "rollback",
        /// They failed before.
        Quarantine = "quarantine",
        /// Somebody stopped the environment.
        Pause = "pause",
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
