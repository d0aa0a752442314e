//! Checks that no list with keys in the API server's schema is forgotten.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cases::cases;

/// Lists that are not configuration, or that no object of a GitOps agent can have.
const ELSEWHERE: &[&str] = &[
    // Set by controllers.
    "ownerReferences",
    // Only writable through a subresource of pods.
    "ephemeralContainers",
    // Written by the kubelet.
    "drivers",
    // Part of status.
    "conditions",
    // Keyed by the rule itself, within a schema that is atomic.
    "x-kubernetes-validations",
    // Admission policies: the same as match conditions of webhooks.
    "variables",
];

/// Every list with keys in the schema has a case, or a reason why it has none.
#[test]
fn every_list_with_keys_is_here() {
    let text = include_str!("../../../apiserver/src/schema/builtin.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    let mut known: BTreeSet<(String, String)> = BTreeSet::new();
    for case in cases() {
        let field = case.pointer.rsplit('/').next().unwrap();
        known.insert((field.to_owned(), case.keys.join(",")));
    }
    let mut missing = BTreeSet::new();
    let kinds = schema.get("kinds").and_then(Value::as_array).unwrap();
    let mut open: Vec<String> = kinds
        .iter()
        .filter_map(|kind| kind.get("type")?.as_str().map(str::to_owned))
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(kind) = schema.pointer("/types").and_then(|types| types.get(&name)) else {
            continue;
        };
        if seen.insert(name.clone()) {
            look(kind, "", &mut open, &mut |field, keys| {
                let is_known = known.contains(&(field.to_owned(), keys.to_owned()));
                let is_status = name.ends_with("Status") || name.contains("Slice");
                if !is_known && !is_status && !ELSEWHERE.contains(&field) {
                    missing.insert(format!("{name}.{field} by {keys}"));
                }
            });
        }
    }
    assert!(seen.len() > 100, "{}", seen.len());
    assert_eq!(missing, BTreeSet::new());
}

fn look(schema: &Value, field: &str, open: &mut Vec<String>, found: &mut dyn FnMut(&str, &str)) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        open.push(name.to_owned());
    }
    let keys = schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array);
    if let Some(keys) = keys {
        let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        found(field, &keys.join(","));
    }
    for (name, inner) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        look(inner, name, open, found);
    }
    for part in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(part) {
            look(inner, field, open, found);
        }
    }
    for inner in schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        look(inner, field, open, found);
    }
}
