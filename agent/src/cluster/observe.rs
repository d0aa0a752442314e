//! What is: lists by kind and namespace, never a request per object.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::digest::Digest;
use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use serde_json::Value;

use super::Cluster;
use super::api::Error;
use super::discovery::Resource;
use crate::health::{ObjectHealth, compute};
use crate::inventory::Inventory;
use crate::plan::{APPLICATION_ANNOTATION, Desired, Live, Observed, PRUNE_ANNOTATION, is_subset};

/// Objects of one page of a list.
const PAGE: usize = 500;
/// A kind is listed across all namespaces when its objects are in more than so many.
const MANY_NAMESPACES: usize = 8;

/// What was seen, with the health of each object.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) observed: Observed,
    pub(super) health: BTreeMap<ObjectRef, ObjectHealth>,
    /// Why it is not complete.
    pub(super) problem: Option<Error>,
}

pub(super) fn digest_of(value: &Value) -> Digest {
    Digest::of(value.to_string().as_bytes())
}

pub(super) fn annotation<'v>(value: &'v Value, key: &str) -> &'v str {
    value
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

impl Cluster {
    /// Looks at everything that is desired or in the inventory.
    pub(super) async fn observe(&self, desired: &[Desired], inventory: &Inventory) -> Seen {
        let mut seen = Seen::default();
        seen.observed.complete = true;
        let wanted: BTreeMap<&ObjectRef, &Desired> =
            desired.iter().map(|d| (&d.object, d)).collect();
        let mut places: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        let mut resources: BTreeMap<(String, String), Resource> = BTreeMap::new();
        let versions = desired
            .iter()
            .map(|d| (&d.object, d.version.as_str()))
            .chain(inventory.entries().map(|entry| (&entry.object, "")));
        {
            let mut discovery = self.discovery.lock().await;
            let missing = desired.iter().any(|d| {
                discovery
                    .find(&d.object.group, &d.version, &d.object.kind)
                    .is_none()
            });
            if let Err(error) = discovery.refresh(&self.api, missing).await {
                seen.observed.complete = false;
                seen.problem = Some(error);
                return seen;
            }
            seen.observed.complete = discovery.is_complete();
            for (object, version) in versions {
                match discovery.find(&object.group, version, &object.kind) {
                    Some(resource) => {
                        let key = (object.group.clone(), object.kind.clone());
                        places
                            .entry(key.clone())
                            .or_default()
                            .insert(object.namespace.clone());
                        // A desired version comes first and stays.
                        resources.entry(key).or_insert_with(|| resource.clone());
                    }
                    None if wanted.contains_key(object) => {
                        seen.observed.unknown_kinds.insert(object.clone());
                    }
                    // A kind that is gone for good took its objects with it; one that is only missing
                    // from a partial discovery did not, and `complete` says so.
                    None => {}
                }
            }
        }
        for (key, namespaces) in &places {
            let Some(resource) = resources.get(key) else {
                continue;
            };
            let everywhere = !resource.namespaced || namespaces.len() > MANY_NAMESPACES;
            let namespaces: Vec<&str> = if everywhere {
                vec![""]
            } else {
                namespaces.iter().map(String::as_str).collect()
            };
            for namespace in namespaces {
                let listed = self
                    .list(resource, namespace, |item| {
                        self.take(&key.0, &key.1, item, &wanted, inventory, &mut seen);
                    })
                    .await;
                match listed {
                    Ok(()) => {}
                    Err(error) => {
                        seen.observed.complete = false;
                        seen.problem = Some(error);
                    }
                }
            }
        }
        let managed = places
            .keys()
            .filter_map(|key| resources.get(key))
            .cloned()
            .collect();
        let objects = wanted
            .keys()
            .copied()
            .chain(inventory.entries().map(|e| &e.object));
        self.watches.fit(managed, objects);
        seen
    }

    /// Reads a collection page by page; only `take` decides what of it is kept.
    async fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        mut take: impl FnMut(&mut Value),
    ) -> Result<(), Error> {
        let mut token = String::new();
        loop {
            let path = format!("{}?limit={PAGE}{token}", resource.collection(namespace));
            let mut page = self.api.get(&path).await?;
            for item in page
                .get_mut("items")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                take(item);
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(next) if !next.is_empty() => token = format!("&continue={}", encode(next)),
                _ => return Ok(()),
            }
        }
    }

    fn take(
        &self,
        group: &str,
        kind: &str,
        item: &mut Value,
        wanted: &BTreeMap<&ObjectRef, &Desired>,
        inventory: &Inventory,
        seen: &mut Seen,
    ) {
        let text = |pointer: &str| {
            item.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let object = ObjectRef {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
        };
        let desired = wanted.get(&object).copied();
        if desired.is_none() && inventory.get(&object).is_none() {
            return;
        }
        // Items of a list do not repeat their type.
        if let Value::Object(map) = item {
            let version = desired.map_or("", |d| d.version.as_str());
            let api_version = if group.is_empty() {
                version.to_owned()
            } else {
                format!("{group}/{version}")
            };
            map.entry("apiVersion")
                .or_insert(Value::String(api_version));
            map.entry("kind").or_insert(Value::String(kind.to_owned()));
        }
        let live = self.live(&object, item, desired);
        seen.health.insert(object.clone(), compute(item));
        seen.observed.live.insert(object, live);
    }

    fn live(&self, object: &ObjectRef, item: &Value, desired: Option<&Desired>) -> Live {
        let uid = item
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let generation = item
            .pointer("/metadata/generation")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        let matches = desired.is_some_and(|desired| {
            if is_subset(&desired.value, item) {
                return true;
            }
            let proven = self.proven.lock().get(object).cloned();
            proven.is_some_and(|proven| {
                generation > 0
                    && proven.uid == uid
                    && proven.generation == generation
                    && proven.desired == digest_of(&desired.value)
                    && is_subset(
                        desired.value.get("metadata").unwrap_or(&Value::Null),
                        item.get("metadata").unwrap_or(&Value::Null),
                    )
            })
        });
        Live {
            uid: uid.to_owned(),
            application: annotation(item, APPLICATION_ANNOTATION).to_owned(),
            prune: annotation(item, PRUNE_ANNOTATION).to_owned(),
            terminating: item.pointer("/metadata/deletionTimestamp").is_some(),
            matches,
        }
    }

    /// What serves an object's kind.
    pub(super) async fn resource(
        &self,
        object: &ObjectRef,
        version: &str,
    ) -> Result<Resource, Error> {
        let discovery = self.discovery.lock().await;
        discovery
            .find(&object.group, version, &object.kind)
            .cloned()
            .ok_or_else(|| Error {
                code: 404,
                reason: Reason::UnknownKind,
                message: format!("the API server does not serve {version} {object}"),
                retry_after: None,
            })
    }
}

fn encode(token: &str) -> String {
    token
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
