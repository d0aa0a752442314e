//! Privilege escalation: a client that writes a role or binding cannot grant rights that it does not hold.

use serde_json::{Value, json};

use super::{Attributes, MASTERS, RBAC, User, allows, list, may, rules, rules_of, text};
use crate::status::{Failure, forbidden};
use crate::store::Store;

/// Refuses rights that the client does not hold itself, unless `escalate` or `bind` allows it.
pub(crate) fn escalation(
    store: &Store,
    user: &User,
    plural: &str,
    namespace: &str,
    object: &Value,
) -> Result<(), Failure> {
    if user.has(MASTERS) {
        return Ok(());
    }
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let act = |verb: &str, resource: &str, name: &str| Attributes {
        verb: verb.to_owned(),
        group: RBAC.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    let (given, exception) = match plural {
        "roles" | "clusterroles" => (
            object
                .get("rules")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            act("escalate", plural, name),
        ),
        "rolebindings" | "clusterrolebindings" => {
            let reference = object.get("roleRef").cloned().unwrap_or_default();
            let resource = match text(&reference, "kind") {
                "Role" => "roles",
                _ => "clusterroles",
            };
            (
                rules_of(store, &reference, namespace),
                act("bind", resource, text(&reference, "name")),
            )
        }
        _ => return Ok(()),
    };
    if may(store, user, &exception) {
        return Ok(());
    }
    let held = rules(store, user, namespace);
    let missing: Vec<&Value> = given.iter().filter(|rule| !is_held(rule, &held)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut lines = vec![format!(
        "user \"{}\" (groups={}) is attempting to grant RBAC permissions not currently held:",
        user.name,
        json!(user.groups)
    )];
    lines.extend(missing.iter().map(|rule| compact(rule)));
    Err(forbidden(RBAC, plural, name, &lines.join("\n")))
}

/// `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`
fn compact(rule: &Value) -> String {
    let names = [
        ("apiGroups", "APIGroups"),
        ("resources", "Resources"),
        ("nonResourceURLs", "NonResourceURLs"),
        ("resourceNames", "ResourceNames"),
        ("verbs", "Verbs"),
    ];
    let parts: Vec<String> = names
        .iter()
        .filter(|(field, _)| list(rule, field).next().is_some())
        .map(|(field, name)| {
            let values: Vec<String> = list(rule, field).map(|v| format!("\"{v}\"")).collect();
            format!("{name}:[{}]", values.join(" "))
        })
        .collect();
    format!("{{{}}}", parts.join(", "))
}

/// Whether each act that a rule allows is covered by a rule that the client holds.
pub(super) fn is_held(rule: &Value, held: &[Value]) -> bool {
    let or_any = |name: &str| -> Vec<String> {
        let values: Vec<String> = list(rule, name).map(str::to_owned).collect();
        if values.is_empty() {
            vec![String::new()]
        } else {
            values
        }
    };
    for verb in list(rule, "verbs") {
        for path in list(rule, "nonResourceURLs") {
            let act = Attributes {
                verb: verb.to_owned(),
                path: path.to_owned(),
                ..Attributes::default()
            };
            if !held.iter().any(|rule| allows(rule, &act)) {
                return false;
            }
        }
        for group in list(rule, "apiGroups") {
            for resource in list(rule, "resources") {
                for name in or_any("resourceNames") {
                    let (resource, subresource) =
                        resource.split_once('/').unwrap_or((resource, ""));
                    let act = Attributes {
                        verb: verb.to_owned(),
                        group: group.to_owned(),
                        resource: resource.to_owned(),
                        subresource: subresource.to_owned(),
                        name,
                        ..Attributes::default()
                    };
                    if !held.iter().any(|rule| allows(rule, &act)) {
                        return false;
                    }
                }
            }
        }
    }
    true
}
