//! References to Kubernetes objects.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
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
    /// `metadata.name`.
    pub name: String,
}

/// Identifies an object in its cluster. Cheap to clone and to compare: an agent keeps each of ten thousand objects in
/// several sorted collections.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "ObjectNames", into = "ObjectNames")]
pub struct ObjectRef(Arc<KeyedNames>);

struct KeyedNames {
    names: ObjectNames,
    /// All names in one buffer: comparing four separate texts took most of the time of a pass without changes.
    key: Box<[u8]>,
}

impl Deref for ObjectRef {
    type Target = ObjectNames;

    fn deref(&self) -> &ObjectNames {
        &self.0.names
    }
}

impl From<ObjectNames> for ObjectRef {
    fn from(names: ObjectNames) -> Self {
        let parts = [&names.group, &names.kind, &names.namespace, &names.name];
        let key = parts.map(String::as_bytes).join(&0).into_boxed_slice();
        Self(Arc::new(KeyedNames { names, key }))
    }
}

impl From<ObjectRef> for ObjectNames {
    fn from(object: ObjectRef) -> Self {
        match Arc::try_unwrap(object.0) {
            Ok(named) => named.names,
            Err(shared) => shared.names.clone(),
        }
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.names.fmt(f)
    }
}

impl PartialEq for ObjectRef {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ObjectRef {}

impl Hash for ObjectRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl Ord for ObjectRef {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        let by_key = self.0.key.cmp(&other.0.key);
        // Names from outside may contain the separator byte, so equal keys are compared by name.
        by_key.then_with(|| self.0.names.cmp(&other.0.names))
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

/// Last action on one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// It was missing and was created.
    Created,
    /// A managed field differed and was set.
    Updated,
    /// Nothing to do.
    Unchanged,
    /// It was removed from the rendered set and deleted.
    Pruned,
    /// Left alone on purpose.
    Skipped,
    /// A deletion that waits for an operator.
    Held,
    /// The write was refused or failed.
    Failed,
}

impl Action {
    /// Returns the name of the value.
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

    /// Returns the action's name in a plan.
    #[must_use]
    pub fn planned(self) -> &'static str {
        match self {
            Self::Created => "create",
            Self::Updated => "update",
            Self::Unchanged => "none",
            Self::Pruned => "delete",
            Self::Skipped => "skip",
            Self::Held => "hold",
            Self::Failed => "fail",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(parts: [&str; 4]) -> ObjectRef {
        let [group, kind, namespace, name] = parts.map(str::to_owned);
        ObjectRef::from(ObjectNames {
            group,
            kind,
            namespace,
            name,
        })
    }

    #[test]
    fn objects_are_ordered_and_told_apart_as_their_names() {
        let parts = [
            ["", "ConfigMap", "a", "b"],
            ["", "ConfigMap", "a", "bc"],
            ["", "ConfigMap", "ab", "a"],
            ["", "ConfigMap", "", "ab\0a"],
            ["", "ConfigMap", "\0a", "b"],
            ["", "ConfigMap\0a", "b", ""],
            ["apps", "Deployment", "a", "b"],
            ["apps", "Deployment", "", "b"],
        ];
        for a in parts {
            for b in parts {
                assert_eq!(object(a) == object(b), a == b, "{a:?} {b:?}");
                if !a.concat().contains('\0') && !b.concat().contains('\0') {
                    assert_eq!(object(a).cmp(&object(b)), a.cmp(&b), "{a:?} {b:?}");
                }
            }
        }
    }
}
