//! Server-side apply.

use serde_json::{Value, json};

use super::read::{read, schema};
use super::write::{admit_creation, born, circumstances, namespace_is_open, place, store_change};
use super::{Call, Outcome, key_of, text};
use crate::access::{self, Attributes};
use crate::clock::now;
use crate::fieldset::Set;
use crate::kinds::Kind;
use crate::managed::{self, Refusal};
use crate::schema::Schema;
use crate::status::{
    Cause, Failure, apply_conflict, bad_request, failure, invalid, modified, not_found,
};
use crate::store::Store;
use crate::{convert, prepare};

pub(super) fn apply(store: &mut Store, kind: &Kind, call: &Call) -> Result<Outcome, Failure> {
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
    let requested = text(&configuration, "/metadata/resourceVersion").to_owned();
    match live {
        Some(before) => {
            let live = convert::to(kind, &target.version, &before);
            let merged =
                managed::apply(&write, &live, &configuration, force, false).map_err(refuse)?;
            let uid = text(&configuration, "/metadata/uid");
            if !uid.is_empty() && uid != text(&before, "/metadata/uid") {
                // The API server reports this cause twice.
                let cause = Cause::invalid("metadata.uid", &json!(uid), "field is immutable");
                let causes = [cause.clone(), cause];
                return Err(invalid(&kind.group, &kind.kind, &target.name, &causes));
            }
            if !requested.is_empty() && requested != text(&before, "/metadata/resourceVersion") {
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
            let act = Attributes {
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

/// The merged object has passed the schema already, so the warnings about unknown fields are known.
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

/// Validates the configuration before the live object is read.
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

/// Fields of a configuration that the schema does not know.
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
