//! Discovery, aggregated (KEP-3352) and plain.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kinds::Kind;

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// `/api` and `/apis` in their aggregated form.
pub(crate) fn aggregated(kinds: &[Kind], core: bool) -> Value {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| kind.group.is_empty() == core) {
        for version in &kind.versions {
            groups
                .entry(&kind.group)
                .or_default()
                .entry(version)
                .or_default()
                .push(json!({
                    "resource": kind.plural,
                    "responseKind": { "group": kind.group, "version": version, "kind": kind.kind },
                    "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
                    "singularResource": kind.kind.to_lowercase(),
                    "verbs": VERBS,
                }));
        }
    }
    let items: Vec<Value> = groups
        .into_iter()
        .map(|(group, versions)| {
            let mut versions: Vec<Value> = versions
                .into_iter()
                .map(|(version, resources)| {
                    json!({ "version": version, "freshness": "Current", "resources": resources })
                })
                .collect();
            // v2 is preferred to v1.
            versions.reverse();
            json!({ "metadata": { "name": group, "creationTimestamp": null }, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resources(kinds: &[Kind], group: &str, version: &str) -> Option<Value> {
    let resources: Vec<Value> = kinds
        .iter()
        .filter(|kind| kind.group == group && kind.versions.iter().any(|have| have == version))
        .map(|kind| {
            json!({
                "name": kind.plural,
                "singularName": kind.kind.to_lowercase(),
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": VERBS,
            })
        })
        .collect();
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    (!resources.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        })
    })
}

/// `/apis`, plain.
pub(crate) fn groups(kinds: &[Kind]) -> Value {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| !kind.group.is_empty()) {
        let versions = names.entry(&kind.group).or_default();
        for version in &kind.versions {
            if !versions.contains(&version.as_str()) {
                versions.push(version);
            }
        }
    }
    let groups: Vec<Value> = names
        .into_iter()
        .map(|(group, versions)| {
            let all: Vec<Value> = versions
                .iter()
                .map(|v| json!({ "groupVersion": format!("{group}/{v}"), "version": v }))
                .collect();
            json!({ "name": group, "versions": all, "preferredVersion": all.first() })
        })
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}
