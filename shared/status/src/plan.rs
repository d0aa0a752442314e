//! What an agent would change.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Revision, is_empty};
use crate::words::words;

/// One application's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationPlan {
    /// Its name in the fleet file.
    pub application: String,
    /// The commit that was planned for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What differs, is made, deleted, or not touched on purpose.
    pub changes: Vec<Change>,
    /// Objects that need no change.
    pub unchanged: u32,
    /// Whether there is more than is shown.
    pub truncated: bool,
    /// Why there is no plan, or not of the newest commit; empty: there is.
    #[serde(skip_serializing_if = "is_empty")]
    pub error: String,
}

words! {
    /// What would be done to an object.
    pub closed PlannedAction {
        /// It would be made.
        Create = "create",
        /// Fields of ours would be set.
        Update = "update",
        /// It would be deleted.
        Delete = "delete",
        /// It is left alone, on purpose.
        Skip = "skip",
        /// A delete of it waits for a person.
        Hold = "hold",
        /// It cannot be written.
        Fail = "fail",
        /// There is nothing to do.
        Nothing = "none",
        /// What a newer agent says.
        Unknown = "unknown",
    }
}

impl PlannedAction {
    /// Whether something would be done.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }

    /// By which a line about it begins.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Delete => "-",
            Self::Fail => "!",
            Self::Skip | Self::Hold | Self::Nothing | Self::Unknown => "=",
        }
    }
}

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `Deployment.apps web/frontend`.
    pub object: String,
    /// What would be done.
    pub action: PlannedAction,
    /// Why something is not done; empty: it is.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// For a person.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// Field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// One field; values are JSON, empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Field {
    /// The field's path, as a JSON pointer (RFC 6901).
    pub path: String,
    /// As it is.
    pub live: String,
    /// As it would be.
    pub desired: String,
}

impl ApplicationPlan {
    /// Whether anything would be done, or should be and is not.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.changes.is_empty() || !self.error.is_empty()
    }
}
