//! Create, update and patch, with the last steps that apply shares.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::establish::establish;
use super::read::{read, schema};
use super::{AdmissionPhase, Call, Outcome, delete, existing, key_of, text};
use crate::access::{self};
use crate::clock::now;
use crate::fieldset::Set;
use crate::kinds::Kind;
use crate::managed::{self, Write};
use crate::schema::Schema;
use crate::status::{
    Cause, Failure, already_exists, bad_request, conflict, failure, forbidden, invalid, modified,
    not_found,
};
use crate::store::{Key, Store, uid};
use crate::{convert, patch as patches, prepare, quota, validate};

/// Fields that an endpoint does not write.
fn reset(kind: &Kind, version: &str, subresource: &str) -> Set {
    match subresource {
        "" if kind.has_subresource(version, "status") => Set::of(&[&["status"]]),
        "status" if kind.custom => Set::of(&[&["metadata"], &["spec"]]),
        "status" => Set::of(&[&["spec"]]),
        _ => Set::default(),
    }
}

pub(super) fn namespace_is_open(
    store: &Store,
    kind: &Kind,
    namespace: &str,
    name: &str,
) -> Result<(), Failure> {
    if !kind.namespaced {
        return Ok(());
    }
    let key: Key = (
        String::new(),
        "namespaces".into(),
        String::new(),
        namespace.to_owned(),
    );
    match store.get(&key) {
        None => Err(not_found("", "namespaces", namespace)),
        Some(found) if found.pointer("/metadata/deletionTimestamp").is_some() => {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let mut details = crate::status::details(name, &kind.group, &kind.plural);
            details.insert(
                "causes".to_owned(),
                json!([{"reason": "NamespaceTerminating", "field": "metadata.namespace",
                    "message": format!("namespace {namespace} is being terminated")}]),
            );
            Err(forbidden(&kind.group, &kind.plural, name, &why)
                .with("details", Value::Object(details)))
        }
        Some(_) => Ok(()),
    }
}

fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let map = object.as_object_mut()?;
    map.entry("metadata")
        .or_insert_with(|| json!({}))
        .as_object_mut()
}

/// The namespace and name in the body must match those of the path.
pub(super) fn place(kind: &Kind, call: &Call, object: &mut Value) -> Result<(), Failure> {
    let given = text(object, "/metadata/namespace").to_owned();
    let target = &call.target;
    if !given.is_empty() && given != target.namespace {
        return Err(bad_request(if kind.namespaced {
            "the namespace of the provided object does not match the namespace sent on the request"
        } else {
            "namespace is not allowed on this type"
        }));
    }
    let name = text(object, "/metadata/name").to_owned();
    if !target.name.is_empty() {
        if name.is_empty() && call.verb == "update" {
            return Err(bad_request("name must be provided".to_owned()));
        }
        if name != target.name {
            return Err(bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                target.name
            )));
        }
    }
    if let (true, Some(metadata)) = (kind.namespaced, metadata(object)) {
        metadata.insert("namespace".to_owned(), json!(target.namespace));
    }
    Ok(())
}

pub(super) fn circumstances<'w>(
    kind: &Kind,
    call: &'w Call,
    schema: &'w Schema,
    api_version: &'w str,
    now: &'w str,
) -> Write<'w> {
    let target = &call.target;
    Write {
        schema,
        api_version,
        manager: call.manager(),
        subresource: &target.subresource,
        reset: reset(kind, &target.version, &target.subresource),
        now,
    }
}

pub(super) fn create(store: &mut Store, kind: &Kind, call: &Call) -> Result<Outcome, Failure> {
    let (mut object, warnings) = read(kind, call, &call.body)?;
    place(kind, call, &mut object)?;
    let generated = text(&object, "/metadata/generateName").to_owned();
    if let (Some(metadata), false) = (metadata(&mut object), generated.is_empty()) {
        let name = metadata.get("name").and_then(Value::as_str);
        if name.unwrap_or_default().is_empty() {
            metadata.insert("name".to_owned(), json!(format!("{generated}{}", suffix())));
        }
    }
    let name = text(&object, "/metadata/name").to_owned();
    namespace_is_open(store, kind, &call.target.namespace, &name)?;
    if !text(&object, "/metadata/resourceVersion").is_empty() {
        let why = "resourceVersion should not be set on objects to be created";
        return Err(failure(500, "", why));
    }
    let key = key_of(kind, &call.target.namespace, &name);
    born(&mut object);
    let schema = schema(kind, &call.target.version);
    let (api_version, now) = (kind.api_version(&call.target.version), now());
    let write = circumstances(kind, call, &schema, &api_version, &now);
    managed::update(&write, &prepare::empty(kind, &schema), &mut object, true);
    admit_creation(store, kind, call, &key, object, warnings)
}

/// Five random characters for `generateName` (no vowels, and none that look alike), like kube-apiserver.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5)
        .filter_map(|_| LETTERS.get(usize::from(rand::random::<u8>()) % LETTERS.len()))
        .map(|letter| char::from(*letter))
        .collect()
}

/// Fields that only the server sets.
pub(super) fn born(object: &mut Value) {
    if let Some(metadata) = metadata(object) {
        for field in [
            "selfLink",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "resourceVersion",
        ] {
            metadata.remove(field);
        }
        metadata.insert("uid".to_owned(), json!(uid()));
        metadata.insert("creationTimestamp".to_owned(), json!(now()));
    }
}

/// The last steps of a creation.
pub(super) fn admit_creation(
    store: &mut Store,
    kind: &Kind,
    call: &Call,
    key: &Key,
    mut object: Value,
    mut warnings: Vec<String>,
) -> Result<Outcome, Failure> {
    let version = &call.target.version;
    let schema = schema(kind, version);
    if call.stop == Some(AdmissionPhase::Mutating) {
        return Ok(Outcome::seen(None, object));
    }
    mutate(call, &mut object)?;
    if prepare::has_generation(kind)
        && let Some(metadata) = metadata(&mut object)
    {
        metadata.insert("generation".to_owned(), json!(1));
    }
    let given = store.given;
    prepare::create(store, kind, version, &schema, &mut object);
    escalation(store, kind, call, &object)?;
    validate::object(kind, &schema, &object, None).map_err(|failure| failure.warned(&warnings))?;
    warnings.extend(validate::hidden_variables(&object));
    if call.stop == Some(AdmissionPhase::Validating) {
        store.given = given;
        return Ok(Outcome::seen(None, object));
    }
    let counted = quota::admit(store, kind, &key.2, &key.3)?;
    if store.get(key).is_some() {
        return Err(already_exists(&kind.group, &kind.plural, &key.3));
    }
    if call.is_dry() {
        store.given = given;
        let mut done = Outcome::new(201, object);
        done.warnings = warnings;
        return Ok(done);
    }
    count(store, counted);
    let stored = store.put(key.clone(), convert::to(kind, &kind.stored, &object));
    let mut done = Outcome::new(201, convert::to(kind, version, &stored));
    done.warnings = warnings;
    done.written = Some(Arc::clone(&stored));
    if is_definition(kind) {
        establish(store, key, &stored);
    }
    Ok(done)
}

/// Stores the usage that quota admission has counted.
fn count(store: &mut Store, counted: Vec<(Key, Value)>) {
    let Some(kind) = store.find("", "v1", "resourcequotas").cloned() else {
        return;
    };
    let (schema, now) = (schema(&kind, "v1"), now());
    for (key, mut quota) in counted {
        let Some(before) = store.get(&key).cloned() else {
            continue;
        };
        let write = Write {
            schema: &schema,
            api_version: "v1",
            manager: "kube-apiserver",
            subresource: "status",
            reset: reset(&kind, "v1", "status"),
            now: &now,
        };
        managed::update(&write, &before, &mut quota, false);
        store.put(key, quota);
    }
}

/// Applies the patches of mutating webhooks.
fn mutate(call: &Call, object: &mut Value) -> Result<(), Failure> {
    for patch in &call.patches {
        json_patch::patch(object, patch)
            .map_err(|error| failure(500, "InternalError", error.to_string()))?;
    }
    Ok(())
}

fn is_definition(kind: &Kind) -> bool {
    kind.group == "apiextensions.k8s.io" && kind.kind == "CustomResourceDefinition"
}

fn escalation(store: &Store, kind: &Kind, call: &Call, object: &Value) -> Result<(), Failure> {
    if kind.group != "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let namespace = &call.target.namespace;
    access::escalation(store, &call.user, &kind.plural, namespace, object)
}

/// For some kinds, an update of an object that does not exist creates it.
fn creates_on_update(kind: &Kind) -> bool {
    matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        ("", "Endpoints" | "Event" | "LimitRange")
            | ("coordination.k8s.io", "Lease")
            | ("events.k8s.io", "Event")
    )
}

pub(super) fn update(store: &mut Store, kind: &Kind, call: &Call) -> Result<Outcome, Failure> {
    let target = &call.target;
    let (mut object, warnings) = read(kind, call, &call.body)?;
    place(kind, call, &mut object)?;
    let key = key_of(kind, &target.namespace, &target.name);
    let Some(before) = store.get(&key).cloned() else {
        if creates_on_update(kind) && target.subresource.is_empty() {
            let mut create = call.clone();
            create.target.name = String::new();
            if let Some(metadata) = metadata(&mut create.body) {
                metadata.remove("resourceVersion");
            }
            return self::create(store, kind, &create);
        }
        return Err(not_found(&kind.group, &kind.plural, &target.name));
    };
    if kind.custom && text(&object, "/metadata/resourceVersion").is_empty() {
        let why = "must be specified for an update";
        let cause = Cause::invalid("metadata.resourceVersion", &json!(0), why);
        // The API server names the resource here, not the kind.
        return Err(invalid(&kind.group, &kind.plural, &target.name, &[cause]));
    }
    change(store, kind, call, &key, &before, object, warnings)
}

pub(super) fn patch(store: &mut Store, kind: &Kind, call: &Call) -> Result<Outcome, Failure> {
    let target = &call.target;
    let (key, before) = existing(store, kind, call)?;
    let schema = schema(kind, &target.version);
    let live = convert::to(kind, &target.version, &before);
    let body = &call.body;
    let content_type = &call.content_type;
    let patched = patches::patch(content_type, &schema, kind.custom, &live, body)?;
    let (mut object, warnings) = read(kind, call, &patched)?;
    place(kind, call, &mut object)?;
    change(store, kind, call, &key, &before, object, warnings)
}

/// Updates a whole object.
fn change(
    store: &mut Store,
    kind: &Kind,
    call: &Call,
    key: &Key,
    before: &Arc<Value>,
    mut after: Value,
    warnings: Vec<String>,
) -> Result<Outcome, Failure> {
    let expected = text(&after, "/metadata/uid");
    let have = text(before, "/metadata/uid");
    if !expected.is_empty() && expected != have {
        let path = match key.2.as_str() {
            "" => format!("/registry/{}/{}", key.1, key.3),
            namespace => format!("/registry/{}/{namespace}/{}", key.1, key.3),
        };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {expected}, UID in object meta: {have}"
        );
        return Err(conflict(&kind.group, &kind.plural, &key.3, &why));
    }
    let expected = text(&after, "/metadata/resourceVersion");
    if !expected.is_empty() && expected != text(before, "/metadata/resourceVersion") {
        return Err(modified(kind, &key.3));
    }
    let version = &call.target.version;
    let schema = schema(kind, version);
    let live = convert::to(kind, version, before);
    let (api_version, now) = (kind.api_version(version), now());
    let write = circumstances(kind, call, &schema, &api_version, &now);
    managed::update(&write, &live, &mut after, false);
    store_change(store, kind, call, key, before, after, warnings)
}

/// The last steps of a change. `after` is in the version of the request.
pub(super) fn store_change(
    store: &mut Store,
    kind: &Kind,
    call: &Call,
    key: &Key,
    before: &Arc<Value>,
    mut after: Value,
    mut warnings: Vec<String>,
) -> Result<Outcome, Failure> {
    let target = &call.target;
    let version = &target.version;
    let schema = schema(kind, version);
    let live = convert::to(kind, version, before);
    keep_identity(&live, &mut after);
    if call.stop == Some(AdmissionPhase::Mutating) {
        return Ok(Outcome::seen(Some(live), after));
    }
    mutate(call, &mut after)?;
    let given = store.given;
    match target.subresource.as_str() {
        "status" => after = with_status(kind, &live, &after),
        "finalize" => {
            let mut next = live.clone();
            if let Value::Object(map) = &mut next {
                map.insert(
                    "spec".to_owned(),
                    after.get("spec").cloned().unwrap_or_default(),
                );
            }
            after = next;
        }
        _ => prepare::update(store, kind, version, &live, &mut after),
    }
    escalation(store, kind, call, &after)?;
    if managed::is_same(&live, &after) {
        if call.stop.is_some() {
            return Ok(Outcome::seen(Some(live), after));
        }
        let mut done = Outcome::new(200, live);
        done.warnings = warnings;
        return Ok(done);
    }
    if prepare::has_generation(kind) && prepare::is_new_generation(kind, version, &live, &after) {
        warnings.extend(validate::hidden_variables(&after));
        let generation = live.pointer("/metadata/generation").and_then(Value::as_i64);
        if let Some(metadata) = metadata(&mut after) {
            let next = generation.unwrap_or(0) + 1;
            metadata.insert("generation".to_owned(), json!(next));
        }
    }
    validate::object(kind, &schema, &after, Some(&live))
        .map_err(|failure| failure.warned(&warnings))?;
    if call.stop.is_some() {
        store.given = given;
        return Ok(Outcome::seen(Some(live), after));
    }
    if call.is_dry() {
        store.given = given;
        let mut done = Outcome::new(200, after);
        done.warnings = warnings;
        return Ok(done);
    }
    let stored = convert::to(kind, &kind.stored, &after);
    if delete::is_finished(kind, &stored) {
        let gone = store.delete(key);
        let mut done = Outcome::new(200, after);
        done.warnings = warnings;
        done.written = gone;
        return Ok(done);
    }
    let stored = store.put(key.clone(), stored);
    let mut done = Outcome::new(200, convert::to(kind, version, &stored));
    done.warnings = warnings;
    done.written = Some(Arc::clone(&stored));
    if is_definition(kind) && target.subresource.is_empty() {
        establish(store, key, &stored);
    }
    Ok(done)
}

fn with_status(kind: &Kind, live: &Value, after: &Value) -> Value {
    let mut next = if kind.custom {
        live.clone()
    } else {
        let mut next = after.clone();
        if let Value::Object(map) = &mut next {
            match live.get("spec") {
                Some(spec) => map.insert("spec".to_owned(), spec.clone()),
                None => map.remove("spec"),
            };
        }
        next
    };
    if let Value::Object(map) = &mut next {
        match after.get("status") {
            Some(status) => map.insert("status".to_owned(), status.clone()),
            None => map.remove("status"),
        };
    }
    let fields = after.pointer("/metadata/managedFields").cloned();
    if let (Some(metadata), Some(fields)) = (metadata(&mut next), fields) {
        metadata.insert("managedFields".to_owned(), fields);
    }
    next
}

fn keep_identity(before: &Value, after: &mut Value) {
    let Some(metadata) = metadata(after) else {
        return;
    };
    for field in [
        "uid",
        "creationTimestamp",
        "name",
        "namespace",
        "generateName",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        match before.pointer(&format!("/metadata/{field}")) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}
