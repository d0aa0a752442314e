//! Rights that an agent needs. Pure.

use std::collections::BTreeMap;

/// Verbs for comparing, watching, applying and pruning.
const APPLY: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    /// Purpose; rights with the same purpose are reported together.
    pub(crate) purpose: String,
    /// Verb, such as `get`.
    pub(crate) verb: &'static str,
    /// The API group; empty: core.
    pub(crate) group: String,
    /// Resource, in the plural.
    pub(crate) resource: String,
    /// Namespace; empty: all namespaces.
    pub(crate) namespace: String,
    /// Name; empty: any name.
    pub(crate) name: String,
}

/// A kind that is applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// The API group; empty: core.
    pub(crate) group: String,
    /// Resource, in the plural.
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

/// Returns the rights for running an agent: its records, the kinds that it applies, and the accounts that it
/// impersonates.
pub(crate) fn to_run(
    namespace: &str,
    kinds: &[Kind],
    accounts: &BTreeMap<String, String>,
) -> Vec<Right> {
    let mut all = Vec::new();
    let records = "the agent's records";
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
        all.push(right("leader election", verb, lease, namespace, ""));
    }
    let events = ("events.k8s.io", "events");
    all.push(right("writing Events", "create", events, namespace, ""));
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

/// Returns the rights for installing an agent.
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
            all.push(right("installation", verb, thing, namespace, ""));
        }
    }
    all
}
