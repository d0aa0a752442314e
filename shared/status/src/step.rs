//! What the steps of a decision chain, and the gates among them, are called.

use crate::words::words;

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
        /// Whether what is applied is healthy; of a gate, whether the environment before proved the commit.
        Health = "health",
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
        /// Somebody stopped the environment's rollouts.
        Pause = "pause",
        /// What keeps a cluster or an environment on commits.
        Pin = "pin",
        /// Commits that failed, and are not tried again.
        Quarantine = "quarantine",
        /// Commits that wait for a rollout's end.
        Queue = "queue",
        /// Where a cluster stands in a rollout.
        Wave = "wave",
        /// How a cluster of an environment stands.
        Cluster = "cluster",
        /// Whether enough people approve a commit.
        Approval = "approval",
        /// Whether it is a time for changes.
        Window = "window",
        /// Whether a time, or a cluster's own people, forbid changes.
        Freeze = "freeze",
        /// What an external check says.
        Check = "check",
        /// What a Job in a cluster says.
        Job = "job",
        /// Somebody let a commit in, whatever the gates say.
        Override = "override",
        /// Whether a commit that goes back holds what it says.
        Rollback = "rollback",
    }
}
