//! The agent's own rules, set at installation and never by the hub. Pure.
//!
//! The hub can only choose among what these rules allow; see V1 to V14 of `tests/CATALOGUE.md`.

mod admit;
mod error;
mod explain;
mod gate_jobs;
mod names;
mod planned;
#[cfg(test)]
pub(crate) mod samples;
mod signing;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::object::ObjectRef;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, RepositoryUrl, TreePath};
use flotilla_trust::PinnedKey;
use serde::Deserialize;

pub use admit::{Refusal, admit, unknown_features};
pub use error::PolicyError;
pub use explain::Statement;
pub use gate_jobs::GateJobRule;
pub use planned::{BranchPattern, PlanRule};
pub use signing::{RollbackMode, RollbackRule, SignatureMode, SignatureRule};

use crate::health::HealthRule;

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
    /// Delete budget of one pass.
    pub delete_budget: DeleteBudget,
    /// Kinds that are only deleted after a local confirmation, as `Kind` or `Kind.group`.
    pub protected_kinds: BTreeSet<String>,
    /// By application: `namespace/name` of the service account that writes its objects; `*` is for
    /// all that are not listed. None: the agent's own account.
    pub service_accounts: BTreeMap<String, String>,
    /// Most requests a second to the API server.
    pub requests_per_second: u32,
    /// Health of kinds that are not known otherwise.
    pub health_rules: Vec<HealthRule>,
    /// Field managers of this cluster, besides the built-in list.
    pub managers: ManagerNames,
    /// Seconds after which a branch that is ahead of the assigned commit is reported as frozen (V6).
    pub freeze_alarm_seconds: u32,
    /// Keys that rules name.
    pub keys: Vec<PinnedKey>,
    /// Signature rules; empty: no commit has to be signed.
    pub signatures: Vec<SignatureRule>,
    /// Going back in history.
    pub rollback: RollbackRule,
    /// Branches whose commits may be planned before they are assigned.
    pub plan: PlanRule,
    /// Gate Jobs that may run.
    pub gate_jobs: GateJobRule,
}

/// Names of field managers; `*` at either end is a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ManagerNames {
    /// People: their additions to managed objects are drift.
    pub people: Vec<String>,
    /// Controllers: their additions are left alone.
    pub controllers: Vec<String>,
}

/// How much one pass of one application may delete. Over it, nothing is deleted at all. Of an application that
/// is removed the number counts alone: its share is always all.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct DeleteBudget {
    /// Most objects of an application that are deleted at once.
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
            service_accounts: BTreeMap::new(),
            requests_per_second: 2000,
            health_rules: Vec::new(),
            managers: ManagerNames::default(),
            freeze_alarm_seconds: 3600,
            keys: Vec::new(),
            signatures: Vec::new(),
            rollback: RollbackRule::default(),
            plan: PlanRule::default(),
            gate_jobs: GateJobRule::default(),
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
    pub fn object(&self, object: &ObjectRef, own_namespace: &str) -> Option<Problem> {
        let own = object.namespace == own_namespace
            || (object.kind == "Namespace"
                && object.group.is_empty()
                && object.name == own_namespace)
            || (object.group == "rbac.authorization.k8s.io"
                && object.name.starts_with("flotilla-agent"));
        if own {
            return Some(Problem::new(
                Reason::ProtectedObject,
                format!("{object} is part of the agent's own installation"),
            ));
        }
        if !self.kinds.is_empty()
            && !self.kinds.contains(&kind_name(object))
            && !self.kinds.contains(&object.kind)
        {
            return Some(Problem::new(
                Reason::KindNotAllowed,
                format!("kind {} is not in the agent's policy", kind_name(object)),
            ));
        }
        if !self.namespaces.is_empty()
            && !object.namespace.is_empty()
            && !self.namespaces.contains(&object.namespace)
        {
            return Some(Problem::new(
                Reason::NamespaceNotAllowed,
                format!(
                    "namespace {} is not in the agent's policy",
                    object.namespace
                ),
            ));
        }
        None
    }

    /// The service account that an application's objects are written as; none: the agent's own.
    #[must_use]
    pub fn account(&self, application: &flotilla_shared::id::ApplicationName) -> Option<&str> {
        let accounts = &self.service_accounts;
        let own = accounts
            .get(application.as_str())
            .or_else(|| accounts.get("*"));
        own.map(String::as_str)
    }

    /// Checks the policy as a whole.
    ///
    /// # Errors
    /// The first that is.
    pub fn check(&self) -> Result<(), PolicyError> {
        for (application, account) in &self.service_accounts {
            let is_name = |name: &str| {
                !name.is_empty()
                    && name.len() <= 253
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
            };
            let good = account
                .split_once('/')
                .is_some_and(|(namespace, name)| is_name(namespace) && is_name(name));
            if !good {
                return Err(PolicyError::Account {
                    application: application.clone(),
                    account: account.clone(),
                });
            }
        }
        self.check_names()?;
        self.check_signing()?;
        crate::health::Rules::new(&self.health_rules)?;
        Ok(())
    }

    /// Whether objects of the kind are only deleted after a confirmation.
    #[must_use]
    pub fn is_protected(&self, object: &ObjectRef) -> bool {
        self.protected_kinds.contains(&kind_name(object))
            || self.protected_kinds.contains(&object.kind)
    }

    /// Whether `deletes` of `total` objects are more than one pass may delete.
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
    use flotilla_shared::object::ObjectNames;

    use super::*;

    fn object(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectRef {
        let text = |text: &str| text.to_owned();
        ObjectRef::from(ObjectNames {
            group: text(group),
            kind: text(kind),
            namespace: text(namespace),
            name: text(name),
        })
    }

    #[test]
    fn r11_rules_are_about_the_final_object() {
        let policy = Policy {
            namespaces: ["web".to_owned()].into(),
            kinds: ["ConfigMap".to_owned(), "Deployment.apps".to_owned()].into(),
            ..Policy::default()
        };
        let reason = |object: ObjectRef| {
            let problem = policy.object(&object, "flotilla-system");
            problem.map(|problem| problem.reason)
        };
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
        let open = |object: ObjectRef| Policy::default().object(&object, "flotilla-system");
        for other in [
            object("example.com", "Namespace", "", "flotilla-system"),
            object("", "PersistentVolume", "", "flotilla-system"),
            object("", "Namespace", "", "web"),
            object("rbac.authorization.k8s.io", "ClusterRole", "", "web"),
            object("apps", "Deployment", "web", "flotilla-agent"),
        ] {
            assert_eq!(open(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn a_kind_without_its_group_is_protected_in_every_group() {
        let of = |kinds: &[&str]| Policy {
            protected_kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
            ..Policy::default()
        };
        let set = object("apps", "StatefulSet", "shop", "db");
        assert!(of(&["StatefulSet"]).is_protected(&set));
        assert!(of(&["StatefulSet.apps"]).is_protected(&set));
        assert!(!of(&["StatefulSet.example.org"]).is_protected(&set));
    }

    #[test]
    fn p13_the_budget_counts_and_shares() {
        let policy = Policy::default();
        assert!(!policy.over_budget(3, 3));
        assert!(policy.over_budget(4, 7));
        assert!(!policy.over_budget(4, 8));
        assert!(!policy.over_budget(10, 1000));
        assert!(policy.over_budget(11, 1000));
    }

    #[test]
    fn an_application_is_written_as_its_own_account_or_as_that_of_all_others() {
        let policy = |accounts: &[(&str, &str)]| Policy {
            service_accounts: accounts
                .iter()
                .map(|(name, account)| ((*name).to_owned(), (*account).to_owned()))
                .collect(),
            ..Policy::default()
        };
        let both = policy(&[("web", "web/deployer"), ("*", "flotilla-system/small")]);
        assert_eq!(both.check(), Ok(()));
        let web = "web".parse().unwrap();
        assert_eq!(both.account(&web), Some("web/deployer"));
        let shop = "shop".parse().unwrap();
        assert_eq!(both.account(&shop), Some("flotilla-system/small"));
        assert_eq!(policy(&[("shop", "a/b")]).account(&web), None);
        let long = format!("web/{}", "a".repeat(254));
        let bad = [
            "", "web", "/a", "web/", "Web/a", "web/A", "web/a/b", "we b/a", "web/ä", &long,
        ];
        for account in bad {
            let told = policy(&[("web", account)]).check().unwrap_err().to_string();
            assert!(told.contains("is not namespace/name"), "{told}");
        }
        let longest = format!("web/{}", "a".repeat(253));
        assert_eq!(policy(&[("web", &longest)]).check(), Ok(()));
    }
}
