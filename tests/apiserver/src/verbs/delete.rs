//! Deletes: preconditions, finalizers, propagation, namespaces and definitions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Call, Outcome, existing, key_of, list, text};
use crate::clock::now;
use crate::convert;
use crate::kinds::Kind;
use crate::prepare;
use crate::status::{Cause, Failure, conflict, details, forbidden, invalid};
use crate::store::{Key, Store};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

fn finalizers(object: &Value) -> Vec<String> {
    let list = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The propagation policy of a request.
fn propagation(call: &Call) -> Result<String, Failure> {
    let given = match text(&call.body, "/propagationPolicy") {
        "" => call.parameter("propagationPolicy"),
        given => given,
    };
    let allowed = ["Background", "Foreground", "Orphan"];
    if !given.is_empty() && !allowed.contains(&given) {
        let cause = Cause::unsupported("propagationPolicy", &json!(given), &allowed);
        return Err(invalid("meta.k8s.io", "DeleteOptions", "", &[cause]));
    }
    let orphans = call.body.get("orphanDependents") == Some(&Value::Bool(true));
    Ok(if orphans { "Orphan" } else { given }.to_owned())
}

pub(super) fn delete(store: &mut Store, kind: &Kind, call: &Call) -> Result<Outcome, Failure> {
    let target = &call.target;
    let (key, before) = existing(store, kind, call)?;
    let policy = propagation(call)?;
    preconditions(kind, call, &before)?;
    let is_namespace = kind.group.is_empty() && kind.kind == "Namespace";
    let permanent = ["default", "kube-system", "kube-public"];
    if is_namespace && permanent.contains(&target.name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(forbidden("", "namespaces", &target.name, why));
    }
    if call.stop.is_some() {
        let seen = convert::to(kind, &target.version, &before);
        return Ok(Outcome::seen(Some(seen), Value::Null));
    }
    let dry = call.is_dry()
        || call
            .body
            .get("dryRun")
            .is_some_and(|dry| *dry == json!(["All"]));
    let mut warnings = Vec::new();
    if (kind.group.as_str(), kind.kind.as_str()) == ("batch", "Job") && policy.is_empty() {
        warnings.push(
            "child pods are preserved by default when jobs are deleted; set \
             propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress \
             this warning"
                .to_owned(),
        );
    }
    let mut done = remove(store, kind, &key, &before, &policy, dry);
    if let Value::Object(map) = &mut done.value
        && map.get("kind") != Some(&json!("Status"))
    {
        done.value = convert::to(kind, &target.version, &done.value);
    }
    done.warnings = warnings;
    Ok(done)
}

fn preconditions(kind: &Kind, call: &Call, before: &Value) -> Result<(), Failure> {
    let name = &call.target.name;
    let expected = text(&call.body, "/preconditions/uid");
    let have = text(before, "/metadata/uid");
    let refuse = |what: &str, expected: &str, have: &str| {
        let why = format!(
            "the {what} in the precondition ({expected}) does not match the {what} in record ({have}). The \
             object might have been {}",
            if what == "UID" {
                "deleted and then recreated"
            } else {
                "modified"
            }
        );
        // The API server names the kind here, not the resource.
        conflict("", "", name, &why)
            .with(
                "details",
                Value::Object(details(name, &kind.group, &kind.kind)),
            )
            .with(
                "message",
                json!(format!(
                    "Operation cannot be fulfilled on {}{}{} \"{name}\": {why}",
                    kind.kind,
                    if kind.group.is_empty() { "" } else { "." },
                    kind.group
                )),
            )
    };
    if !expected.is_empty() && expected != have {
        return Err(refuse("UID", expected, have));
    }
    let expected = text(&call.body, "/preconditions/resourceVersion");
    let have = text(before, "/metadata/resourceVersion");
    if !expected.is_empty() && expected != have {
        return Err(refuse("ResourceVersion", expected, have));
    }
    Ok(())
}

/// Kinds for which a deletion returns the object instead of a Status (`ReturnDeletedObject`).
fn answers_with_object(kind: &Kind) -> bool {
    matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        (
            "",
            "Namespace"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "Pod"
                | "PodTemplate"
                | "ResourceQuota"
                | "Service"
                | "ServiceAccount"
        ) | ("resource.k8s.io", _)
            | (
                "storage.k8s.io",
                "CSIDriver"
                    | "CSINode"
                    | "StorageClass"
                    | "VolumeAttachment"
                    | "VolumeAttributesClass"
            )
    )
}

/// Marks an object for deletion, or removes it.
fn remove(
    store: &mut Store,
    kind: &Kind,
    key: &Key,
    before: &Arc<Value>,
    policy: &str,
    dry: bool,
) -> Outcome {
    let is_namespace = kind.group.is_empty() && kind.kind == "Namespace";
    let is_definition = kind.kind == "CustomResourceDefinition";
    let mut waiting = finalizers(before);
    let orphans_by_default = matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        ("batch", "Job") | ("", "ReplicationController")
    );
    let is_told = waiting
        .iter()
        .any(|name| name == FOREGROUND || name == ORPHAN);
    let policy = match policy {
        "" if orphans_by_default && !is_told => "Orphan",
        given => given,
    };
    if !policy.is_empty() {
        waiting.retain(|name| name != FOREGROUND && name != ORPHAN);
    }
    match policy {
        "Foreground" => waiting.push(FOREGROUND.to_owned()),
        "Orphan" => waiting.push(ORPHAN.to_owned()),
        _ => {}
    }
    let holds_namespace = is_namespace
        && before
            .pointer("/spec/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty());
    if waiting.is_empty() && !holds_namespace {
        if !dry && is_definition {
            withdraw(store, before);
        }
        let gone = if dry { None } else { store.delete(key) };
        if answers_with_object(kind) {
            let shown = gone.unwrap_or_else(|| Arc::clone(before));
            let mut done = Outcome::new(200, (*shown).clone());
            if !dry {
                done.written = Some(Arc::clone(before));
            }
            return done;
        }
        let uid = text(before, "/metadata/uid");
        let mut details = details(&key.3, &kind.group, &kind.plural);
        details.insert("uid".to_owned(), json!(uid));
        let mut done = Outcome::new(
            200,
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": details,
            }),
        );
        if !dry {
            done.written = Some(Arc::clone(before));
        }
        return done;
    }
    let mut after = (**before).clone();
    let is_marked = before.pointer("/metadata/deletionTimestamp").is_some();
    if let Some(Value::Object(metadata)) = after.get_mut("metadata") {
        if !is_marked {
            metadata.insert("deletionTimestamp".to_owned(), json!(now()));
            if !is_namespace {
                metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
            }
            if prepare::has_generation(kind) {
                let generation = metadata.get("generation").and_then(Value::as_i64);
                let next = generation.unwrap_or(0) + 1;
                metadata.insert("generation".to_owned(), json!(next));
            }
        }
        if !waiting.is_empty() {
            metadata.insert("finalizers".to_owned(), json!(waiting));
        }
    }
    if is_namespace && let Value::Object(map) = &mut after {
        let status = map.entry("status").or_insert_with(|| json!({}));
        if let Value::Object(status) = status {
            status.insert("phase".to_owned(), json!("Terminating"));
        }
    }
    if dry || after == **before {
        return Outcome::new(200, after);
    }
    let stored = store.put(key.clone(), after);
    let mut done = Outcome::new(200, (*stored).clone());
    done.written = Some(stored);
    done
}

/// Deleting a definition deletes the objects of its kind.
fn withdraw(store: &mut Store, definition: &Value) {
    let group = text(definition, "/spec/group").to_owned();
    let plural = text(definition, "/spec/names/plural").to_owned();
    let keys: Vec<Key> = store
        .range(&group, &plural, "")
        .map(|(key, _)| key.clone())
        .collect();
    for key in keys {
        store.delete(&key);
    }
    store.withdraw(&group, &plural);
}

pub(super) fn collection(store: &mut Store, kind: &Kind, call: &Call) -> Result<Outcome, Failure> {
    if kind.group.is_empty() && kind.kind == "Namespace" {
        return Err(crate::status::not_allowed());
    }
    let policy = propagation(call)?;
    let mut done = list::list(store, kind, call)?;
    let items = done.value.get("items").and_then(Value::as_array).cloned();
    for item in items.into_iter().flatten() {
        let namespace = text(&item, "/metadata/namespace");
        let key = key_of(kind, namespace, text(&item, "/metadata/name"));
        if let Some(before) = store.get(&key).cloned() {
            let removed = remove(store, kind, &key, &before, &policy, call.is_dry());
            done.written = removed.written.or(done.written);
        }
    }
    Ok(done)
}

/// Whether an object is marked for deletion and no finalizer is left, so that it can be removed.
pub(super) fn is_finished(kind: &Kind, object: &Value) -> bool {
    let is_marked = object.pointer("/metadata/deletionTimestamp").is_some();
    let holds_namespace = kind.group.is_empty()
        && kind.kind == "Namespace"
        && object
            .pointer("/spec/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty());
    is_marked && finalizers(object).is_empty() && !holds_namespace
}

/// One round of the garbage collector and the namespace controller. True if anything changed.
pub(crate) fn collect_garbage(store: &mut Store) -> bool {
    // Scanning all objects after each write would cost more than the write itself.
    if !std::mem::take(&mut store.has_garbage) {
        return false;
    }
    let before = store.version;
    namespaces(store);
    finalize(store);
    dependents(store);
    before != store.version
}

fn drop_finalizers(store: &mut Store, key: &Key, gone: &[&str]) {
    let Some(object) = store.get(key).cloned() else {
        return;
    };
    let left: Vec<String> = finalizers(&object)
        .into_iter()
        .filter(|name| !gone.contains(&name.as_str()))
        .collect();
    if left.is_empty() {
        store.delete(key);
        return;
    }
    let mut after = (*object).clone();
    if let Some(Value::Object(metadata)) = after.get_mut("metadata") {
        metadata.insert("finalizers".to_owned(), json!(left));
    }
    store.put(key.clone(), after);
}

/// Empties namespaces that are being deleted, then removes them.
fn namespaces(store: &mut Store) {
    let going: Vec<(Key, Arc<Value>)> = store
        .range("", "namespaces", "")
        .filter(|(_, object)| object.pointer("/metadata/deletionTimestamp").is_some())
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    for (key, object) in going {
        let content: Vec<(Key, Arc<Value>)> = store
            .objects
            .iter()
            .filter(|(other, _)| other.2 == key.3)
            .map(|(other, object)| (other.clone(), Arc::clone(object)))
            .collect();
        let kinds = Arc::clone(&store.kinds);
        for (other, object) in &content {
            let kind = kinds
                .iter()
                .find(|kind| kind.storage.0 == other.0 && kind.storage.1 == other.1);
            if let Some(kind) = kind {
                remove(store, kind, other, object, "Background", false);
            }
        }
        let is_empty = !store.objects.keys().any(|other| other.2 == key.3);
        if is_empty && finalizers(&object).is_empty() {
            store.delete(&key);
        }
    }
}

/// Finalizers that the controllers of a cluster remove.
fn finalize(store: &mut Store) {
    let marked: Vec<(Key, Arc<Value>)> = store
        .objects
        .iter()
        .filter(|(_, object)| object.pointer("/metadata/deletionTimestamp").is_some())
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    for (key, object) in marked {
        let have = finalizers(&object);
        let uid = text(&object, "/metadata/uid").to_owned();
        let mut gone = Vec::new();
        for name in &have {
            match name.as_str() {
                "kubernetes.io/pvc-protection" | "kubernetes.io/pv-protection" => {
                    gone.push(name.as_str());
                }
                ORPHAN => {
                    disown(store, &uid);
                    gone.push(ORPHAN);
                }
                FOREGROUND => {
                    let owned = owned_by(store, &uid);
                    if owned.is_empty() {
                        gone.push(FOREGROUND);
                    }
                    for (key, object) in owned {
                        take_away(store, &key, &object);
                    }
                }
                _ => {}
            }
        }
        if !gone.is_empty() {
            drop_finalizers(store, &key, &gone);
        }
    }
}

fn owners(object: &Value) -> &[Value] {
    let list = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

fn owned_by(store: &Store, uid: &str) -> Vec<(Key, Arc<Value>)> {
    store
        .objects
        .iter()
        .filter(|(_, object)| {
            owners(object)
                .iter()
                .any(|owner| text(owner, "/uid") == uid)
        })
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect()
}

fn disown(store: &mut Store, uid: &str) {
    for (key, object) in owned_by(store, uid) {
        let left: Vec<Value> = owners(&object)
            .iter()
            .filter(|owner| text(owner, "/uid") != uid)
            .cloned()
            .collect();
        let mut after = (*object).clone();
        if let Some(Value::Object(metadata)) = after.get_mut("metadata") {
            if left.is_empty() {
                metadata.remove("ownerReferences");
            } else {
                metadata.insert("ownerReferences".to_owned(), json!(left));
            }
        }
        store.put(key, after);
    }
}

fn take_away(store: &mut Store, key: &Key, object: &Arc<Value>) {
    let kinds = Arc::clone(&store.kinds);
    let kind = kinds
        .iter()
        .find(|kind| kind.storage.0 == key.0 && kind.storage.1 == key.1);
    let is_marked = object.pointer("/metadata/deletionTimestamp").is_some();
    if let (Some(kind), false) = (kind, is_marked) {
        remove(store, kind, key, object, "Background", false);
    }
}

/// Removes objects whose owners have all been deleted.
fn dependents(store: &mut Store) {
    let uids: std::collections::BTreeSet<String> = store
        .objects
        .values()
        .map(|object| text(object, "/metadata/uid").to_owned())
        .collect();
    let orphaned: Vec<(Key, Arc<Value>)> = store
        .objects
        .iter()
        .filter(|(_, object)| {
            let owners = owners(object);
            !owners.is_empty()
                && !owners
                    .iter()
                    .any(|owner| uids.contains(text(owner, "/uid")))
        })
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    for (key, object) in orphaned {
        take_away(store, &key, &object);
    }
}
