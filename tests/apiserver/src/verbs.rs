//! What each verb does to the store.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::apply;
use crate::audit::AuditEvent;
use crate::kinds::Kind;
use crate::request::Target;
use crate::selector;
use crate::status::{
    Failure, already_exists, apply_conflict, bad_request, conflict, failure, no_such_path,
    not_found,
};
use crate::store::{Key, Store};
use crate::{ApiServer, validate};

/// A request that was read.
pub(crate) struct Call {
    pub(crate) verb: &'static str,
    pub(crate) target: Target,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// What came of it.
pub(crate) struct Done {
    pub(crate) code: u16,
    pub(crate) value: Value,
    pub(crate) uid: String,
    pub(crate) changed: bool,
}

impl Done {
    fn new(code: u16, value: Value, changed: bool) -> Self {
        let uid = value
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Self {
            code,
            uid: uid.to_owned(),
            value,
            changed,
        }
    }
}

pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn key_of(kind: &Kind, namespace: &str, name: &str) -> Key {
    let namespace = if kind.namespaced { namespace } else { "" };
    (
        kind.group.clone(),
        kind.plural.clone(),
        namespace.to_owned(),
        name.to_owned(),
    )
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

impl ApiServer {
    pub(crate) fn bootstrap_namespace(&self, name: &str) {
        let target = Target {
            version: "v1".to_owned(),
            plural: "namespaces".to_owned(),
            ..Target::default()
        };
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let call = Call {
            verb: "create",
            target,
            query: BTreeMap::new(),
            content_type: "application/json".to_owned(),
            body,
        };
        // The name is ours and free.
        let _ = self.execute(&call);
    }

    /// Executes a call and notes it in the audit log where it writes.
    pub(crate) fn execute(&self, call: &Call) -> Result<Done, Failure> {
        let result = {
            let mut store = self.inner.store.lock();
            dispatch(&mut store, call)
        };
        if !matches!(call.verb, "get" | "list" | "watch") {
            let (code, uid, changed) = match &result {
                Ok(done) => (done.code, done.uid.clone(), done.changed),
                Err(failure) => (failure.code, String::new(), false),
            };
            let body_name = text(&call.body, "/metadata/name");
            let target = &call.target;
            self.inner.audit.lock().push(AuditEvent {
                verb: call.verb.to_owned(),
                group: target.group.clone(),
                resource: target.plural.clone(),
                subresource: target.subresource.clone(),
                namespace: target.namespace.clone(),
                name: if target.name.is_empty() {
                    body_name
                } else {
                    &target.name
                }
                .to_owned(),
                uid,
                manager: call.query.get("fieldManager").cloned().unwrap_or_default(),
                dry_run: call.query.contains_key("dryRun"),
                code,
                changed,
            });
            if changed {
                self.bump();
                if let Ok(done) = &result {
                    self.live(&done.value);
                }
            }
        }
        result
    }

    pub(crate) fn bump(&self) {
        let version = self.inner.store.lock().version;
        self.inner.changed.send_replace(version);
    }
}

fn dispatch(store: &mut Store, call: &Call) -> Result<Done, Failure> {
    let target = &call.target;
    let kind = store
        .find(&target.group, &target.version, &target.plural)
        .cloned()
        .ok_or_else(no_such_path)?;
    match call.verb {
        "list" => Ok(Done::new(200, list(store, &kind, call)?, false)),
        "get" => {
            let key = key_of(&kind, &target.namespace, &target.name);
            let object = store
                .objects
                .get(&key)
                .ok_or_else(|| not_found(&kind.group, &kind.plural, &target.name))?;
            Ok(Done::new(200, versioned(object, &kind, target), false))
        }
        "create" => create(store, &kind, call),
        "update" => update(store, &kind, call),
        "patch" if call.content_type.starts_with("application/apply-patch") => {
            server_side_apply(store, &kind, call)
        }
        "patch" => patch(store, &kind, call),
        "delete" => delete(store, &kind, call),
        _ => Err(failure(
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
        )),
    }
}

/// The object at the version that was asked for.
fn versioned(object: &Value, kind: &Kind, target: &Target) -> Value {
    let mut object = object.clone();
    if let Value::Object(map) = &mut object {
        let api_version = match kind.group.as_str() {
            "" => target.version.clone(),
            group => format!("{group}/{}", target.version),
        };
        map.insert("apiVersion".to_owned(), json!(api_version));
    }
    object
}

fn list(store: &Store, kind: &Kind, call: &Call) -> Result<Value, Failure> {
    let parameter = |name: &str| call.query.get(name).map(String::as_str).unwrap_or_default();
    let limit = parameter("limit").parse::<usize>().unwrap_or(0);
    let after = parameter("continue");
    let mut items = Vec::new();
    let mut next = String::new();
    for (key, object) in store.range(&kind.group, &kind.plural, &call.target.namespace) {
        let place = format!("{}/{}", key.2, key.3);
        if !after.is_empty() && place.as_str() <= after {
            continue;
        }
        if !selector::labels(parameter("labelSelector"), object)
            || !selector::fields(parameter("fieldSelector"), object)
        {
            continue;
        }
        if limit > 0 && items.len() == limit {
            next = items
                .last()
                .map(|last| {
                    format!(
                        "{}/{}",
                        text(last, "/metadata/namespace"),
                        text(last, "/metadata/name")
                    )
                })
                .unwrap_or_default();
            break;
        }
        items.push(versioned(object, kind, &call.target));
    }
    let mut metadata = json!({ "resourceVersion": store.version.to_string() });
    if let (false, Value::Object(map)) = (next.is_empty(), &mut metadata) {
        map.insert("continue".to_owned(), json!(next));
    }
    let api_version = match kind.group.as_str() {
        "" => call.target.version.clone(),
        group => format!("{group}/{}", call.target.version),
    };
    Ok(json!({
        "kind": format!("{}List", kind.kind),
        "apiVersion": api_version,
        "metadata": metadata,
        "items": items,
    }))
}

fn namespace_is_open(store: &Store, kind: &Kind, namespace: &str) -> Result<(), Failure> {
    if !kind.namespaced {
        return Ok(());
    }
    let key: Key = (
        String::new(),
        "namespaces".into(),
        String::new(),
        namespace.to_owned(),
    );
    match store.objects.get(&key) {
        None => Err(not_found("", "namespaces", namespace)),
        Some(found) if found.pointer("/metadata/deletionTimestamp").is_some() => Err(failure(
            403,
            "Forbidden",
            format!(
                "{} is forbidden: unable to create new content in namespace {namespace} because it is \
                 being terminated",
                kind.plural
            ),
        )),
        Some(_) => Ok(()),
    }
}

/// Fills in what a new object gets from the server.
fn born(store: &mut Store, kind: &Kind, namespace: &str, object: &mut Value) {
    let uid = store.uid();
    let count = store.version;
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(now()));
        if kind.namespaced {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        if object_has_generation(kind) {
            metadata.insert("generation".to_owned(), json!(1));
        }
    }
    let name = text(object, "/metadata/name").to_owned();
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => {
            if let Value::Object(map) = object {
                map.insert("status".to_owned(), json!({ "phase": "Active" }));
                map.insert("spec".to_owned(), json!({ "finalizers": ["kubernetes"] }));
                if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
                    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
                    if let Value::Object(labels) = labels {
                        labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
                    }
                }
            }
        }
        ("", "Service") => {
            if let Some(Value::Object(spec)) = object.get_mut("spec") {
                spec.entry("type").or_insert_with(|| json!("ClusterIP"));
                spec.entry("clusterIP").or_insert_with(|| {
                    json!(format!("10.96.{}.{}", (count / 250) % 250, count % 250 + 1))
                });
                spec.entry("sessionAffinity")
                    .or_insert_with(|| json!("None"));
            }
        }
        ("apps", "Deployment" | "StatefulSet" | "ReplicaSet") => {
            if let Some(Value::Object(spec)) = object.get_mut("spec") {
                spec.entry("replicas").or_insert_with(|| json!(1));
            }
        }
        _ => {}
    }
}

fn object_has_generation(kind: &Kind) -> bool {
    kind.custom
        || !matches!(
            (kind.group.as_str(), kind.kind.as_str()),
            ("", _) | ("rbac.authorization.k8s.io", _) | ("coordination.k8s.io", _)
        )
}

fn create(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
    let mut object = call.body.clone();
    if !object.is_object() {
        return Err(bad_request("the body is not an object"));
    }
    let generated = text(&object, "/metadata/generateName").to_owned();
    if text(&object, "/metadata/name").is_empty() && !generated.is_empty() {
        let name = format!("{generated}{:05x}", store.version);
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.insert("name".to_owned(), json!(name));
        }
    }
    validate::object(kind, &object)?;
    namespace_is_open(store, kind, &call.target.namespace)?;
    let key = key_of(
        kind,
        &call.target.namespace,
        text(&object, "/metadata/name"),
    );
    if store.objects.contains_key(&key) {
        return Err(already_exists(&kind.group, &kind.plural, &key.3));
    }
    born(store, kind, &call.target.namespace, &mut object);
    let manager = call
        .query
        .get("fieldManager")
        .map_or("unknown", String::as_str);
    apply::track_update(&json!({}), &mut object, manager, "", kind.custom, &now());
    finish(store, kind, call, key, None, object)
}

fn update(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
    let target = &call.target;
    let key = key_of(kind, &target.namespace, &target.name);
    let before = store
        .objects
        .get(&key)
        .cloned()
        .ok_or_else(|| not_found(&kind.group, &kind.plural, &target.name))?;
    write(store, kind, call, key, &before, call.body.clone())
}

/// A plain write of a whole object, over what is there.
fn write(
    store: &mut Store,
    kind: &Kind,
    call: &Call,
    key: Key,
    before: &Value,
    mut after: Value,
) -> Result<Done, Failure> {
    let wanted = text(&after, "/metadata/resourceVersion");
    if !wanted.is_empty() && wanted != text(before, "/metadata/resourceVersion") {
        return Err(conflict(
            &kind.group,
            &kind.plural,
            &key.3,
            "the object has been modified; please apply your changes to the latest version and try again",
        ));
    }
    keep_identity(before, &mut after);
    let subresource = call.target.subresource.as_str();
    if subresource == "status" {
        let status = after.get("status").cloned();
        after = before.clone();
        if let (Value::Object(map), Some(status)) = (&mut after, status) {
            map.insert("status".to_owned(), status);
        }
    } else if let (Value::Object(map), Some(status)) = (&mut after, before.get("status")) {
        map.insert("status".to_owned(), status.clone());
    }
    validate::object(kind, &after)?;
    validate::change(kind, before, &after)?;
    let manager = call
        .query
        .get("fieldManager")
        .map_or("unknown", String::as_str);
    apply::track_update(
        before,
        &mut after,
        manager,
        subresource,
        kind.custom,
        &now(),
    );
    finish(store, kind, call, key, Some(before), after)
}

fn keep_identity(before: &Value, after: &mut Value) {
    let Some(Value::Object(metadata)) = after.get_mut("metadata") else {
        return;
    };
    for field in [
        "uid",
        "creationTimestamp",
        "name",
        "namespace",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
    ] {
        match before.pointer(&format!("/metadata/{field}")) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

fn patch(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
    let target = &call.target;
    let key = key_of(kind, &target.namespace, &target.name);
    let before = store
        .objects
        .get(&key)
        .cloned()
        .ok_or_else(|| not_found(&kind.group, &kind.plural, &target.name))?;
    let mut after = before.clone();
    if call.content_type.starts_with("application/json-patch") {
        let patch: json_patch::Patch = serde_json::from_value(call.body.clone())
            .map_err(|error| bad_request(error.to_string()))?;
        json_patch::patch(&mut after, &patch)
            .map_err(|error| failure(422, "Invalid", error.to_string()))?;
    } else if call.content_type.starts_with("application/merge-patch")
        || call
            .content_type
            .starts_with("application/strategic-merge-patch")
    {
        merge_patch(&mut after, &call.body);
    } else {
        return Err(failure(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format",
        ));
    }
    write(store, kind, call, key, &before, after)
}

/// RFC 7396.
fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

fn server_side_apply(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
    let target = &call.target;
    let Some(manager) = call
        .query
        .get("fieldManager")
        .filter(|manager| !manager.is_empty())
    else {
        return Err(bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    };
    if call
        .body
        .pointer("/metadata/managedFields")
        .is_some_and(|fields| !fields.is_null())
    {
        return Err(bad_request("metadata.managedFields must be nil"));
    }
    if text(&call.body, "/metadata/name") != target.name {
        return Err(bad_request(
            "the name of the object does not match the name on the URL",
        ));
    }
    let force = call.query.get("force").is_some_and(|force| force == "true");
    let key = key_of(kind, &target.namespace, &target.name);
    match store.objects.get(&key).cloned() {
        Some(before) => {
            let mut after = apply::apply(&before, &call.body, manager, force, kind.custom, &now())
                .map_err(|conflicts| apply_conflict(&conflicts))?;
            keep_identity(&before, &mut after);
            validate::object(kind, &after)?;
            validate::change(kind, &before, &after)?;
            finish(store, kind, call, key, Some(&before), after)
        }
        None => {
            namespace_is_open(store, kind, &target.namespace)?;
            let mut empty = call.body.clone();
            validate::object(kind, &empty)?;
            born(store, kind, &target.namespace, &mut empty);
            let after = apply::apply(&empty, &call.body, manager, force, kind.custom, &now())
                .map_err(|conflicts| apply_conflict(&conflicts))?;
            finish(store, kind, call, key, None, after)
        }
    }
}

/// Stores what changed; a write that changes nothing leaves the resourceVersion alone.
fn finish(
    store: &mut Store,
    kind: &Kind,
    call: &Call,
    key: Key,
    before: Option<&Value>,
    mut after: Value,
) -> Result<Done, Failure> {
    let code = if before.is_none() { 201 } else { 200 };
    if let Some(before) = before {
        if *before == after {
            return Ok(Done::new(200, versioned(&after, kind, &call.target), false));
        }
        let spec = |value: &Value| {
            let mut value = value.clone();
            if let Value::Object(map) = &mut value {
                map.remove("metadata");
                map.remove("status");
            }
            value
        };
        if object_has_generation(kind) && spec(before) != spec(&after) {
            let generation = before
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or(0)
                + 1;
            if let Some(Value::Object(metadata)) = after.get_mut("metadata") {
                metadata.insert("generation".to_owned(), json!(generation));
            }
        }
    }
    if call.query.contains_key("dryRun") {
        return Ok(Done::new(
            code,
            versioned(&after, kind, &call.target),
            false,
        ));
    }
    let finalizers = after
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    let is_going = after.pointer("/metadata/deletionTimestamp").is_some();
    if is_going && finalizers.is_none_or(Vec::is_empty) {
        let gone = remove(store, &key).unwrap_or(after);
        return Ok(Done::new(code, gone, true));
    }
    let stored = store.put(key, after);
    if kind.kind == "CustomResourceDefinition" {
        serve_definition(store, &stored);
    }
    Ok(Done::new(
        code,
        versioned(&stored, kind, &call.target),
        true,
    ))
}

/// A definition is served at once, and its status says so.
fn serve_definition(store: &mut Store, definition: &Value) {
    let group = text(definition, "/spec/group").to_owned();
    let plural = text(definition, "/spec/names/plural").to_owned();
    let versions: Vec<String> = definition
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|version| version.get("served") == Some(&Value::Bool(true)))
        .map(|version| text(version, "/name").to_owned())
        .collect();
    store
        .kinds
        .retain(|kind| !(kind.custom && kind.group == group && kind.plural == plural));
    store.kinds.push(Kind {
        group,
        versions,
        kind: text(definition, "/spec/names/kind").to_owned(),
        plural,
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        custom: true,
    });
    let established = json!([
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
        {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "message": "the initial names have been accepted"},
    ]);
    if definition.pointer("/status/conditions") == Some(&established) {
        return;
    }
    let mut after = definition.clone();
    if let Value::Object(map) = &mut after {
        map.insert("status".to_owned(), json!({ "conditions": established }));
    }
    let name = text(definition, "/metadata/name").to_owned();
    let key: Key = (
        "apiextensions.k8s.io".into(),
        "customresourcedefinitions".into(),
        String::new(),
        name,
    );
    store.put(key, after);
}

fn delete(store: &mut Store, kind: &Kind, call: &Call) -> Result<Done, Failure> {
    let target = &call.target;
    if target.name.is_empty() {
        return Err(failure(405, "MethodNotAllowed", "delete names an object"));
    }
    let key = key_of(kind, &target.namespace, &target.name);
    let before = store
        .objects
        .get(&key)
        .cloned()
        .ok_or_else(|| not_found(&kind.group, &kind.plural, &target.name))?;
    for (field, pointer) in [
        ("uid", "/metadata/uid"),
        ("resourceVersion", "/metadata/resourceVersion"),
    ] {
        let wanted = text(&call.body, &format!("/preconditions/{field}"));
        let have = text(&before, pointer);
        if !wanted.is_empty() && wanted != have {
            let name = if field == "uid" {
                "UID"
            } else {
                "ResourceVersion"
            };
            let why = format!(
                "Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {have}"
            );
            return Err(conflict(&kind.group, &kind.plural, &target.name, &why));
        }
    }
    if call.query.contains_key("dryRun") {
        return Ok(Done::new(200, before, false));
    }
    let waits = before
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .is_some_and(|finalizers| !finalizers.is_empty());
    if waits {
        if before.pointer("/metadata/deletionTimestamp").is_some() {
            return Ok(Done::new(200, before, false));
        }
        let mut after = before;
        if let Some(Value::Object(metadata)) = after.get_mut("metadata") {
            metadata.insert("deletionTimestamp".to_owned(), json!(now()));
            metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
        }
        let after = store.put(key, after);
        return Ok(Done::new(200, after, true));
    }
    let gone = remove(store, &key).unwrap_or(before);
    Ok(Done::new(200, gone, true))
}

/// Takes an object out, with what it owns: a namespace its content, a definition its objects, an owner
/// its dependents.
fn remove(store: &mut Store, key: &Key) -> Option<Value> {
    let gone = store.delete(key)?;
    let uid = text(&gone, "/metadata/uid").to_owned();
    let content: Vec<Key> = match (key.0.as_str(), key.1.as_str()) {
        ("", "namespaces") => store
            .objects
            .keys()
            .filter(|other| other.2 == key.3)
            .cloned()
            .collect(),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            let (plural, group) = key.3.split_once('.').unwrap_or((&key.3, ""));
            let (plural, group) = (plural.to_owned(), group.to_owned());
            store
                .kinds
                .retain(|kind| !(kind.custom && kind.group == group && kind.plural == plural));
            store
                .objects
                .keys()
                .filter(|other| other.0 == group && other.1 == plural)
                .cloned()
                .collect()
        }
        _ => store
            .objects
            .iter()
            .filter(|(_, object)| {
                object
                    .pointer("/metadata/ownerReferences")
                    .and_then(Value::as_array)
                    .is_some_and(|owners| owners.iter().any(|owner| text(owner, "/uid") == uid))
            })
            .map(|(other, _)| other.clone())
            .collect(),
    };
    for other in content {
        remove(store, &other);
    }
    Some(gone)
}
