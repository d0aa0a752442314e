//! A commit's status, as people see it beside the commit.

use serde::{Deserialize, Serialize};

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// On its way, or waiting.
    Pending,
    /// It went well, or was left out on purpose.
    Success,
    /// It went wrong.
    Failure,
}

/// What is set. The forge keeps one for each context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatus {
    /// Whose status it is, such as `flotilla/prod`.
    pub context: String,
    /// How it stands.
    pub state: State,
    /// One line for people; GitHub's is cut at 140 bytes, the others' at 255.
    pub description: String,
    /// A page about it; empty: there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub link: String,
}
