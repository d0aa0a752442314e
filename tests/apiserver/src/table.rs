//! Other representations: `PartialObjectMetadata` for clients that need no more, `Table` for people.

use serde_json::{Map, Value, json};

use crate::kinds::{Kind, pointer};

/// The representation that `Accept` requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Whole,
    Metadata,
    Table,
}

impl View {
    /// The first supported media type of an `Accept` header.
    pub(crate) fn of(accept: &str) -> Self {
        for part in accept.split(',') {
            if !part.contains("meta.k8s.io") {
                if part.trim().starts_with("application/json") {
                    return Self::Whole;
                }
                continue;
            }
            if part.contains("as=PartialObjectMetadata") {
                return Self::Metadata;
            }
            if part.contains("as=Table") {
                return Self::Table;
            }
        }
        Self::Whole
    }

    /// Converts an object of a watch.
    pub(crate) fn one(self, kind: &Kind, version: &str, object: Value) -> Value {
        match self {
            Self::Whole => object,
            Self::Metadata => partial(&object, true),
            Self::Table => table(kind, version, &json!({}), &[object], true),
        }
    }

    /// Converts an object or a list. Failures and other answers remain unchanged.
    pub(crate) fn answer(self, kind: &Kind, version: &str, value: Value, include: &str) -> Value {
        if self == Self::Whole {
            return value;
        }
        let is_list = value.get("kind").and_then(Value::as_str) == Some(&kind.list_kind);
        let is_object = value.get("kind").and_then(Value::as_str) == Some(&kind.kind);
        if !is_list && !is_object {
            return value;
        }
        let items: Vec<Value> = match value.get("items").and_then(Value::as_array) {
            Some(items) if is_list => items.clone(),
            _ => vec![value.clone()],
        };
        let metadata = match is_list {
            true => value.get("metadata").cloned().unwrap_or_default(),
            false => {
                let version = value.pointer("/metadata/resourceVersion");
                json!({ "resourceVersion": version })
            }
        };
        match self {
            Self::Metadata if is_list => json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "items": items.iter().map(|item| partial(item, true)).collect::<Vec<_>>(),
            }),
            Self::Metadata => partial(&value, true),
            _ => {
                let whole = include == "Object";
                let mut table = table(kind, version, &metadata, &items, whole);
                if let (true, Value::Object(table)) = (include == "None", &mut table) {
                    let rows = table.get_mut("rows").and_then(Value::as_array_mut);
                    for row in rows.into_iter().flatten().filter_map(Value::as_object_mut) {
                        row.remove("object");
                    }
                }
                table
            }
        }
    }
}

fn partial(object: &Value, typed: bool) -> Value {
    let mut out = Map::new();
    if typed {
        out.insert("kind".to_owned(), json!("PartialObjectMetadata"));
        out.insert("apiVersion".to_owned(), json!("meta.k8s.io/v1"));
    }
    let metadata = object.get("metadata").cloned().unwrap_or_default();
    out.insert("metadata".to_owned(), metadata);
    Value::Object(out)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// The age as apimachinery's `HumanDuration` writes it.
fn age(object: &Value) -> String {
    let Ok(created) = text(object, "/metadata/creationTimestamp").parse::<jiff::Timestamp>() else {
        return "<unknown>".to_owned();
    };
    let seconds = jiff::Timestamp::now().duration_since(created).as_secs();
    match seconds {
        s if s < 0 => "0s".to_owned(),
        s if s < 120 => format!("{s}s"),
        s if s < 600 => match s % 60 {
            0 => format!("{}m", s / 60),
            rest => format!("{}m{rest}s", s / 60),
        },
        s if s < 10_800 => format!("{}m", s / 60),
        s if s < 28_800 => match (s / 60) % 60 {
            0 => format!("{}h", s / 3600),
            rest => format!("{}h{rest}m", s / 3600),
        },
        s if s < 172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

type Cell = fn(&Value) -> Value;

/// Name, type, cell.
type Columns = &'static [(&'static str, &'static str, Cell)];

fn length(object: &Value, pointer: &str) -> i64 {
    let count = match object.pointer(pointer) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn ready(object: &Value) -> Value {
    let (have, desired) = (
        number(object, "/status/readyReplicas"),
        number(object, "/spec/replicas"),
    );
    json!(format!("{have}/{desired}"))
}

fn service_ports(object: &Value) -> Value {
    let ports = object.pointer("/spec/ports").and_then(Value::as_array);
    let ports: Vec<String> = ports
        .into_iter()
        .flatten()
        .map(|port| {
            let protocol = text(port, "/protocol");
            match number(port, "/nodePort") {
                0 => format!("{}/{protocol}", number(port, "/port")),
                node => format!("{}:{node}/{protocol}", number(port, "/port")),
            }
        })
        .collect();
    json!(if ports.is_empty() {
        "<none>".to_owned()
    } else {
        ports.join(",")
    })
}

fn external(object: &Value) -> Value {
    let ingress = object.pointer("/status/loadBalancer/ingress");
    let first = ingress.and_then(|list| list.get(0));
    json!(match (text(object, "/spec/type"), first) {
        ("LoadBalancer", Some(first)) => match text(first, "/ip") {
            "" => text(first, "/hostname"),
            ip => ip,
        },
        ("LoadBalancer", None) => "<pending>",
        ("ExternalName", _) => text(object, "/spec/externalName"),
        _ => "<none>",
    })
}

fn completions(object: &Value) -> Value {
    let desired = number(object, "/spec/completions");
    json!(format!("{}/{desired}", number(object, "/status/succeeded")))
}

/// The columns of common kinds; other built-in kinds have name and age.
fn columns(kind: &Kind) -> Columns {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ConfigMap") => &[("Data", "integer", |o| {
            json!(length(o, "/data") + length(o, "/binaryData"))
        })],
        ("", "Secret") => &[
            ("Type", "string", |o| json!(text(o, "/type"))),
            ("Data", "integer", |o| json!(length(o, "/data"))),
        ],
        ("", "Namespace") => &[("Status", "string", |o| json!(text(o, "/status/phase")))],
        ("", "Pod") => &[
            ("Ready", "string", |o| {
                json!(format!("0/{}", length(o, "/spec/containers")))
            }),
            ("Status", "string", |o| json!(text(o, "/status/phase"))),
            ("Restarts", "string", |_| json!("0")),
        ],
        ("", "Service") => &[
            ("Type", "string", |o| json!(text(o, "/spec/type"))),
            ("Cluster-IP", "string", |o| {
                json!(text(o, "/spec/clusterIP"))
            }),
            ("External-IP", "string", external),
            ("Port(s)", "string", service_ports),
        ],
        ("", "PersistentVolumeClaim") => &[
            ("Status", "string", |o| json!(text(o, "/status/phase"))),
            ("Volume", "string", |o| json!(text(o, "/spec/volumeName"))),
        ],
        ("apps", "Deployment") => &[
            ("Ready", "string", ready),
            ("Up-to-date", "integer", |o| {
                json!(number(o, "/status/updatedReplicas"))
            }),
            ("Available", "integer", |o| {
                json!(number(o, "/status/availableReplicas"))
            }),
        ],
        ("apps", "StatefulSet") => &[("Ready", "string", ready)],
        ("apps", "ReplicaSet") => &[
            ("Desired", "integer", |o| json!(number(o, "/spec/replicas"))),
            ("Current", "integer", |o| {
                json!(number(o, "/status/replicas"))
            }),
            ("Ready", "integer", |o| {
                json!(number(o, "/status/readyReplicas"))
            }),
        ],
        ("apps", "DaemonSet") => &[
            ("Desired", "integer", |o| {
                json!(number(o, "/status/desiredNumberScheduled"))
            }),
            ("Current", "integer", |o| {
                json!(number(o, "/status/currentNumberScheduled"))
            }),
            ("Ready", "integer", |o| {
                json!(number(o, "/status/numberReady"))
            }),
            ("Available", "integer", |o| {
                json!(number(o, "/status/numberAvailable"))
            }),
        ],
        ("batch", "Job") => &[("Completions", "string", completions)],
        ("batch", "CronJob") => &[
            ("Schedule", "string", |o| json!(text(o, "/spec/schedule"))),
            ("Suspend", "boolean", |o| {
                o.pointer("/spec/suspend").cloned().unwrap_or_default()
            }),
        ],
        _ => &[],
    }
}

fn column(name: &str, kind: &str, format: &str) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": 0})
}

fn table(kind: &Kind, version: &str, metadata: &Value, items: &[Value], whole: bool) -> Value {
    let mut definitions = vec![column("Name", "string", "name")];
    let custom = kind
        .versions
        .get(version)
        .map(|version| version.columns.as_slice())
        .unwrap_or_default();
    let own = columns(kind);
    let bare = kind.custom && custom.is_empty();
    let dated = bare || kind.kind == "CustomResourceDefinition";
    definitions.extend(own.iter().map(|(name, kind, _)| column(name, kind, "")));
    definitions.extend(custom.iter().map(|column| column.definition.clone()));
    if dated && !bare {
        definitions.push(column("Created At", "date", ""));
    } else if bare || !kind.custom {
        definitions.push(column("Age", if bare { "date" } else { "string" }, ""));
    }
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let mut cells = vec![json!(text(item, "/metadata/name"))];
            cells.extend(own.iter().map(|(_, _, cell)| cell(item)));
            for column in custom {
                let value = item.pointer(&pointer(&column.path)).cloned();
                let is_date = text(&column.definition, "/type") == "date";
                cells.push(match value {
                    Some(_) if is_date => json!(age(item)),
                    Some(value) => value,
                    None => Value::Null,
                });
            }
            if dated && !bare {
                cells.push(json!(text(item, "/metadata/creationTimestamp")));
            } else if bare || !kind.custom {
                cells.push(json!(age(item)));
            }
            let object = if whole {
                item.clone()
            } else {
                partial(item, true)
            };
            json!({ "cells": cells, "object": object })
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}
