//! Kubernetes objects as the fleet speaks of them.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The names that identify an object in its cluster; no version, since one object is served at several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectNames {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace; empty for a cluster-scoped object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Identifies an object in its cluster. Cheap to clone: an agent keeps each of ten thousand objects in
/// many places at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "ObjectNames", into = "ObjectNames")]
pub struct ObjectRef(Arc<ObjectNames>);

impl Deref for ObjectRef {
    type Target = ObjectNames;

    fn deref(&self) -> &ObjectNames {
        &self.0
    }
}

impl From<ObjectNames> for ObjectRef {
    fn from(names: ObjectNames) -> Self {
        Self(Arc::new(names))
    }
}

impl From<ObjectRef> for ObjectNames {
    fn from(object: ObjectRef) -> Self {
        Arc::unwrap_or_clone(object.0)
    }
}

impl Ord for ObjectRef {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for ObjectRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ObjectRef {
    /// `Deployment.apps guestbook/frontend`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        f.write_str(" ")?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        write!(f, "{}", self.name)
    }
}

/// What was last done to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// It was not there and was made.
    Created,
    /// A field of ours differed and was set.
    Updated,
    /// Nothing to do.
    Unchanged,
    /// It left the rendered set and was deleted.
    Pruned,
    /// Not touched, on purpose.
    Skipped,
    /// A delete that waits for a person.
    Held,
    /// The write was refused or failed.
    Failed,
}

impl Action {
    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Updated => "Updated",
            Self::Unchanged => "Unchanged",
            Self::Pruned => "Pruned",
            Self::Skipped => "Skipped",
            Self::Held => "Held",
            Self::Failed => "Failed",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
