//! Results of gate Jobs.

use flotilla_shared::id::{GateName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A gate Job for a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNote {
    pub gate: GateName,
    /// The repository's name.
    pub repository: RepositoryName,
    /// The commit.
    pub commit: Commit,
    /// Number of retries by operators.
    pub attempt: u32,
    /// Its result; none: it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
}

/// Result of a gate Job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// Id of the Job, hexadecimal `GateJob::id`.
    pub id: String,
    /// Whether it succeeded.
    pub good: bool,
    /// Message for operators.
    pub text: String,
    /// When the result arrived.
    pub at: Timestamp,
}
