//! What is remembered of a gate's Job.

use flotilla_shared::id::{GateName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of a gate's Job for a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNote {
    pub gate: GateName,
    /// Of which repository.
    pub repository: RepositoryName,
    /// For which commit.
    pub commit: Commit,
    /// How often a person had it tried again.
    pub attempt: u32,
    /// How it ended; none: it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
}

/// How a gate's Job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// Of exactly which Job: hexadecimal `GateJob::id`.
    pub id: String,
    /// Whether it succeeded.
    pub good: bool,
    /// For a person.
    pub text: String,
    /// When that was heard.
    pub at: Timestamp,
}
