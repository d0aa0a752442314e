//! What the steps of a decision chain, and the gates among them, are called.

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
    /// What a step of a decision chain is about; of a gate, its kind.
    pub open StepKind {
        /// Where a cluster or an application belongs.
        Placement = "placement",
        /// What a branch points at, as the hub read it last.
        BranchHead = "branch-head",
        /// Whether a cluster was let in, and whether its agent took what is assigned.
        Acceptance = "acceptance",
        /// Whose certificate a cluster uses.
        Identity = "identity",
        /// What a cluster is to run.
        Assignment = "assignment",
        /// Whether the agent is there to be told.
        Delivery = "delivery",
        /// How far the agent's clock is off.
        Clock = "clock",
        /// Whether the assigned commit is applied.
        Apply = "apply",
        /// A pull request that the hub would merge.
        Merge = "merge",
        /// Whether automatic promotions come in.
        Hold = "hold",
        /// How far a rollout is.
        Rollout = "rollout",
        /// Whether it is known beforehand whom the commits change.
        Directories = "directories",
        /// Whether people let a wave begin.
        WaveApproval = "wave-approval",
        /// What keeps a cluster or an environment on commits.
        Pin = "pin",
        /// Commits that wait for a rollout's end.
        Queue = "queue",
        /// Where a cluster stands in a rollout.
        Wave = "wave",
        /// How a cluster of an environment stands.
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
