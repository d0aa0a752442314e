//! What an object is: group, version and kind, name and namespace, as Kustomize's `resid` compares them.

use super::failure::{Failure, Outcome};

/// The namespace of an object that cannot have one (`resid.TotallyNotANamespace`).
pub(crate) const NO_NAMESPACE: &str = "_non_namespaceable_";
/// The namespace of an object without one.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// Group, version and kind; empty parts of a pattern match anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Gvk {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// Version without the group.
    pub(crate) version: String,
    pub(crate) kind: String,
}

impl Gvk {
    /// From an `apiVersion` and a kind.
    pub(crate) fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// Whether a pattern's non-empty parts are equal.
    pub(crate) fn is_selected(&self, pattern: &Self) -> bool {
        let part = |pattern: &str, value: &str| pattern.is_empty() || pattern == value;
        part(&pattern.kind, &self.kind)
            && part(&pattern.group, &self.group)
            && part(&pattern.version, &self.version)
    }
}

impl std::fmt::Display for Gvk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |text: &'_ str| -> String {
            if text.is_empty() {
                "*".to_owned()
            } else {
                text.to_owned()
            }
        };
        write!(
            f,
            "{}/{} {}",
            part(&self.group),
            part(&self.version),
            part(&self.kind)
        )
    }
}

/// An object's identity at some time of the render.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ResId {
    pub(crate) gvk: Gvk,
    /// `metadata.name`.
    pub(crate) name: String,
    /// `metadata.namespace` as written, or [`NO_NAMESPACE`] in former identities.
    pub(crate) namespace: String,
    /// Whether the kind is certainly cluster-scoped.
    pub(crate) cluster_scoped: bool,
}

impl ResId {
    /// The namespace that counts when identities are compared.
    pub(crate) fn effective_namespace(&self) -> &str {
        if self.cluster_scoped {
            NO_NAMESPACE
        } else if self.namespace.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            &self.namespace
        }
    }

    /// Whether both name the same object.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        self.name == other.name
            && self.gvk == other.gvk
            && self.effective_namespace() == other.effective_namespace()
    }

    /// The parts that [`Self::equals`] compares, for lookups.
    pub(crate) fn key(&self) -> (Gvk, String, String) {
        (
            self.gvk.clone(),
            self.name.clone(),
            self.effective_namespace().to_owned(),
        )
    }
}

impl std::fmt::Display for ResId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.gvk)?;
        match self.effective_namespace() {
            NO_NAMESPACE => write!(f, "{}", self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// The error if not exactly one object matches.
pub(crate) fn exactly_one<T: Copy>(matches: &[T], requested: &ResId) -> Outcome<T> {
    match matches {
        [found] => Ok(*found),
        [] => Err(Failure::render(format!("no object matches {requested}"))),
        several => Err(Failure::render(format!(
            "{} objects match {requested}; name one of them exactly",
            several.len()
        ))),
    }
}
