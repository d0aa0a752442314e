//! The embedded API server has the kinds and fields of a real one: `schema/builtin.json` is generated from a real
//! server's discovery and OpenAPI documents (`FLOTILLA_REGENERATE=1`), and compared with them if one of the same minor
//! version is available.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;

use flotilla_tests::cluster::TestCluster;
use serde_json::{Map, Value, json};

/// Virtual kinds that the embedded server does not serve.
const SKIPPED: [&str; 3] = ["bindings", "componentstatuses", "tokenreviews"];
const SUBRESOURCES: [&str; 3] = ["status", "scale", "finalize"];
/// Facts that the documents do not contain; see the README.
const NOTES: [&str; 3] = ["kept", "dropped", "always"];

async fn get(cluster: &TestCluster, path: &str, accept: &str) -> Value {
    use http_body_util::BodyExt as _;
    let request = http::Request::get(path)
        .header("accept", accept)
        .body(kube::client::Body::empty())
        .unwrap();
    let response = cluster.client().send(request).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A schema without the parts that are not used here.
fn pruned(schema: &Value) -> Value {
    let name = |reference: &Value| {
        let reference = reference.as_str().unwrap();
        json!(reference.rsplit('/').next().unwrap())
    };
    let mut out = Map::new();
    if let [one] = list(schema, "/allOf") {
        out.insert("$ref".to_owned(), name(&one["$ref"]));
    }
    for (key, value) in schema.as_object().unwrap() {
        let kept = match key.as_str() {
            "description"
            | "x-kubernetes-group-version-kind"
            | "allOf"
            | "oneOf"
            | "enum"
            | "x-kubernetes-unions" => continue,
            "format" if text(schema, "/type") != "integer" => continue,
            "$ref" => name(value),
            "properties" => {
                let fields = value.as_object().unwrap().iter();
                Value::Object(
                    fields
                        .map(|(name, field)| (name.clone(), pruned(field)))
                        .collect(),
                )
            }
            "items" | "additionalProperties" if value.is_object() => pruned(value),
            _ => value.clone(),
        };
        out.insert(key.clone(), kept);
    }
    Value::Object(out)
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(name)) = map.get("$ref") {
                found.push(name.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Every kind, in the order of discovery.
fn kinds(documents: &[Value], types: &BTreeMap<(String, String, String), String>) -> Vec<Value> {
    let mut kinds = Vec::new();
    for group in documents
        .iter()
        .flat_map(|document| list(document, "/items"))
    {
        let name = text(group, "/metadata/name");
        for version in list(group, "/versions") {
            for kind in list(version, "/resources") {
                if SKIPPED.contains(&text(kind, "/resource")) {
                    continue;
                }
                let of = (
                    name.to_owned(),
                    text(version, "/version").to_owned(),
                    text(kind, "/responseKind/kind").to_owned(),
                );
                let subresources: Vec<Value> = list(kind, "/subresources")
                    .iter()
                    .filter(|sub| SUBRESOURCES.contains(&text(sub, "/subresource")))
                    .map(|sub| {
                        json!({
                            "name": sub["subresource"],
                            "group": sub["responseKind"]["group"],
                            "version": sub["responseKind"]["version"],
                            "kind": sub["responseKind"]["kind"],
                            "verbs": sub["verbs"],
                        })
                    })
                    .collect();
                kinds.push(json!({
                    "group": name,
                    "version": version["version"],
                    "kind": of.2,
                    "plural": kind["resource"],
                    "singular": kind["singularResource"],
                    "namespaced": text(kind, "/scope") == "Namespaced",
                    "verbs": kind["verbs"],
                    "shortNames": list(kind, "/shortNames"),
                    "categories": list(kind, "/categories"),
                    "type": types.get(&of).unwrap(),
                    "subresources": subresources,
                }));
            }
        }
    }
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_and_fields_are_those_of_a_real_server() {
    let Some(cluster) = TestCluster::real().await.unwrap() else {
        flotilla_needs::skip("apiserver");
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("apiserver/src/schema/builtin.json");
    let before = std::fs::read_to_string(&path).unwrap();
    let committed: Value = serde_json::from_str(&before).unwrap();
    let server = get(&cluster, "/version", "application/json").await;
    let version = format!("{}.{}", text(&server, "/major"), text(&server, "/minor"));
    let regenerate = std::env::var_os("FLOTILLA_REGENERATE").is_some();
    if committed["version"] != version && !regenerate {
        flotilla_needs::in_part(&format!("the real API server is {version}: not compared"));
        return;
    }
    let index = get(&cluster, "/openapi/v3", "application/json").await;
    let mut documents = BTreeMap::new();
    let mut types = BTreeMap::new();
    for (path, entry) in index["paths"].as_object().unwrap() {
        if path != "api/v1" && !(path.starts_with("apis/") && path.matches('/').count() == 2) {
            continue;
        }
        let document = get(
            &cluster,
            text(entry, "/serverRelativeURL"),
            "application/json",
        )
        .await;
        let schemas = document
            .pointer("/components/schemas")
            .and_then(Value::as_object);
        for (name, schema) in schemas.into_iter().flatten() {
            for kind in list(schema, "/x-kubernetes-group-version-kind") {
                let of = ["/group", "/version", "/kind"].map(|part| text(kind, part).to_owned());
                let [group, version, kind] = of;
                types
                    .entry((group, version, kind))
                    .or_insert_with(|| name.clone());
            }
            documents.insert(name.clone(), schema.clone());
        }
    }
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let discovery = [
        get(&cluster, "/api", aggregated).await,
        get(&cluster, "/apis", aggregated).await,
    ];
    let kinds = kinds(&discovery, &types);
    let mut todo: Vec<String> = kinds
        .iter()
        .map(|kind| text(kind, "/type").to_owned())
        .collect();
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1";
    todo.push("io.k8s.api.autoscaling.v1.Scale".to_owned());
    todo.extend(["DeleteOptions", "Status", "ListMeta"].map(|name| format!("{meta}.{name}")));
    let mut schemas = BTreeMap::new();
    while let Some(name) = todo.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        let mut schema = pruned(&documents[&name]);
        references(&schema, &mut todo);
        for note in NOTES {
            if let Some(known) = committed["types"][&name].get(note) {
                schema[note] = known.clone();
            }
        }
        schemas.insert(name, schema);
    }
    let kinds: Vec<String> = kinds.iter().map(Value::to_string).collect();
    let schemas: Vec<String> = schemas
        .iter()
        .map(|(name, schema)| format!("{}:{schema}", json!(name)))
        .collect();
    let after = format!(
        "{{\"version\":\"{version}\",\"kinds\":[\n{}\n],\"types\":{{\n{}\n}}}}\n",
        kinds.join(",\n"),
        schemas.join(",\n")
    );
    if regenerate {
        std::fs::write(&path, after).unwrap();
        return;
    }
    let changed: Vec<(&str, &str)> = before
        .lines()
        .zip(after.lines())
        .filter(|(before, after)| before != after)
        .take(3)
        .collect();
    assert!(changed.is_empty() && before == after, "{changed:#?}");
}
