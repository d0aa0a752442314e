//! What an agent would change.

use flotilla_proto::v1;
use flotilla_shared::wire::{object_from_wire, planned_word};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Revision, is_empty, text};

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

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `Deployment.apps web/frontend`.
    pub object: String,
    /// What would be done.
    pub action: String,
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

impl From<&v1::ApplicationPlan> for ApplicationPlan {
    fn from(wire: &v1::ApplicationPlan) -> Self {
        Self {
            application: text(&wire.application),
            revision: Revision::from_wire(wire.revision.as_ref()),
            changes: wire.changes.iter().map(Change::from).collect(),
            unchanged: wire.unchanged,
            truncated: wire.truncated,
            error: text(&wire.error),
        }
    }
}

impl ApplicationPlan {
    /// Whether anything would be done, or should be and is not.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.changes.is_empty() || !self.error.is_empty()
    }
}

impl From<&v1::ObjectChange> for Change {
    fn from(wire: &v1::ObjectChange) -> Self {
        Self {
            object: text(&object_from_wire(wire.object.as_ref()).to_string()),
            action: planned_word(wire.action()).to_owned(),
            reason: text(&wire.reason),
            message: text(&wire.message),
            fields: wire
                .fields
                .iter()
                .map(|field| Field {
                    path: text(&field.path),
                    live: text(&field.live),
                    desired: text(&field.desired),
                })
                .collect(),
        }
    }
}
