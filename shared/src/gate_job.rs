//! Jobs of gates: what a hub asks a cluster to run before a commit goes in, and what the cluster says of it.

use crate::assignment::ApplicationAssignment;
use crate::digest::Digest;
use crate::id::{ApplicationName, GateName};
use crate::reason::Reason;

/// Most Jobs that one cluster is asked for at a time.
pub const MAX_GATE_JOBS: usize = 16;
/// Longest time for one, seconds.
pub const MAX_TIMEOUT_SECONDS: u32 = 86_400;

/// A Job that is to run before a commit goes in.
#[derive(Debug, Clone, PartialEq)]
pub struct GateJob {
    /// The gate, by its name in the environment.
    pub gate: GateName,
    /// Counts people's retries for one commit: each is a Job of its own.
    pub attempt: u32,
    /// How long it may take.
    pub timeout_seconds: u32,
    /// The application with whose repository, namespace and account it runs.
    pub name: ApplicationName,
    /// That application as it would be assigned with the commit, its path in place of the application's.
    pub application: ApplicationAssignment,
}

impl GateJob {
    /// Tells this Job from every other one, in all clusters and for good: the Job's name comes from it, and
    /// a result counts for exactly this.
    #[must_use]
    pub fn id(&self) -> Digest {
        let application = &self.application;
        let revision = &application.revision;
        let attempt = self.attempt.to_string();
        let texts = [
            self.gate.as_str(),
            &attempt,
            self.name.as_str(),
            application.url.as_str(),
            revision.branch.as_str(),
            revision.commit.as_str(),
            application.path.as_str(),
            &application.namespace,
        ];
        Digest::of_parts(texts.iter().map(|text| text.as_bytes()))
    }
}

/// How far a Job of a gate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GateJobState {
    /// It has not begun: something has to come first.
    #[default]
    Waiting,
    /// It runs.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed,
    /// It did not end in its time.
    TimedOut,
    /// The agent's policy, or the commit itself, does not let it run.
    Refused,
}

impl GateJobState {
    /// Whether it has run, and does not run again.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::TimedOut)
    }
}

/// What an agent says of a Job that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateJobReport {
    /// The Job's id: [`GateJob::id`].
    pub id: Digest,
    /// The gate: [`GateJob::gate`].
    pub gate: GateName,
    /// How far it is.
    pub state: GateJobState,
    /// Why it has not succeeded.
    pub reason: Option<Reason>,
    /// One line for a person; never anything that the Job wrote.
    pub message: String,
    /// How long it ran.
    pub ran_seconds: u32,
}
