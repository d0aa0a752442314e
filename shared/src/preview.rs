//! What a pass would do now in one cluster, as its agent answers whoever asks: object by object, with values.
//! Those of Secrets are masked before they come here.

use crate::id::ApplicationName;
use crate::object::{Action, ObjectRef};
use crate::reason::Reason;
use crate::revision::Revision;

/// Longest value of a field that is shown, bytes of JSON.
pub const MAX_VALUE_BYTES: usize = 200;

/// What an agent would do about one application now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationPlan {
    /// Its name in the fleet file.
    pub application: ApplicationName,
    /// The commit that was planned for; none: nothing is assigned, or there is no hub that assigns.
    pub revision: Option<Revision>,
    /// What differs, is made, deleted, or not touched on purpose; at most [`crate::plan::MAX_CHANGES`].
    pub changes: Vec<ObjectChange>,
    /// Objects that are unchanged.
    pub unchanged: u32,
    /// There are more changes than are shown.
    pub truncated: bool,
    /// Why there is no plan, or not of the newest commit, for a person; empty: there is.
    pub error: String,
}

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectChange {
    /// Which one.
    pub object: ObjectRef,
    /// What would be done.
    pub action: Action,
    /// Why something is not done.
    pub reason: Option<Reason>,
    /// For a person.
    pub message: String,
    /// Field by field; at most [`crate::plan::MAX_FIELDS`].
    pub fields: Vec<FieldChange>,
}

/// One field; values are JSON, at most [`MAX_VALUE_BYTES`], and empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// RFC 6901.
    pub path: String,
    /// As it is.
    pub live: String,
    /// As it would be.
    pub desired: String,
}

impl ApplicationPlan {
    /// Of an application, with nothing in it yet.
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
    /// Of an object, with nothing more to say.
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
