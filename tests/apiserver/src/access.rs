//! Authentication and authorisation: client certificates, bearer tokens, impersonation, RBAC.

mod escalation;
mod review;
mod user;

use serde_json::{Value, json};

use crate::status::{Failure, failure, forbidden};
use crate::store::Store;

pub(crate) use escalation::escalation;
pub(crate) use review::review;
pub use user::User;
pub(crate) use user::{authenticate, impersonated};

/// The group that may do everything, without RBAC.
pub(crate) const MASTERS: &str = "system:masters";
const RBAC: &str = "rbac.authorization.k8s.io";

/// The attributes of a request that authorisation decides about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Set for a path that is not a resource.
    pub(crate) path: String,
}

impl Attributes {
    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The refusal in the API server's words.
    pub(crate) fn refusal(&self, user: &User) -> Failure {
        if !self.path.is_empty() {
            let message = format!(
                "forbidden: User \"{}\" cannot {} path \"{}\"",
                user.name, self.verb, self.path
            );
            return failure(403, "Forbidden", message).with("details", json!({}));
        }
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", self.namespace)
        };
        let why = format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            user.name,
            self.verb,
            self.full_resource(),
            self.group
        );
        forbidden(&self.group, &self.resource, &self.name, &why)
    }
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v str> + Clone {
    let list = value.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether one rule of a role allows an act.
fn allows(rule: &Value, act: &Attributes) -> bool {
    let covers =
        |name: &str, requested: &str| list(rule, name).any(|have| have == "*" || have == requested);
    if !covers("verbs", &act.verb) {
        return false;
    }
    if !act.path.is_empty() {
        return list(rule, "nonResourceURLs").any(|have| {
            have == act.path
                || have
                    .strip_suffix('*')
                    .is_some_and(|start| act.path.starts_with(start))
        });
    }
    let resource = act.full_resource();
    let named = list(rule, "resourceNames").next().is_none()
        || (!act.name.is_empty() && list(rule, "resourceNames").any(|have| have == act.name));
    let any_of = list(rule, "resources").any(|have| {
        have == "*"
            || have == resource
            || have
                .strip_prefix("*/")
                .is_some_and(|sub| !act.subresource.is_empty() && sub == act.subresource)
    });
    covers("apiGroups", &act.group) && any_of && named
}

fn is_subject(subject: &Value, user: &User, namespace: &str) -> bool {
    match text(subject, "kind") {
        "User" => text(subject, "name") == user.name,
        "Group" => user.has(text(subject, "name")),
        "ServiceAccount" => {
            let namespace = match text(subject, "namespace") {
                "" => namespace,
                given => given,
            };
            user.name
                == format!(
                    "system:serviceaccount:{namespace}:{}",
                    text(subject, "name")
                )
        }
        _ => false,
    }
}

/// The rules of the role that a binding refers to.
pub(crate) fn rules_of(store: &Store, reference: &Value, namespace: &str) -> Vec<Value> {
    let (plural, namespace) = match text(reference, "kind") {
        "Role" => ("roles", namespace),
        _ => ("clusterroles", ""),
    };
    let key = (
        RBAC.to_owned(),
        plural.to_owned(),
        namespace.to_owned(),
        text(reference, "name").to_owned(),
    );
    let role = store.get(&key);
    role.and_then(|role| role.get("rules"))
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// Every rule that applies to a user: cluster-wide, and in a namespace if one is given.
pub(crate) fn rules(store: &Store, user: &User, namespace: &str) -> Vec<Value> {
    let mut rules = Vec::new();
    let mut add = |plural: &str, place: &str| {
        for (_, binding) in store.range(RBAC, plural, place) {
            let subjects = binding.get("subjects").and_then(Value::as_array);
            let is_meant = subjects
                .into_iter()
                .flatten()
                .any(|subject| is_subject(subject, user, place));
            if let (true, Some(reference)) = (is_meant, binding.get("roleRef")) {
                rules.extend(rules_of(store, reference, place));
            }
        }
    };
    add("clusterrolebindings", "");
    if !namespace.is_empty() {
        add("rolebindings", namespace);
    }
    rules
}

/// Whether a user may do something.
pub(crate) fn may(store: &Store, user: &User, act: &Attributes) -> bool {
    user.has(MASTERS)
        || rules(store, user, &act.namespace)
            .iter()
            .any(|rule| allows(rule, act))
}

/// Refuses an impersonation that the authenticated user may not perform.
pub(crate) fn may_impersonate(store: &Store, user: &User, other: &User) -> Result<(), Failure> {
    let mut acts = Vec::new();
    let act = |group: &str, resource: &str, namespace: &str, name: &str| Attributes {
        verb: "impersonate".to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    match other
        .name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
    {
        Some((namespace, name)) => acts.push(act("", "serviceaccounts", namespace, name)),
        None => acts.push(act("", "users", "", &other.name)),
    }
    for group in &other.groups {
        if group != "system:authenticated" && !group.starts_with("system:serviceaccounts") {
            acts.push(act("", "groups", "", group));
        }
    }
    for act in acts {
        if !may(store, user, &act) {
            return Err(act.refusal(user));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::escalation::is_held;
    use super::*;

    #[test]
    fn rules_cover_what_they_say_and_no_more() {
        let rule = json!({"verbs": ["get", "patch"], "apiGroups": ["apps"],
            "resources": ["deployments", "*/status"], "resourceNames": ["web"]});
        let act = |verb: &str, resource: &str, sub: &str, name: &str| Attributes {
            verb: verb.to_owned(),
            group: "apps".to_owned(),
            resource: resource.to_owned(),
            subresource: sub.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        assert!(allows(&rule, &act("get", "deployments", "", "web")));
        assert!(!allows(&rule, &act("delete", "deployments", "", "web")));
        assert!(!allows(&rule, &act("get", "deployments", "", "other")));
        assert!(!allows(&rule, &act("get", "deployments", "scale", "web")));
        assert!(allows(
            &rule,
            &act("patch", "statefulsets", "status", "web")
        ));
        let held = [json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})];
        assert!(is_held(&rule, &held));
        assert!(!is_held(&held[0], &[rule]));
    }
}
