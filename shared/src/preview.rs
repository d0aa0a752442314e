//! Preview of a reconcile pass in one cluster, answered by its agent: object by object, with values. Values
//! of Secrets are masked by the agent.

use crate::id::ApplicationName;
use crate::object::{Action, ObjectRef};
use crate::reason::Reason;
use crate::revision::Revision;

/// Longest value of a field that is shown, bytes of JSON.
pub const MAX_VALUE_BYTES: usize = 200;

/// Preview of a reconcile pass over one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationPlan {
    /// Its name in the fleet file.
    pub application: ApplicationName,
    /// The planned commit; none: nothing is assigned, or there is no hub.
    pub revision: Option<Revision>,
    /// Objects that differ or would be created, deleted, or left alone on purpose; at most
    /// [`crate::plan::MAX_CHANGES`].
    pub changes: Vec<ObjectChange>,
    /// Number of unchanged objects.
    pub unchanged: u32,
    /// Whether more changes exist than are listed.
    pub truncated: bool,
    /// Message for operators if there is no plan, or none of the newest commit; otherwise empty.
    pub error: String,
}

/// Planned change of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectChange {
    /// The object.
    pub object: ObjectRef,
    /// The planned action.
    pub action: Action,
    /// Reason why nothing would be done.
    pub reason: Option<Reason>,
    /// Message for operators.
    pub message: String,
    /// Changed fields; at most [`crate::plan::MAX_FIELDS`].
    pub fields: Vec<FieldChange>,
}

/// A changed field; values are JSON, at most [`MAX_VALUE_BYTES`] long, and empty where the field is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Path of the field (RFC 6901).
    pub path: String,
    /// Live value.
    pub live: String,
    /// Desired value.
    pub desired: String,
}

impl ApplicationPlan {
    /// Returns an empty plan of an application.
    #[must_use]
    pub fn of(application: ApplicationName) -> Self {
        Self {
            application,
            revision: None,
            changes: Vec::new(),
            unchanged: 0,
            truncated: false,
            error: String::new(),
        }
    }
}

impl ObjectChange {
    /// Returns a change of an object without details.
    #[must_use]
    pub fn of(object: ObjectRef, action: Action) -> Self {
        Self {
            object,
            action,
            reason: None,
            message: String::new(),
            fields: Vec::new(),
        }
    }
}
