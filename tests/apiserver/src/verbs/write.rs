//! Creations and changes: update, patch, server-side apply.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Call, Done, delete, key_of, now, text};
use crate::access::{self, Act};
use crate::fieldset::Set;
use crate::kinds::Kind;
use crate::managed::{self, Refusal, Write};
use crate::schema::Schema;
use crate::status::{
    Cause, Failure, already_exists, apply_conflict, bad_request, conflict, failure, forbidden,
    invalid, modified, not_found,
};
use crate::store::{Key, Store, uid};
use crate::{convert, decode, defaults, patch as patches, prepare, validate};

fn schema(kind: &Kind, version: &str) -> Arc<Schema> {
    kind.versions
        .get(version)
        .map(|version| Arc::clone(&version.schema))
        .unwrap_or_default()
}

/// Fields that an endpoint does not write.
fn reset(kind: &Kind, version: &str, subresource: &str) -> Set {
    match subresource {
        "" if kind.has_subresource(version, "status") => Set::of(&[&["status"]]),
        "status" if kind.custom => Set::of(&[&["metadata"], &["spec"]]),
        "status" => Set::of(&[&["spec"]]),
        _ => Set::default(),
    }
}

/// Reads a body into the object that is stored, in the version of the request; says what it does not
/// know.
fn read(kind: &Kind, call: &Call, body: &Value) -> Result<(Value, Vec<String>), Failure> {
    let version = &call.target.version;
    let schema = schema(kind, version);
    let wanted = kind.api_version(version);
    let Value::Object(given) = body else {
        return Err(bad_request(format!(
            "couldn't get version/kind; json parse error: the body is no object ({})",
            kind.kind
        )));
    };
    let mut given = given.clone();
    for (field, value) in [("apiVersion", &wanted), ("kind", &kind.kind)] {
        let have = given.get(field).and_then(Value::as_str).unwrap_or_default();
        if have.is_empty() {
            if kind.custom {
                let name = if field == "kind" {
                    "Kind"
                } else {
                    "apiVersion"
                };
                return Err(bad_request(format!(
                    "Object '{name}' is missing in '{body}'"
                )));
            }
            given.insert(field.to_owned(), json!(value));
        } else if have != value {
            return Err(mismatch(kind, &wanted, body));
        }
    }
    let mut unknown = Vec::new();
    let mut object = Value::Object(given);
    let is_patched = call.verb == "patch" && !call.content_type.starts_with("application/apply");
    let wrong = |message: String| {
        if is_patched {
            return crate::status::invalid_patch(body, &message);
        }
        bad_request(format!(
            "{} in version \"{version}\" cannot be handled as a {}: {message}",
            kind.kind, kind.kind
        ))
    };
    if kind.custom {
        let meta = crate::schema::named(crate::schema::OBJECT_META);
        let metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
        let mut odd = Vec::new();
        let metadata =
            decode::decode(&meta, &metadata, &mut odd).map_err(|error| wrong(error.message()))?;
        unknown.extend(odd.into_iter().map(|path| format!("metadata.{path}")));
        decode::prune(&schema, &mut object, "", &mut unknown);
        decode::fill(&schema, &mut object);
        if let Value::Object(map) = &mut object {
            map.insert("metadata".to_owned(), metadata);
        }
    } else {
        object = decode::decode(&schema, &object, &mut unknown)
            .map_err(|error| wrong(error.message()))?;
        defaults::fill(&schema, &mut object);
        if (kind.group.as_str(), kind.kind.as_str()) == ("apps", "DaemonSet") {
            let have = "/metadata/annotations/deprecated.daemonset.template.generation";
            if object.pointer(have).is_none() {
                prepare::template_generation(&mut object, 0);
            }
        }
        check_base64(kind, &object).map_err(wrong)?;
    }
    unknown.sort();
    match call.parameter("fieldValidation") {
        "Strict" if !unknown.is_empty() => {
            let list: Vec<String> = unknown
                .iter()
                .map(|path| format!("unknown field \"{path}\""))
                .collect();
            Err(wrong(format!("strict decoding error: {}", list.join(", "))))
        }
        "Ignore" => Ok((object, Vec::new())),
        _ => {
            let warn = |path: String| format!("unknown field \"{path}\"");
            Ok((object, unknown.into_iter().map(warn).collect()))
        }
    }
}

fn mismatch(kind: &Kind, wanted: &str, body: &Value) -> Failure {
    let (have, name) = (text(body, "/apiVersion"), text(body, "/kind"));
    if have == wanted {
        let version = wanted.rsplit('/').next().unwrap_or_default();
        bad_request(format!(
            "{name} in version \"{version}\" cannot be handled as a {}: converting (v1.{name}) to \
             (core.{}): unknown conversion",
            kind.kind, kind.kind
        ))
    } else {
        bad_request(format!(
            "the API version in the data ({have}) does not match the expected API version ({wanted})"
        ))
    }
}

/// The values of a secret's `data` are base64.
fn check_base64(kind: &Kind, object: &Value) -> Result<(), String> {
    use base64::Engine as _;
    let fields: &[&str] = match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Secret") => &["data"],
        ("", "ConfigMap") => &["binaryData"],
        _ => &[],
    };
    for field in fields {
        let map = object.get(field).and_then(Value::as_object);
        for value in map
            .into_iter()
            .flatten()
            .filter_map(|(_, value)| value.as_str())
        {
            if base64::engine::general_purpose::STANDARD
                .decode(value)
                .is_err()
            {
                let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
                let at = value.find(|c| !good(c)).unwrap_or(value.len() / 4 * 4);
                return Err(format!("illegal base64 data at input byte {at}"));
            }
        }
    }
    Ok(())
}

fn namespace_is_open(
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

/// The namespace and name that the body says must be the path's.
fn place(kind: &Kind, call: &Call, object: &mut Value) -> Result<(), Failure> {
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

fn circumstances<'w>(
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

pub(super) fn create(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
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

/// Five letters as the API server makes them up (no vowels, nothing that reads like another).
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5)
        .filter_map(|_| LETTERS.get(usize::from(rand::random::<u8>()) % LETTERS.len()))
        .map(|letter| char::from(*letter))
        .collect()
}

/// What only the server sets.
fn born(object: &mut Value) {
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
fn admit_creation(
    store: &mut Store,
    kind: &Kind,
    call: &Call,
    key: &Key,
    mut object: Value,
    warnings: Vec<String>,
) -> Result<Done, Failure> {
    let version = &call.target.version;
    let schema = schema(kind, version);
    if prepare::has_generation(kind)
        && let Some(metadata) = metadata(&mut object)
    {
        metadata.insert("generation".to_owned(), json!(1));
    }
    let given = store.given;
    prepare::create(store, kind, version, &schema, &mut object);
    escalation(store, kind, call, &object)?;
    validate::object(kind, &schema, &object, None).map_err(|failure| failure.warned(&warnings))?;
    if store.get(key).is_some() {
        return Err(already_exists(&kind.group, &kind.plural, &key.3));
    }
    if call.is_dry() {
        store.given = given;
        let mut done = Done::new(201, object);
        done.warnings = warnings;
        return Ok(done);
    }
    let stored = store.put(key.clone(), convert::to(kind, &kind.stored, &object));
    let mut done = Done::new(201, convert::to(kind, version, &stored));
    done.warnings = warnings;
    done.written = Some(Arc::clone(&stored));
    if is_definition(kind) {
        establish(store, key, &stored);
    }
    Ok(done)
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

/// A definition is served at once, and its status says so, as the controllers in the API server do.
fn establish(store: &mut Store, key: &Key, definition: &Value) {
    store.serve(definition);
    let mut names = definition
        .pointer("/spec/names")
        .cloned()
        .unwrap_or_default();
    if let Value::Object(names) = &mut names {
        names.retain(|_, value| !value.is_null());
    }
    let mut conditions = definition
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for (kind, reason, message) in [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        (
            "Established",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
    ] {
        if !conditions.iter().any(|have| text(have, "/type") == kind) {
            conditions.push(json!({
                "type": kind, "status": "True", "reason": reason, "message": message,
                "lastTransitionTime": now(),
            }));
        }
    }
    let stored = definition
        .pointer("/status/storedVersions")
        .cloned()
        .unwrap_or_default();
    let status =
        json!({"conditions": conditions, "acceptedNames": names, "storedVersions": stored});
    if definition.get("status") == Some(&status) {
        return;
    }
    let mut after = definition.clone();
    if let Value::Object(map) = &mut after {
        map.insert("status".to_owned(), status);
    }
    let (schema, now) = (
        crate::schema::named(
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        ),
        now(),
    );
    let write = Write {
        schema: &schema,
        api_version: "apiextensions.k8s.io/v1",
        manager: "kube-apiserver",
        subresource: "status",
        reset: Set::of(&[&["spec"], &["metadata"]]),
        now: &now,
    };
    managed::update(&write, definition, &mut after, false);
    store.put(key.clone(), after);
}

/// Some kinds are created by an update of what is not there.
fn creates_on_update(kind: &Kind) -> bool {
    matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        ("", "Endpoints" | "Event" | "LimitRange")
            | ("coordination.k8s.io", "Lease")
            | ("events.k8s.io", "Event")
    )
}

pub(super) fn update(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
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
        // Here the API server names the resource, not the kind.
        return Err(invalid(&kind.group, &kind.plural, &target.name, &[cause]));
    }
    change(store, kind, call, &key, &before, object, warnings)
}

pub(super) fn patch(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
    let target = &call.target;
    let key = key_of(kind, &target.namespace, &target.name);
    let before = store
        .get(&key)
        .cloned()
        .ok_or_else(|| not_found(&kind.group, &kind.plural, &target.name))?;
    let schema = schema(kind, &target.version);
    let live = convert::to(kind, &target.version, &before);
    let body = &call.body;
    let content_type = &call.content_type;
    let patched = patches::patch(content_type, &schema, kind.custom, &live, body)?;
    let (mut object, warnings) = read(kind, call, &patched)?;
    place(kind, call, &mut object)?;
    change(store, kind, call, &key, &before, object, warnings)
}

/// A plain write of a whole object, over what is there.
fn change(
    store: &mut Store,
    kind: &Kind,
    call: &Call,
    key: &Key,
    before: &Arc<Value>,
    mut after: Value,
    warnings: Vec<String>,
) -> Result<Done, Failure> {
    let wanted = text(&after, "/metadata/uid");
    let have = text(before, "/metadata/uid");
    if !wanted.is_empty() && wanted != have {
        let path = match key.2.as_str() {
            "" => format!("/registry/{}/{}", key.1, key.3),
            namespace => format!("/registry/{}/{namespace}/{}", key.1, key.3),
        };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {wanted}, UID in object meta: {have}"
        );
        return Err(conflict(&kind.group, &kind.plural, &key.3, &why));
    }
    let wanted = text(&after, "/metadata/resourceVersion");
    if !wanted.is_empty() && wanted != text(before, "/metadata/resourceVersion") {
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
    warnings: Vec<String>,
) -> Result<Done, Failure> {
    let target = &call.target;
    let version = &target.version;
    let schema = schema(kind, version);
    let live = convert::to(kind, version, before);
    keep_identity(&live, &mut after);
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
        let mut done = Done::new(200, live);
        done.warnings = warnings;
        return Ok(done);
    }
    if prepare::has_generation(kind) && prepare::is_new_generation(kind, version, &live, &after) {
        let generation = live.pointer("/metadata/generation").and_then(Value::as_i64);
        if let Some(metadata) = metadata(&mut after) {
            let next = generation.unwrap_or(0) + 1;
            metadata.insert("generation".to_owned(), json!(next));
        }
    }
    validate::object(kind, &schema, &after, Some(&live))
        .map_err(|failure| failure.warned(&warnings))?;
    if call.is_dry() {
        store.given = given;
        let mut done = Done::new(200, after);
        done.warnings = warnings;
        return Ok(done);
    }
    let stored = convert::to(kind, &kind.stored, &after);
    if delete::is_finished(kind, &stored) {
        let gone = store.delete(key);
        let mut done = Done::new(200, after);
        done.warnings = warnings;
        done.written = gone;
        return Ok(done);
    }
    let stored = store.put(key.clone(), stored);
    let mut done = Done::new(200, convert::to(kind, version, &stored));
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

pub(super) fn apply(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
    let target = &call.target;
    let schema = schema(kind, &target.version);
    let (api_version, now) = (kind.api_version(&target.version), now());
    let configuration = configuration(kind, call, &schema, &api_version)?;
    let force = call.parameter("force") == "true";
    let key = key_of(kind, &target.namespace, &target.name);
    let write = circumstances(kind, call, &schema, &api_version, &now);
    let refuse = |refusal: Refusal| match refusal {
        Refusal::Conflicts(conflicts) => apply_conflict(&conflicts),
        Refusal::Typed(why) => untyped(call, &configuration, &api_version, kind, &why),
    };
    let live = store.get(&key).cloned();
    let wanted = text(&configuration, "/metadata/resourceVersion").to_owned();
    match live {
        Some(before) => {
            let live = convert::to(kind, &target.version, &before);
            let merged =
                managed::apply(&write, &live, &configuration, force, false).map_err(refuse)?;
            let uid = text(&configuration, "/metadata/uid");
            if !uid.is_empty() && uid != text(&before, "/metadata/uid") {
                // The API server says so twice.
                let cause = Cause::invalid("metadata.uid", &json!(uid), "field is immutable");
                let causes = [cause.clone(), cause];
                return Err(invalid(&kind.group, &kind.kind, &target.name, &causes));
            }
            if !wanted.is_empty() && wanted != text(&before, "/metadata/resourceVersion") {
                return Err(modified(kind, &target.name));
            }
            let (mut object, warnings) = read_applied(kind, call, &merged)?;
            place(kind, call, &mut object)?;
            store_change(store, kind, call, &key, &before, object, warnings)
        }
        None => {
            if !target.subresource.is_empty() {
                return Err(not_found(&kind.group, &kind.plural, &target.name));
            }
            let act = Act {
                verb: "create".to_owned(),
                ..call.act()
            };
            if !access::may(store, &call.user, &act) {
                return Err(act.refusal(&call.user));
            }
            let empty = prepare::empty(kind, &schema);
            let merged =
                managed::apply(&write, &empty, &configuration, force, true).map_err(refuse)?;
            let (mut object, warnings) = read_applied(kind, call, &merged)?;
            place(kind, call, &mut object)?;
            namespace_is_open(store, kind, &target.namespace, &target.name)?;
            born(&mut object);
            admit_creation(store, kind, call, &key, object, warnings)
        }
    }
}

/// The merged object has passed the schema already; what it says of unknown fields is known.
fn read_applied(kind: &Kind, call: &Call, merged: &Value) -> Result<(Value, Vec<String>), Failure> {
    let mut call = call.clone();
    if !kind.custom {
        call.query
            .insert("fieldValidation".to_owned(), "Ignore".to_owned());
    }
    read(kind, &call, merged)
}

fn untyped(call: &Call, body: &Value, api_version: &str, kind: &Kind, why: &str) -> Failure {
    let namespace = text(body, "/metadata/namespace");
    let group = if kind.group.is_empty() {
        format!("/{api_version}")
    } else {
        api_version.to_owned()
    };
    failure(
        500,
        "",
        format!(
            "failed to create typed patch object ({namespace}/{}; {group}, Kind={}): {why}",
            call.target.name, kind.kind
        ),
    )
}

/// Checks what is to be applied, before anything is looked at.
fn configuration(
    kind: &Kind,
    call: &Call,
    schema: &Schema,
    api_version: &str,
) -> Result<Value, Failure> {
    let body = &call.body;
    if !body.is_object() {
        return Err(bad_request("error decoding YAML: the body is no object"));
    }
    let fields = body.pointer("/metadata/managedFields");
    if fields.is_some_and(|fields| !fields.is_null()) {
        return Err(bad_request("metadata.managedFields must be nil"));
    }
    if text(body, "/apiVersion") != api_version {
        return Err(bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: \
             {api_version}",
            text(body, "/apiVersion")
        )));
    }
    let mut wrong = Vec::new();
    declared(schema, body, "", &mut wrong);
    if let Some(why) = wrong.first() {
        let all = if wrong.len() == 1 {
            why.clone()
        } else {
            format!("errors:\n  {}", wrong.join("\n  "))
        };
        return Err(untyped(call, body, api_version, kind, &all));
    }
    Ok(body.clone())
}

/// What a configuration says that the schema does not know.
fn declared(schema: &Schema, value: &Value, path: &str, wrong: &mut Vec<String>) {
    use crate::schema::Shape;
    let expected = |what: &str| {
        let shown = match value {
            Value::String(text) => format!("\"{text}\""),
            value => value.to_string(),
        };
        format!("{path}: expected {what}, got &value.valueUnstructured{{Value:{shown}}}")
    };
    match (schema.shape(), value) {
        (Shape::Object(object), Value::Object(map)) => {
            for (name, value) in map {
                let inner = format!("{path}.{name}");
                match object.fields.get(name).or(object.additional.as_deref()) {
                    Some(field) => declared(field, value, &inner, wrong),
                    None if schema.preserve || object.fields.is_empty() => {}
                    None => wrong.push(format!("{inner}: field not declared in schema")),
                }
            }
        }
        (Shape::List(list), Value::Array(values)) => {
            let mut seen = std::collections::BTreeSet::new();
            for value in values {
                if let Some(element) = crate::fieldset::item(schema, value) {
                    let mut set = Set::default();
                    set.insert(std::slice::from_ref(&element));
                    if !seen.insert(element) {
                        let shown = set.paths().concat();
                        wrong.push(format!("{path}: duplicate entries for key {shown}"));
                        continue;
                    }
                }
                let place = match crate::fieldset::item(schema, value) {
                    Some(element) => {
                        let mut set = Set::default();
                        set.insert(&[element]);
                        format!("{path}{}", set.paths().concat())
                    }
                    None => format!("{path}[0]"),
                };
                declared(&list.items, value, &place, wrong);
            }
        }
        (Shape::String | Shape::MicroTime, Value::Number(_) | Value::Bool(_)) => {
            wrong.push(expected("string"));
        }
        (Shape::Integer(_) | Shape::Number, Value::String(_) | Value::Bool(_)) => {
            wrong.push(expected("numeric (int or float)"));
        }
        (Shape::Boolean, Value::String(_) | Value::Number(_)) => wrong.push(expected("boolean")),
        (
            Shape::Object(_),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Array(_),
        ) => {
            wrong.push(expected("map"));
        }
        (
            Shape::List(_),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Object(_),
        ) => {
            wrong.push(expected("list"));
        }
        _ => {}
    }
}
