//! Commit statuses.

use serde::{Deserialize, Serialize};

/// State of a commit status or check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// In progress or waiting.
    Pending,
    /// Succeeded, or skipped on purpose.
    Success,
    /// Failed.
    Failure,
}

/// A commit status to set. The forge keeps one for each context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatus {
    /// Its context, such as `flotilla/prod`.
    pub context: String,
    /// Its state.
    pub state: State,
    /// Its description, one line; cut at 140 bytes on GitHub, at 255 elsewhere.
    pub description: String,
    /// URL of a page about it; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub link: String,
}
