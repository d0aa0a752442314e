//! Which rights an agent needs. Pure.

use std::collections::BTreeMap;

/// What comparing, noticing, applying and pruning need.
const APPLY: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    /// What it is for; rights for the same stand together.
    pub(crate) purpose: String,
    /// Such as `get`.
    pub(crate) verb: &'static str,
    /// The API group; empty: core.
    pub(crate) group: String,
    /// In the plural.
    pub(crate) resource: String,
    /// Where; empty: in all namespaces.
    pub(crate) namespace: String,
    /// Empty: any name.
    pub(crate) name: String,
}

/// A kind that is applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// The API group; empty: core.
    pub(crate) group: String,
    /// In the plural.
    pub(crate) resource: String,
}

fn right(
    purpose: &str,
    verb: &'static str,
    (group, resource): (&str, &str),
    namespace: &str,
    name: &str,
) -> Right {
    Right {
        purpose: purpose.to_owned(),
        verb,
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// What the agent needs to run: its records, the kinds that it applies, and the accounts that it writes as.
pub(crate) fn to_run(
    namespace: &str,
    kinds: &[Kind],
    accounts: &BTreeMap<String, String>,
) -> Vec<Right> {
    let mut all = Vec::new();
    let records = "its records";
    for verb in ["get", "list", "create", "patch", "delete"] {
        all.push(right(records, verb, ("", "configmaps"), namespace, ""));
    }
    all.push(right(records, "create", ("", "secrets"), namespace, ""));
    for name in ["flotilla-agent-identity", "flotilla-agent-seal"] {
        for verb in ["get", "patch"] {
            all.push(right(records, verb, ("", "secrets"), namespace, name));
        }
    }
    for verb in ["get", "create", "update"] {
        let lease = ("coordination.k8s.io", "leases");
        all.push(right("the election", verb, lease, namespace, ""));
    }
    let events = ("events.k8s.io", "events");
    all.push(right("telling people", "create", events, namespace, ""));
    for kind in kinds {
        let purpose = match kind.group.as_str() {
            "" => format!("applying {}", kind.resource),
            group => format!("applying {}.{group}", kind.resource),
        };
        for verb in APPLY {
            all.push(right(&purpose, verb, (&kind.group, &kind.resource), "", ""));
        }
    }
    for account in accounts.values() {
        if let Some((namespace, name)) = account.split_once('/') {
            let purpose = format!("writing as {account}");
            let accounts = ("", "serviceaccounts");
            all.push(right(&purpose, "impersonate", accounts, namespace, name));
        }
    }
    all
}

/// What whoever installs the agent needs.
pub(crate) fn to_install(namespace: &str) -> Vec<Right> {
    let rbac = "rbac.authorization.k8s.io";
    let mut all = Vec::new();
    for (group, resource, inside) in [
        ("", "namespaces", false),
        (rbac, "clusterroles", false),
        (rbac, "clusterrolebindings", false),
        (rbac, "roles", true),
        (rbac, "rolebindings", true),
        ("", "serviceaccounts", true),
        ("", "configmaps", true),
        ("", "secrets", true),
        ("apps", "daemonsets", true),
        ("apps", "statefulsets", true),
    ] {
        let namespace = if inside { namespace } else { "" };
        for verb in ["get", "create", "patch"] {
            let thing = (group, resource);
            all.push(right("installing it", verb, thing, namespace, ""));
        }
    }
    all
}
