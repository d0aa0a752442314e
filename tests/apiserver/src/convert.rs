//! Conversion between versions of built-in kinds that differ: autoscaling v1 and v2, events of both groups. Versions
//! of custom kinds differ in `apiVersion` only (conversion strategy None).

use serde_json::{Map, Value, json};

use crate::decode;
use crate::kinds::Kind;

/// Sets an object's `apiVersion`, and converts its fields if the versions differ.
pub(crate) fn to(kind: &Kind, version: &str, object: &Value) -> Value {
    let mut object = object.clone();
    let requested = kind.api_version(version);
    let have = object
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if have == requested {
        return object;
    }
    if let Value::Object(map) = &mut object {
        match (have.as_str(), requested.as_str()) {
            ("autoscaling/v2", "autoscaling/v1") => autoscaler_down(map),
            ("autoscaling/v1", "autoscaling/v2") => autoscaler_up(map),
            ("v1", "events.k8s.io/v1") => rename(map, &EVENT, false),
            ("events.k8s.io/v1", "v1") => rename(map, &EVENT, true),
            _ => {}
        }
        map.insert("apiVersion".to_owned(), json!(requested));
    }
    match kind.versions.get(version) {
        // A field that is optional in the other version is dropped if it is empty.
        Some(to) if !kind.custom => {
            let read = decode::decode(&to.schema, &object, &mut Vec::new());
            read.unwrap_or(object)
        }
        _ => object,
    }
}

/// Field names in the core group and in events.k8s.io.
const EVENT: [(&str, &str); 7] = [
    ("message", "note"),
    ("involvedObject", "regarding"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(map: &mut Map<String, Value>, names: &[(&str, &str)], back: bool) {
    for (core, other) in names {
        let (from, to) = if back { (other, core) } else { (core, other) };
        if let Some(value) = map.remove(*from) {
            map.insert((*to).to_owned(), value);
        }
    }
}

fn spec(map: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    map.get_mut("spec").and_then(Value::as_object_mut)
}

/// v1 has one metric only, CPU utilisation.
fn autoscaler_up(map: &mut Map<String, Value>) {
    if let Some(spec) = spec(map)
        && let Some(percent) = spec.remove("targetCPUUtilizationPercentage")
    {
        let metric = json!([{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": percent}}}]);
        spec.insert("metrics".to_owned(), metric);
    }
}

fn autoscaler_down(map: &mut Map<String, Value>) {
    if let Some(spec) = spec(map) {
        let metrics = spec.remove("metrics").unwrap_or_default();
        let percent = metrics.as_array().into_iter().flatten().find_map(|metric| {
            let is_cpu = metric.pointer("/resource/name") == Some(&json!("cpu"));
            is_cpu
                .then(|| {
                    metric
                        .pointer("/resource/target/averageUtilization")
                        .cloned()
                })
                .flatten()
        });
        if let Some(percent) = percent {
            spec.insert("targetCPUUtilizationPercentage".to_owned(), percent);
        }
        spec.remove("behavior");
    }
    if let Some(status) = map.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentMetrics");
        status.remove("conditions");
    }
}
