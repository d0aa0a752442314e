//! Kubernetes objects as the fleet speaks of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies an object in its cluster: group, kind, namespace and name; no version, since one object
/// is served at several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
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
