//! Gate Jobs: Jobs that the hub asks a cluster to run before a commit is assigned, and their reports.

use crate::assignment::ApplicationAssignment;
use crate::digest::Digest;
use crate::id::{ApplicationName, GateName};
use crate::reason::Reason;

/// Maximum number of Jobs that one cluster is asked for at a time.
pub const MAX_GATE_JOBS: usize = 16;
/// Longest timeout of a Job, in seconds.
pub const MAX_TIMEOUT_SECONDS: u32 = 86_400;

/// A Job that runs before a commit is assigned.
#[derive(Debug, Clone, PartialEq)]
pub struct GateJob {
    /// The gate, by its name in the environment.
    pub gate: GateName,
    /// Number of retries by operators for one commit: each is a Job of its own.
    pub attempt: u32,
    /// Timeout in seconds.
    pub timeout_seconds: u32,
    /// The application whose repository, namespace and account it uses.
    pub name: ApplicationName,
    /// That application as it would be assigned with the commit, but with the Job's path.
    pub application: ApplicationAssignment,
}

impl GateJob {
    /// Returns the Job's unique id, which its name is derived from; a result counts only for this id.
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

/// State of a gate Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GateJobState {
    /// Not started: it waits for something else.
    #[default]
    Waiting,
    /// Running.
    Running,
    /// Finished successfully.
    Succeeded,
    /// Failed.
    Failed,
    /// Exceeded its timeout.
    TimedOut,
    /// Rejected by the agent's policy, or impossible to run as the commit has it.
    Refused,
}

impl GateJobState {
    /// Whether it has finished and does not run again.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::TimedOut)
    }
}

/// An agent's report about a gate Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateJobReport {
    /// The Job's id: [`GateJob::id`].
    pub id: Digest,
    /// The gate: [`GateJob::gate`].
    pub gate: GateName,
    /// State of the Job.
    pub state: GateJobState,
    /// Reason why it has not succeeded.
    pub reason: Option<Reason>,
    /// Message for operators, one line; never output of the Job.
    pub message: String,
    /// Duration of the run, in seconds.
    pub ran_seconds: u32,
}
