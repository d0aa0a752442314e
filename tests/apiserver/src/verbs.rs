//! The effect of each verb on the store.

mod apply;
mod delete;
mod establish;
mod list;
mod read;
mod scale;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::ApiServer;
use crate::access::{self, Attributes, User};
use crate::audit::AuditEvent;
use crate::convert;
use crate::kinds::Kind;
use crate::request::Target;
use crate::status::{Cause, Failure, invalid, no_such_path, not_allowed, not_found};
use crate::store::{Key, Store};

pub(crate) use delete::collect_garbage;

/// A parsed request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) verb: &'static str,
    pub(crate) target: Target,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) content_type: String,
    pub(crate) body: Value,
    pub(crate) user: User,
    /// Name before the slash of `User-Agent`: the default for `fieldManager`.
    pub(crate) agent: String,
    /// The patches of mutating webhooks for this object.
    pub(crate) patches: Vec<json_patch::Patch>,
    /// Stops where webhooks are called, and returns the object that they are to see.
    pub(crate) stop: Option<AdmissionPhase>,
}

/// The point at which webhooks are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdmissionPhase {
    /// Before an object is completed (allocated addresses, fields of the server) and validated.
    Mutating,
    /// After validation, before the object is stored.
    Validating,
}

impl Call {
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.query.contains_key("dryRun")
    }

    fn manager(&self) -> &str {
        match self.parameter("fieldManager") {
            "" => &self.agent,
            given => given,
        }
    }

    /// The attributes of the request for authorisation.
    pub(crate) fn act(&self) -> Attributes {
        let target = &self.target;
        let is_namespace = target.group.is_empty() && target.plural == "namespaces";
        Attributes {
            verb: self.verb.to_owned(),
            group: target.group.clone(),
            resource: target.plural.clone(),
            subresource: target.subresource.clone(),
            namespace: match is_namespace {
                true => target.name.clone(),
                false => target.namespace.clone(),
            },
            name: target.name.clone(),
            path: String::new(),
        }
    }
}

/// The result of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: u16,
    pub(crate) value: Value,
    pub(crate) warnings: Vec<String>,
    /// The object after a write that changed anything; after a removal, the removed one.
    pub(crate) written: Option<Arc<Value>>,
    /// For webhooks: the object before the write; none if it did not exist.
    pub(crate) before: Option<Value>,
}

impl Outcome {
    /// The result for webhooks.
    fn seen(before: Option<Value>, after: Value) -> Self {
        Self {
            before,
            ..Self::new(200, after)
        }
    }

    fn new(code: u16, value: Value) -> Self {
        Self {
            code,
            value,
            warnings: Vec::new(),
            written: None,
            before: None,
        }
    }
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// The object of a call, with its key.
fn existing(store: &Store, kind: &Kind, call: &Call) -> Result<(Key, Arc<Value>), Failure> {
    let target = &call.target;
    let key = key_of(kind, &target.namespace, &target.name);
    match store.get(&key) {
        Some(object) => Ok((key, Arc::clone(object))),
        None => Err(not_found(&kind.group, &kind.plural, &target.name)),
    }
}

pub(crate) fn key_of(kind: &Kind, namespace: &str, name: &str) -> Key {
    let namespace = if kind.namespaced { namespace } else { "" };
    (
        kind.storage.0.clone(),
        kind.storage.1.clone(),
        namespace.to_owned(),
        name.to_owned(),
    )
}

impl ApiServer {
    /// Creates a namespace that every cluster has.
    pub(crate) fn bootstrap(&self, group: &str, plural: &str, body: Value) {
        let target = Target {
            group: group.to_owned(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            ..Target::default()
        };
        let call = Call {
            verb: "create",
            target,
            query: BTreeMap::new(),
            content_type: "application/json".to_owned(),
            body,
            user: User::admin(),
            agent: "kube-apiserver".to_owned(),
            patches: Vec::new(),
            stop: None,
        };
        // It may exist already, from the data file.
        let _ = dispatch(&mut self.inner.store.lock(), &call);
    }

    /// Executes a call, and records a write in the audit log.
    pub(crate) fn execute(&self, call: &Call) -> Result<Outcome, Failure> {
        let result = self.perform(call);
        self.note(call, &result);
        result
    }

    /// Executes a call without recording it.
    pub(crate) fn perform(&self, call: &Call) -> Result<Outcome, Failure> {
        let mut store = self.inner.store.lock();
        if access::may(&store, &call.user, &call.act()) {
            dispatch(&mut store, call)
        } else {
            Err(call.act().refusal(&call.user))
        }
    }

    /// Records a write in the audit log, and wakes watches.
    pub(crate) fn note(&self, call: &Call, result: &Result<Outcome, Failure>) {
        if matches!(call.verb, "get" | "list" | "watch") {
            return;
        }
        let (code, written) = match result {
            Ok(done) => (done.code, done.written.clone()),
            Err(failure) => (failure.code, None),
        };
        let target = &call.target;
        let name = match target.name.as_str() {
            "" => text(&call.body, "/metadata/name"),
            name => name,
        };
        let uid = match (&written, result) {
            (Some(object), _) => text(object, "/metadata/uid").to_owned(),
            (None, Ok(done)) => match text(&done.value, "/metadata/uid") {
                "" => text(&done.value, "/details/uid").to_owned(),
                uid => uid.to_owned(),
            },
            _ => String::new(),
        };
        self.inner.audit.lock().note(AuditEvent {
            verb: call.verb.to_owned(),
            group: target.group.clone(),
            resource: target.plural.clone(),
            subresource: target.subresource.clone(),
            namespace: target.namespace.clone(),
            name: name.to_owned(),
            uid,
            user: call.user.name.clone(),
            manager: call.parameter("fieldManager").to_owned(),
            dry_run: call.is_dry(),
            code,
            changed: written.is_some(),
        });
        if let Some(object) = written {
            self.bump();
            self.live(&object);
        }
    }

    pub(crate) fn bump(&self) {
        let version = self.inner.store.lock().version;
        self.inner.changed.send_replace(version);
    }
}

fn dispatch(store: &mut Store, call: &Call) -> Result<Outcome, Failure> {
    let target = &call.target;
    let kinds = Arc::clone(&store.kinds);
    let kind = kinds
        .iter()
        .find(|kind| {
            kind.group == target.group
                && kind.plural == target.plural
                && kind.versions.contains_key(&target.version)
        })
        .ok_or_else(no_such_path)?;
    let is_placed = kind.namespaced != target.namespace.is_empty();
    let is_everywhere =
        matches!(call.verb, "list" | "watch") && target.namespace.is_empty() && kind.namespaced;
    if !is_placed && !is_everywhere {
        // Across all namespaces only list and watch are allowed.
        if kind.namespaced && target.name.is_empty() {
            return Err(not_allowed());
        }
        return Err(no_such_path());
    }
    if kind.is_virtual() {
        return match call.verb {
            "create" => {
                let place = &target.namespace;
                let answer = access::review(store, &call.user, &kind.kind, place, &call.body)?;
                Ok(Outcome::new(201, answer))
            }
            _ => Err(not_allowed()),
        };
    }
    options(call)?;
    match target.subresource.as_str() {
        "" => {}
        "scale" if kind.has_subresource(&target.version, "scale") => {
            return scale::scale(store, kind, call);
        }
        name if kind.has_subresource(&target.version, name) => {}
        _ => return Err(no_such_path()),
    }
    match call.verb {
        "list" => list::list(store, kind, call),
        "get" => {
            let key = key_of(kind, &target.namespace, &target.name);
            let object = store
                .get(&key)
                .ok_or_else(|| not_found(&kind.group, &kind.plural, &target.name))?;
            Ok(Outcome::new(
                200,
                convert::to(kind, &target.version, object),
            ))
        }
        "create" if target.name.is_empty() => write::create(store, kind, call),
        "update" if !target.name.is_empty() => write::update(store, kind, call),
        "patch" if !target.name.is_empty() => {
            if call.content_type == "application/apply-patch+yaml" {
                apply::apply(store, kind, call)
            } else {
                write::patch(store, kind, call)
            }
        }
        "delete" if target.subresource.is_empty() => delete::delete(store, kind, call),
        "deletecollection" => delete::collection(store, kind, call),
        _ => Err(not_allowed()),
    }
}

/// Validates query parameters.
fn options(call: &Call) -> Result<(), Failure> {
    if matches!(call.verb, "get" | "list" | "watch") {
        return Ok(());
    }
    let what = match call.verb {
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        _ => "DeleteOptions",
    };
    let mut causes = Vec::new();
    if call.is_dry() && call.parameter("dryRun") != "All" {
        let given = json!([call.parameter("dryRun")]);
        causes.push(Cause::unsupported("dryRun", &given, &["All"]));
    }
    let is_apply = call.content_type.starts_with("application/apply-patch");
    if call.verb == "patch" && is_apply && call.parameter("fieldManager").is_empty() {
        causes.push(Cause::required(
            "fieldManager",
            "is required for apply patch",
        ));
    }
    if call.verb == "patch" && !is_apply && call.query.contains_key("force") {
        causes.push(Cause::forbidden(
            "force",
            "may not be specified for non-apply patch",
        ));
    }
    let validation = call.parameter("fieldValidation");
    if !matches!(validation, "" | "Ignore" | "Warn" | "Strict") {
        let allowed = ["", "Ignore", "Strict", "Warn"];
        causes.push(Cause::unsupported(
            "fieldValidation",
            &json!(validation),
            &allowed,
        ));
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(invalid("meta.k8s.io", what, "", &causes))
    }
}
