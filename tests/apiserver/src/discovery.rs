//! Discovery, aggregated (KEP-3352) and plain.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::faults::StaleDiscovery;
use crate::kinds::Kind;

/// Groups in the order of their kinds, with their versions.
fn grouped(kinds: &[Kind], core: bool) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.group.is_empty() == core) {
        let index = groups.iter().position(|(group, _)| *group == kind.group);
        let index = index.unwrap_or_else(|| {
            groups.push((kind.group.clone(), Vec::new()));
            groups.len() - 1
        });
        if let Some((_, versions)) = groups.get_mut(index) {
            for version in &kind.order {
                if !versions.contains(version) {
                    versions.push(version.clone());
                }
            }
        }
    }
    groups
}

fn of<'k>(
    kinds: &'k [Kind],
    group: &'k str,
    version: &'k str,
) -> impl Iterator<Item = &'k Kind> + 'k {
    let mut found: Vec<&Kind> = kinds
        .iter()
        .filter(|kind| kind.group == group && kind.versions.contains_key(version))
        .collect();
    found.sort_by(|a, b| a.plural.cmp(&b.plural));
    found.into_iter()
}

/// One version of a group, as the aggregator knows it.
fn aggregated_version(
    kinds: &[Kind],
    group: &str,
    version: &str,
    away: &BTreeMap<String, StaleDiscovery>,
) -> Value {
    let resources = || -> Vec<Value> {
        of(kinds, group, version)
            .map(|kind| resource(kind, version))
            .collect()
    };
    match away.get(&format!("{group}/{version}")) {
        None => json!({"version": version, "freshness": "Current", "resources": resources()}),
        Some(StaleDiscovery::Remembered) => {
            json!({"version": version, "freshness": "Stale", "resources": resources()})
        }
        Some(StaleDiscovery::Unknown) => json!({"version": version, "freshness": "Stale"}),
    }
}

/// `/api` and `/apis` in their aggregated form.
pub(crate) fn aggregated(
    kinds: &[Kind],
    core: bool,
    away: &BTreeMap<String, StaleDiscovery>,
) -> Value {
    let items: Vec<Value> = grouped(kinds, core)
        .into_iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| aggregated_version(kinds, &group, version, away))
                .collect();
            let metadata = if core {
                json!({})
            } else {
                json!({ "name": group })
            };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn resource(kind: &Kind, version: &str) -> Value {
    let mut out = Map::new();
    out.insert("resource".to_owned(), json!(kind.plural));
    let own = if kind.custom {
        json!({"group": kind.group, "version": version, "kind": kind.kind})
    } else {
        json!({"group": "", "version": "", "kind": kind.kind})
    };
    out.insert("responseKind".to_owned(), own);
    let scope = if kind.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    out.insert("scope".to_owned(), json!(scope));
    out.insert("singularResource".to_owned(), json!(kind.singular));
    out.insert("verbs".to_owned(), json!(kind.verbs));
    if !kind.short_names.is_empty() {
        out.insert("shortNames".to_owned(), json!(kind.short_names));
    }
    if !kind.categories.is_empty() {
        out.insert("categories".to_owned(), json!(kind.categories));
    }
    let subresources: Vec<Value> = kind
        .versions
        .get(version)
        .into_iter()
        .flat_map(|version| &version.subresources)
        .map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
                "verbs": sub.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        out.insert("subresources".to_owned(), Value::Array(subresources));
    }
    Value::Object(out)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resources(kinds: &[Kind], group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for kind in of(kinds, group, version) {
        let mut out = json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": kind.verbs,
        });
        if let Value::Object(out) = &mut out {
            if !kind.short_names.is_empty() {
                out.insert("shortNames".to_owned(), json!(kind.short_names));
            }
            if !kind.categories.is_empty() {
                out.insert("categories".to_owned(), json!(kind.categories));
            }
        }
        resources.push(out);
        let versions = kind.versions.get(version);
        for sub in versions
            .into_iter()
            .flat_map(|version| &version.subresources)
        {
            let mut out = json!({
                "name": format!("{}/{}", kind.plural, sub.name),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": sub.kind,
                "verbs": sub.verbs,
            });
            if let (false, Value::Object(out)) =
                (sub.group.is_empty() || sub.group == group, &mut out)
            {
                out.insert("group".to_owned(), json!(sub.group));
                out.insert("version".to_owned(), json!(sub.version));
            }
            resources.push(out);
        }
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    (!resources.is_empty()).then(|| {
        let mut list = json!({
            "kind": "APIResourceList",
            "groupVersion": group_version,
            "resources": resources,
        });
        if let Value::Object(list) = &mut list {
            // The document of the core group has no `apiVersion`.
            if !group.is_empty() {
                list.insert("apiVersion".to_owned(), json!("v1"));
            }
        }
        list
    })
}

fn group(name: &str, versions: &[String]) -> Value {
    let all: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({ "name": name, "versions": all, "preferredVersion": all.first() })
}

/// `/apis`, plain.
pub(crate) fn groups(kinds: &[Kind]) -> Value {
    let groups: Vec<Value> = grouped(kinds, false)
        .iter()
        .map(|(name, versions)| group(name, versions))
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/GROUP`.
pub(crate) fn one_group(kinds: &[Kind], name: &str) -> Option<Value> {
    let (name, versions) = grouped(kinds, false)
        .into_iter()
        .find(|(group, _)| group == name)?;
    let mut value = group(&name, &versions);
    if let Value::Object(map) = &mut value {
        map.insert("kind".to_owned(), json!("APIGroup"));
        map.insert("apiVersion".to_owned(), json!("v1"));
    }
    Some(value)
}
