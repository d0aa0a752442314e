//! The agent's own rules, set at installation and never by the hub. Pure.
//!
//! The hub can only choose among what these rules allow; see reliability.md, V1 to V14.

mod admit;

use std::collections::BTreeSet;

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, RepositoryUrl, TreePath};
use serde::Deserialize;

pub use admit::{Refusal, admit};

/// The policy file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Policy {
    /// Exact URLs that may be pulled; empty: any of an allowed scheme.
    pub repositories: BTreeSet<RepositoryUrl>,
    /// Branches that may be assigned; empty: any.
    pub branches: BTreeSet<BranchName>,
    /// Directories below which an assigned path must be; empty: any.
    pub paths: BTreeSet<TreePath>,
    /// Namespaces that may be written; empty: any but the agent's own.
    pub namespaces: BTreeSet<String>,
    /// Kinds that may be written, as `Kind` or `Kind.group`; empty: any.
    pub kinds: BTreeSet<String>,
    /// `http://` to other machines.
    pub allow_http: bool,
    /// `file://`, which starts `git upload-pack` here.
    pub allow_file: bool,
    /// How much one turn may delete.
    pub delete_budget: DeleteBudget,
    /// Kinds that are only deleted after a local confirmation.
    pub protected_kinds: BTreeSet<String>,
}

/// How much one turn of one application may delete. Over it, nothing is deleted at all.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct DeleteBudget {
    /// Most objects.
    pub count: u32,
    /// Largest share of the application's objects, percent; asked only above three objects, so that
    /// small applications can shrink at all.
    pub percent: u32,
}

impl Default for DeleteBudget {
    fn default() -> Self {
        Self {
            count: 10,
            percent: 50,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        let protected = [
            "Namespace",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "StatefulSet.apps",
            "CustomResourceDefinition.apiextensions.k8s.io",
        ];
        Self {
            repositories: BTreeSet::new(),
            branches: BTreeSet::new(),
            paths: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            kinds: BTreeSet::new(),
            allow_http: false,
            allow_file: false,
            delete_budget: DeleteBudget::default(),
            protected_kinds: protected.map(str::to_owned).into(),
        }
    }
}

fn kind_name(object: &ObjectRef) -> String {
    if object.group.is_empty() {
        object.kind.clone()
    } else {
        format!("{}.{}", object.kind, object.group)
    }
}

impl Policy {
    /// Whether an object may be written; `own_namespace` is where the agent lives.
    #[must_use]
    pub fn object(&self, object: &ObjectRef, own_namespace: &str) -> Option<(Reason, String)> {
        let own = object.namespace == own_namespace
            || (object.kind == "Namespace"
                && object.group.is_empty()
                && object.name == own_namespace)
            || (object.group == "rbac.authorization.k8s.io"
                && object.name.starts_with("flotilla-agent"));
        if own {
            return Some((
                Reason::ProtectedObject,
                format!("{object} is part of the agent's own installation"),
            ));
        }
        if !self.kinds.is_empty()
            && !self.kinds.contains(&kind_name(object))
            && !self.kinds.contains(&object.kind)
        {
            return Some((
                Reason::KindNotAllowed,
                format!("kind {} is not in the agent's policy", kind_name(object)),
            ));
        }
        if !self.namespaces.is_empty()
            && !object.namespace.is_empty()
            && !self.namespaces.contains(&object.namespace)
        {
            return Some((
                Reason::NamespaceNotAllowed,
                format!(
                    "namespace {} is not in the agent's policy",
                    object.namespace
                ),
            ));
        }
        None
    }

    /// Whether objects of the kind are only deleted after a confirmation.
    #[must_use]
    pub fn is_protected(&self, object: &ObjectRef) -> bool {
        self.protected_kinds.contains(&kind_name(object))
    }

    /// Whether `deletes` of `total` objects are more than one turn may delete.
    #[must_use]
    pub fn over_budget(&self, deletes: usize, total: usize) -> bool {
        let budget = self.delete_budget;
        deletes > budget.count as usize
            || (deletes > 3
                && deletes.saturating_mul(100) > total.saturating_mul(budget.percent as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectRef {
        let text = |text: &str| text.to_owned();
        ObjectRef {
            group: text(group),
            kind: text(kind),
            namespace: text(namespace),
            name: text(name),
        }
    }

    #[test]
    fn r11_rules_are_about_the_final_object() {
        let policy = Policy {
            namespaces: ["web".to_owned()].into(),
            kinds: ["ConfigMap".to_owned(), "Deployment.apps".to_owned()].into(),
            ..Policy::default()
        };
        let reason = |object: ObjectRef| policy.object(&object, "flotilla-system").map(|(r, _)| r);
        assert_eq!(reason(object("", "ConfigMap", "web", "a")), None);
        assert_eq!(reason(object("apps", "Deployment", "web", "a")), None);
        let role = object("rbac.authorization.k8s.io", "ClusterRoleBinding", "", "x");
        assert_eq!(reason(role), Some(Reason::KindNotAllowed));
        assert_eq!(
            reason(object("", "ConfigMap", "kube-system", "a")),
            Some(Reason::NamespaceNotAllowed)
        );
        for own in [
            object("", "ConfigMap", "flotilla-system", "a"),
            object("", "Namespace", "", "flotilla-system"),
            object(
                "rbac.authorization.k8s.io",
                "ClusterRole",
                "",
                "flotilla-agent",
            ),
        ] {
            assert_eq!(reason(own), Some(Reason::ProtectedObject));
        }
    }

    #[test]
    fn p13_the_budget_counts_and_shares() {
        let policy = Policy::default();
        assert!(!policy.over_budget(3, 3));
        assert!(policy.over_budget(4, 7));
        assert!(!policy.over_budget(4, 8));
        assert!(policy.over_budget(11, 1000));
    }
}
