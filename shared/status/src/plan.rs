//! Changes that an agent would make.

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
    /// The revision that was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Objects that would change, or are left alone on purpose.
    pub changes: Vec<Change>,
    /// Number of objects that need no change.
    pub unchanged: u32,
    /// Whether the list is cut short.
    pub truncated: bool,
    /// Why there is no plan, or not of the newest commit; empty: there is one.
    #[serde(skip_serializing_if = "is_empty")]
    pub error: String,
}

words! {
    /// The action that would be taken on an object.
    pub closed PlannedAction {
        /// It would be created.
        Create = "create",
        /// Managed fields would be set.
        Update = "update",
        /// It would be deleted.
        Delete = "delete",
        /// It would be left alone on purpose.
        Skip = "skip",
        /// Its delete is held for an operator.
        Hold = "hold",
        /// It cannot be written.
        Fail = "fail",
        /// It needs no change.
        Nothing = "none",
        /// A value of a newer agent.
        Unknown = "unknown",
    }
}

impl PlannedAction {
    /// Returns whether the object would be written or deleted.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }

    /// Returns the sign that a line about it begins with.
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

/// A change of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The object, such as `Deployment.apps web/frontend`.
    pub object: String,
    /// The action that would be taken.
    pub action: PlannedAction,
    /// Why the action would not be taken, as a CamelCase code; empty: it would.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Message for operators.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// The fields that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// A field that differs; values are JSON, empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Field {
    /// The field's path, as a JSON pointer (RFC 6901).
    pub path: String,
    /// The live value.
    pub live: String,
    /// The desired value.
    pub desired: String,
}

impl ApplicationPlan {
    /// Returns whether anything would change, or should change and cannot.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.changes.is_empty() || !self.error.is_empty()
    }
}
