//! Own states for kinds in wide use (`tests/health`), and states that make no sense.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flotilla_agent::health::{Rules, is_held};
use flotilla_shared::health::Health;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The states of a kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    /// Group, version and kind.
    kind: String,
    states: Vec<State>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    is: String,
    #[serde(default)]
    generation: Option<i64>,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    spec: Option<Value>,
    #[serde(default)]
    status: Option<Map<String, Value>>,
    /// `Type=Status:Reason`.
    #[serde(default)]
    conditions: Vec<String>,
}

impl State {
    fn object(&self, kind: &str) -> Value {
        let (version, kind) = kind.rsplit_once('/').unwrap();
        let mut object = json!({
            "apiVersion": version, "kind": kind,
            "metadata": {"name": "x", "annotations": self.annotations},
        });
        if let Some(generation) = self.generation {
            object["metadata"]["generation"] = generation.into();
        }
        if self.deleted {
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        if let Some(spec) = &self.spec {
            object["spec"] = spec.clone();
        }
        let conditions = self.conditions.iter().map(|text| {
            let (kind, rest) = text.split_once('=').unwrap();
            let (status, reason) = rest.split_once(':').unwrap_or((rest, ""));
            json!({"type": kind, "status": status, "reason": reason})
        });
        let conditions: Vec<Value> = conditions.collect();
        let mut status = self.status.clone();
        if !conditions.is_empty() {
            let status = status.get_or_insert_default();
            status.insert("conditions".to_owned(), conditions.into());
        }
        if let Some(status) = status {
            object["status"] = status.into();
        }
        object
    }
}

fn families() -> Vec<Family> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/health");
    let mut families = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let limits = flotilla_yaml::Limits::default();
        for document in flotilla_yaml::parse_documents(&text, &limits).unwrap() {
            families.push(serde_json::from_value(document.value).unwrap());
        }
    }
    families
}

#[test]
fn states_of_kinds_in_wide_use() {
    let rules = Rules::default();
    let (mut count, mut wrong) = (0, Vec::new());
    for family in families() {
        for (index, state) in family.states.iter().enumerate() {
            count += 1;
            let health = rules.compute(&state.object(&family.kind));
            if health.health.as_str() != state.is {
                wrong.push(format!(
                    "{} {index}: {} ({}), expected {}",
                    family.kind, health.health, health.message, state.is
                ));
            }
            let says_why = health.health == Health::Current || !health.message.is_empty();
            assert!(says_why, "{} {index} does not say why", family.kind);
        }
    }
    assert!(count > 400, "{count} states");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_git_can_mean_a_suspension() {
    for held in [
        json!({"spec": {"suspend": true}}),
        json!({"spec": {"paused": true}}),
        json!({"spec": {"running": false}}),
        json!({"spec": {"runStrategy": "Halted"}}),
        json!({"metadata": {"annotations": {"crossplane.io/paused": "true"}}}),
        json!({"metadata": {"annotations": {"cnpg.io/hibernation": "on"}}}),
        json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": "0"}}}),
        json!({"metadata": {"annotations": {"strimzi.io/pause-reconciliation": "true"}}}),
        json!({"spec": {"hibernation": {"enabled": true}}}),
        json!({"spec": {"updateStrategy": {"rollingUpdate": {"paused": true}}}}),
    ] {
        assert!(is_held(&held), "{held}");
    }
    for runs in [
        json!({}),
        json!({"spec": {"suspend": false}}),
        json!({"spec": {"running": true}}),
        json!({"status": {"suspend": true}}),
        json!({"metadata": {"annotations": {"crossplane.io/paused": "false"}}}),
        json!({"metadata": {"annotations": {"example.com/about": "paused"}}}),
        json!([1, 2]),
        json!(null),
    ] {
        assert!(!is_held(&runs), "{runs}");
    }
}

/// Group and kind of every rule; any kind and any group get a name.
fn kinds() -> Vec<(String, String)> {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/health/rules");
    let mut kinds = vec![("example.com".to_owned(), "Widget".to_owned())];
    for group in std::fs::read_dir(root).unwrap() {
        let group = group.unwrap();
        for kind in std::fs::read_dir(group.path()).unwrap() {
            let kind = kind.unwrap().path();
            let kind = kind
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .replace('_', "Any");
            let group = group.file_name().into_string().unwrap();
            kinds.push((group.replace("_.", "any."), kind));
        }
    }
    kinds.sort();
    kinds
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "Ready",
        "True",
        "False",
        "Unknown",
        "Failed",
        "conditions",
        "status",
        "phase",
        "state",
        "Pending",
        "",
        "é\u{0}",
        "2/3",
        "18446744073709551616",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "conditions",
        "type",
        "status",
        "reason",
        "message",
        "observedGeneration",
        "phase",
        "state",
        "replicas",
        "readyReplicas",
        "parents",
        "ancestors",
        "listeners",
        "statuses",
        "environments",
        "health",
        "ceph",
        "error",
        "lastOperation",
        "aggregatedStatus",
        "replicas",
        "active",
        "dry",
    ]);
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Malformed objects of every kind are judged, never a panic; a message is one that can be shown.
    #[test]
    fn no_status_is_too_strange(
        at in any::<prop::sample::Index>(),
        status in any_json(),
        spec in any_json(),
        metadata in any_json(),
    ) {
        let kinds = kinds();
        let (group, kind) = at.get(&kinds);
        let rules = Rules::default();
        let object = json!({
            "apiVersion": format!("{group}/v1"), "kind": kind,
            "metadata": metadata, "spec": spec, "status": status,
        });
        let _ = rules.compute(&object);
        let _ = rules.compute(&status);
        let _ = is_held(&spec);
    }
}

/// A status of the largest size that an API server stores is judged without a noticeable delay.
#[test]
fn a_huge_status_is_read_in_time() {
    let condition = json!({"type": "Ready", "status": "True", "reason": "x".repeat(60)});
    let conditions = vec![condition; 10_000];
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {},
        "status": {"parents": [{"conditions": conditions}], "conditions": conditions},
    });
    let rules = Rules::default();
    let start = Instant::now();
    let _ = rules.compute(&object);
    eprintln!(
        "a status of {} bytes: {:?}",
        object.to_string().len(),
        start.elapsed()
    );
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn p18_a_namespace_that_is_stuck_names_the_finalizers_of_what_is_in_it() {
    let words = "Some content in the namespace has finalizers remaining: example.com/slow in 1 resource instances";
    let namespace = |status: &str| {
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Terminating", "conditions": [{"status": status, "message": words,
                "type": "NamespaceFinalizersRemaining", "reason": "SomeFinalizersRemain"}]},
        })
    };
    let rules = Rules::default();
    let stuck = rules.compute(&namespace("True"));
    assert_eq!(stuck.health, Health::Terminating);
    assert!(stuck.message.ends_with(words), "{}", stuck.message);
    assert_eq!(rules.compute(&namespace("False")).message, "being deleted");
}

/// Prints the cost of a thousand objects.
#[test]
fn a_thousand_objects() {
    let rules = Rules::default();
    let objects: Vec<Value> = families()
        .iter()
        .flat_map(|family| family.states.iter().map(|state| state.object(&family.kind)))
        .collect();
    let start = Instant::now();
    for object in objects.iter().cycle().take(1000) {
        let _ = rules.compute(object);
    }
    let first = start.elapsed();
    let start = Instant::now();
    for object in objects.iter().cycle().take(1000) {
        let _ = rules.compute(object);
    }
    eprintln!(
        "1,000 objects: {first:?} with compiling, {:?} after",
        start.elapsed()
    );
}
