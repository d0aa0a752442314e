//! Who is asking, and whether they may: client certificates, bearer tokens, impersonation, RBAC.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::{Value, json};

use crate::status::{Failure, bad_request, details, failure, forbidden};
use crate::store::Store;

/// Those who may do everything (RBAC is not asked).
pub(crate) const MASTERS: &str = "system:masters";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Name, such as `system:serviceaccount:web:deployer`.
    pub name: String,
    /// Groups; `system:authenticated` is added by itself.
    pub groups: Vec<String>,
}

impl User {
    /// A user with groups.
    #[must_use]
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    /// The one who may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self::new("system:admin", &[MASTERS])
    }

    pub(crate) fn anonymous() -> Self {
        Self::new("system:anonymous", &["system:unauthenticated"])
    }

    /// With the groups that come with a name.
    pub(crate) fn complete(mut self) -> Self {
        if let Some(rest) = self.name.strip_prefix("system:serviceaccount:") {
            let namespace = rest.split(':').next().unwrap_or_default();
            self.groups.push("system:serviceaccounts".to_owned());
            self.groups
                .push(format!("system:serviceaccounts:{namespace}"));
        }
        let all = "system:authenticated".to_owned();
        if self.name != "system:anonymous" && !self.groups.contains(&all) {
            self.groups.push(all);
        }
        self
    }

    fn has(&self, group: &str) -> bool {
        self.groups.iter().any(|have| have == group)
    }
}

pub(crate) fn unauthorized() -> Failure {
    failure(401, "Unauthorized", "Unauthorized")
}

/// The user of a request: a bearer token goes before the certificate.
pub(crate) fn authenticate(
    headers: &HeaderMap,
    peer: Option<&User>,
    tokens: &BTreeMap<String, User>,
) -> Result<User, Failure> {
    let header = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let user = match header.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) => tokens.get(token.trim()).cloned().ok_or_else(unauthorized)?,
        None => peer.cloned().unwrap_or_else(User::anonymous),
    };
    Ok(user.complete())
}

/// Whom the headers ask to be; none where they do not.
pub(crate) fn impersonated(headers: &HeaderMap) -> Result<Option<User>, Failure> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .map(text)
        .collect();
    let Some(name) = headers.get("impersonate-user").map(text) else {
        if groups.is_empty() {
            return Ok(None);
        }
        let why = "requested groups without impersonating a user";
        return Err(failure(
            500,
            "InternalError",
            format!("Internal error occurred: {why}"),
        )
        .with("details", json!({"causes": [{"message": why}]})));
    };
    Ok(Some(User { name, groups }.complete()))
}

/// What somebody wants to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Act {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Set for what is no resource.
    pub(crate) path: String,
}

impl Act {
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
fn allows(rule: &Value, act: &Act) -> bool {
    let covers =
        |name: &str, wanted: &str| list(rule, name).any(|have| have == "*" || have == wanted);
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

/// The rules of the role that a binding names.
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

/// Every rule that holds for a user: cluster-wide, and in a namespace where one is named.
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
pub(crate) fn may(store: &Store, user: &User, act: &Act) -> bool {
    user.has(MASTERS)
        || rules(store, user, &act.namespace)
            .iter()
            .any(|rule| allows(rule, act))
}

/// Refuses an impersonation that the real user may not do.
pub(crate) fn may_impersonate(store: &Store, user: &User, other: &User) -> Result<(), Failure> {
    let mut acts = Vec::new();
    let act = |group: &str, resource: &str, namespace: &str, name: &str| Act {
        verb: "impersonate".to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Act::default()
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

/// Nobody grants what they do not hold themselves (`escalate` and `bind` allow it).
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
    let act = |verb: &str, resource: &str, name: &str| Act {
        verb: verb.to_owned(),
        group: RBAC.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Act::default()
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

/// Whether each act that a rule allows is allowed by some rule that is held.
fn is_held(rule: &Value, held: &[Value]) -> bool {
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
            let act = Act {
                verb: verb.to_owned(),
                path: path.to_owned(),
                ..Act::default()
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
                    let act = Act {
                        verb: verb.to_owned(),
                        group: group.to_owned(),
                        resource: resource.to_owned(),
                        subresource: subresource.to_owned(),
                        name,
                        ..Act::default()
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

/// Answers the reviews that ask about access.
pub(crate) fn review(
    store: &Store,
    user: &User,
    kind: &str,
    namespace: &str,
    body: &Value,
) -> Result<Value, Failure> {
    let mut answer = body.clone();
    let status = match kind {
        "SelfSubjectReview" => json!({"userInfo": {"username": user.name, "groups": user.groups}}),
        "SelfSubjectRulesReview" => {
            let place = body
                .pointer("/spec/namespace")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if place.is_empty() {
                return Err(bad_request("no namespace on request"));
            }
            let mut rules = rules(store, user, place);
            if user.has(MASTERS) {
                rules.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
                rules.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
            }
            let part = |has: &str| -> Vec<&Value> {
                rules
                    .iter()
                    .filter(|rule| rule.get(has).is_some())
                    .collect()
            };
            json!({
                "incomplete": false,
                "resourceRules": part("resources"),
                "nonResourceRules": part("nonResourceURLs"),
            })
        }
        _ => access_review(store, user, kind, namespace, body)?,
    };
    if let Value::Object(map) = &mut answer {
        map.insert("status".to_owned(), status);
        let metadata = map.entry("metadata").or_insert_with(|| json!({}));
        if metadata.is_null() {
            *metadata = json!({});
        }
    }
    Ok(answer)
}

fn access_review(
    store: &Store,
    user: &User,
    kind: &str,
    namespace: &str,
    body: &Value,
) -> Result<Value, Failure> {
    let spec = body.get("spec").cloned().unwrap_or_default();
    let (resource, path) = (
        spec.get("resourceAttributes"),
        spec.get("nonResourceAttributes"),
    );
    if resource.is_some() == path.is_some() {
        let message = format!(
            "{kind}.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: \
             exactly one of nonResourceAttributes or resourceAttributes must be specified"
        );
        return Err(failure(422, "Invalid", message).with(
            "details",
            Value::Object(details("", "authorization.k8s.io", kind)),
        ));
    }
    let of = |name: &str| {
        let value = resource
            .or(path)
            .and_then(|attributes| attributes.get(name));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let act = Act {
        verb: of("verb"),
        group: of("group"),
        resource: of("resource"),
        subresource: of("subresource"),
        namespace: match of("namespace").as_str() {
            "" => namespace.to_owned(),
            given => given.to_owned(),
        },
        name: of("name"),
        path: of("path"),
    };
    let asked = if kind == "SelfSubjectAccessReview" {
        user.clone()
    } else {
        User {
            name: text(&spec, "user").to_owned(),
            groups: list(&spec, "groups").map(str::to_owned).collect(),
        }
    };
    Ok(json!({ "allowed": may(store, &asked, &act) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_cover_what_they_say_and_no_more() {
        let rule = json!({"verbs": ["get", "patch"], "apiGroups": ["apps"],
            "resources": ["deployments", "*/status"], "resourceNames": ["web"]});
        let act = |verb: &str, resource: &str, sub: &str, name: &str| Act {
            verb: verb.to_owned(),
            group: "apps".to_owned(),
            resource: resource.to_owned(),
            subresource: sub.to_owned(),
            name: name.to_owned(),
            ..Act::default()
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
