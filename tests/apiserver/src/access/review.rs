//! Access reviews: SelfSubjectReview, SelfSubjectAccessReview and the like.

use serde_json::{Value, json};

use super::{Attributes, MASTERS, User, list, may, rules, text};
use crate::status::{Failure, bad_request, details, failure};
use crate::store::Store;

/// Answers access reviews.
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
    let act = Attributes {
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
