//! OpenAPI v3 documents, without descriptions, for `kubectl explain` and `kubectl apply`.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::schema::{OBJECT_META, builtin};

fn group_versions(kinds: &[Kind]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = kinds
        .iter()
        .flat_map(|kind| kind.order.iter().map(|v| (kind.group.clone(), v.clone())))
        .collect();
    found.sort();
    found.dedup();
    found
}

fn path(group: &str, version: &str) -> String {
    match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    }
}

/// `/openapi/v3`.
pub(crate) fn index(kinds: &[Kind]) -> Value {
    let paths: Map<String, Value> = group_versions(kinds)
        .iter()
        .map(|(group, version)| {
            let path = path(group, version);
            let url = format!("/openapi/v3/{path}");
            (path, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

/// `/openapi/v3/api/v1` and `/openapi/v3/apis/GROUP/VERSION`.
pub(crate) fn document(kinds: &[Kind], group: &str, version: &str) -> Option<Value> {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    let mut todo = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.group == group) {
        let Some(served) = kind.versions.get(version) else {
            continue;
        };
        let gvk = json!({"group": group, "version": version, "kind": kind.kind});
        let mut schema = match &served.document {
            Some(document) => with_metadata(document),
            None => linked(builtin().documents.get(&served.type_name)?),
        };
        collect(&schema, &mut todo);
        if let Value::Object(schema) = &mut schema {
            schema.insert("x-kubernetes-group-version-kind".to_owned(), json!([gvk]));
        }
        schemas.insert(served.type_name.clone(), schema);
        let place = if kind.namespaced {
            format!(
                "/{}/namespaces/{{namespace}}/{}",
                path(group, version),
                kind.plural
            )
        } else {
            format!("/{}/{}", path(group, version), kind.plural)
        };
        let reference = json!({"$ref": format!("#/components/schemas/{}", served.type_name)});
        let parameters = ["dryRun", "fieldManager", "fieldValidation", "force"].map(|name| {
            json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
        });
        let operation = |action: &str| {
            json!({
                "parameters": parameters,
                "responses": {"200": {"description": "OK",
                    "content": {"application/json": {"schema": reference}}}},
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": gvk,
            })
        };
        paths.insert(
            format!("{place}/{{name}}"),
            json!({"get": operation("get"), "put": operation("put"), "patch": operation("patch")}),
        );
        paths.insert(
            place,
            json!({"get": operation("list"), "post": operation("post")}),
        );
    }
    if schemas.is_empty() {
        return None;
    }
    while let Some(name) = todo.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        if let Some(schema) = builtin().documents.get(&name) {
            let schema = linked(schema);
            collect(&schema, &mut todo);
            schemas.insert(name, schema);
        }
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": format!("v{}", builtin().version)},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn with_metadata(document: &Value) -> Value {
    let mut document = document.clone();
    if let Value::Object(map) = &mut document {
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        if let Value::Object(properties) = properties {
            let text = json!({ "type": "string" });
            properties.insert("apiVersion".to_owned(), text.clone());
            properties.insert("kind".to_owned(), text);
            let reference = format!("#/components/schemas/{OBJECT_META}");
            properties.insert(
                "metadata".to_owned(),
                json!({"allOf": [{"$ref": reference}]}),
            );
        }
    }
    document
}

/// The document with references as OpenAPI writes them, without this crate's own annotations.
fn linked(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (name, value) in map {
                match (name.as_str(), value) {
                    ("kept" | "dropped" | "always", Value::Array(_)) => {}
                    ("$ref", Value::String(name)) => {
                        let reference = format!("#/components/schemas/{name}");
                        out.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
                    }
                    _ => {
                        out.insert(name.clone(), linked(value));
                    }
                }
            }
            Value::Object(out)
        }
        Value::Array(list) => Value::Array(list.iter().map(linked).collect()),
        value => value.clone(),
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match (name.as_str(), value.as_str()) {
                    ("$ref", Some(reference)) => {
                        let name = reference.rsplit('/').next().unwrap_or(reference);
                        found.push(name.to_owned());
                    }
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}
