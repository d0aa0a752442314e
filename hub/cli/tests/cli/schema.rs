//! The output of `-o json` matches its published schema. `FLOTILLA_REGENERATE=1` writes that schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boon::{Compiler, SchemaIndex, Schemas};
use flotilla_cli::schema::{ID, document};
use flotilla_proto::v1;
use flotilla_shared::health::{Health, SyncState};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tonic::Status;

use crate::fixture::{self, NEW, ago};
use crate::service::{Fake, Hub, stderr, stdout, write_private};

#[path = "schema/values.rs"]
mod values;

/// The schema, with the entry of each command.
struct Contract {
    schemas: Schemas,
    entries: BTreeMap<String, SchemaIndex>,
}

impl Contract {
    /// Compiles a schema document, which must not refer to other documents.
    fn of(document: Value) -> Self {
        let all = document["$defs"].as_object().unwrap();
        let commands = all.keys().filter(|key| key.starts_with(char::is_lowercase));
        let commands: Vec<String> = commands.cloned().collect();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource(ID, document).unwrap();
        let mut entries = BTreeMap::new();
        for key in commands {
            let place = format!("{ID}#/$defs/{key}");
            entries.insert(key, compiler.compile(&place, &mut schemas).unwrap());
        }
        Self { schemas, entries }
    }

    fn takes(&self, key: &str, value: &Value) -> Result<(), String> {
        let entry = *self.entries.get(key).unwrap();
        let judged = self.schemas.validate(value, entry);
        judged.map_err(|error| format!("{error:#}"))
    }
}

/// Closes a schema, so that unknown keys are rejected. Readers ignore those; here they would be printed keys that are
/// not documented.
fn closed(schema: &mut Value) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(closed),
        Value::Object(all) => {
            all.values_mut().for_each(closed);
            if all.contains_key("properties") {
                all.entry("additionalProperties").or_insert(json!(false));
            }
        }
        _ => {}
    }
}

fn made() -> Value {
    serde_json::to_value(document()).unwrap()
}

thread_local! {
    static CLOSED: Contract = {
        let mut document = made();
        closed(&mut document);
        Contract::of(document)
    };
}

/// Checks a command's output against its entry.
pub(crate) fn hold(key: &str, value: &Value) {
    let judged = CLOSED.with(|contract| contract.takes(key, value));
    judged.unwrap_or_else(|error| panic!("{key}: {error}\n{value:#}"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_published_schema_is_what_is_made_of_the_types() {
    let path = root().join("deploy/schemas/output.schema.json");
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("FLOTILLA_REGENERATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(
        found == text,
        "{} is stale ({differs:?}): FLOTILLA_REGENERATE=1 cargo test --workspace --test cli -- schema",
        path.display()
    );
}

#[test]
fn the_page_names_each_entry_with_its_command() {
    let page = root().join("deploy/docs/src/reference/json.md");
    let page = std::fs::read_to_string(page).unwrap();
    let document = made();
    let all = document["$defs"].as_object().unwrap();
    let entries = all
        .iter()
        .filter(|(key, _)| key.starts_with(char::is_lowercase));
    let mut rows = Vec::new();
    for (key, entry) in entries {
        let title = entry["title"].as_str().unwrap();
        let command = title.strip_suffix(" -o json").unwrap();
        rows.push(format!("| `{command}` | `{key}` |"));
    }
    let found = page.lines().filter(|line| line.starts_with("| `flotilla "));
    let found: Vec<String> = found
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            format!("| {} | {} |", cells[1], cells[2])
        })
        .collect();
    assert_eq!(found, rows);
}

#[test]
fn every_word_of_health_and_sync_is_named() {
    /// Lists the words in the order of declaration, from the parser's error about an unknown one.
    fn words<T: DeserializeOwned>() -> Vec<String> {
        let error = serde_json::from_str::<T>("\"?\"")
            .err()
            .unwrap()
            .to_string();
        let quoted = error.split('`').skip(1).step_by(2);
        quoted.skip(1).map(str::to_owned).collect()
    }
    let document = made();
    for (name, words) in [
        ("Health", words::<Health>()),
        ("SyncState", words::<SyncState>()),
    ] {
        assert!(words.len() > 5, "{words:?}");
        assert_eq!(document["$defs"][name]["enum"], json!(words), "{name}");
    }
}

#[test]
fn a_key_too_few_is_refused_and_a_key_more_only_here() {
    let published = Contract::of(made());
    let takes = |value: &Value| {
        let is_known = CLOSED.with(|contract| contract.takes("getClusters", value).is_ok());
        (published.takes("getClusters", value).is_ok(), is_known)
    };
    let cluster = flotilla_status::Cluster::from(&fixture::bad("prod-1", "prod"));
    let good = json!([cluster]);
    assert_eq!(takes(&good), (true, true));
    let change = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[0][key] = value;
        changed
    };
    assert_eq!(takes(&change("ofTomorrow", json!(1))), (true, false));
    for (key, wrong) in [
        ("health", json!("Fine")),
        ("connection", json!("online")),
        ("labels", json!({"a": 1})),
        ("lastSeen", json!(7)),
        ("applications", json!([{}])),
        ("assignedGeneration", json!(-1)),
    ] {
        assert_eq!(takes(&change(key, wrong)), (false, false), "{key}");
    }
    let mut fewer = good.clone();
    fewer[0].as_object_mut().unwrap().remove("health");
    assert_eq!(takes(&fewer), (false, false));
    assert_eq!(takes(&json!({})), (false, false));
}

fn plan() -> v1::FleetPlan {
    v1::FleetPlan {
        id: "7f3a".to_owned(),
        environment: "prod".to_owned(),
        done: true,
        groups: vec![v1::PlanGroup {
            verdict: v1::PlanVerdict::Changes.into(),
            clusters: vec!["a".to_owned()],
            applications: fixture::plans(),
            ..v1::PlanGroup::default()
        }],
        ..v1::FleetPlan::default()
    }
}

fn entry(seq: u64) -> v1::AuditEntry {
    v1::AuditEntry {
        seq,
        at: ago(0),
        actor: "ada".to_owned(),
        action: "pause".to_owned(),
        ..v1::AuditEntry::default()
    }
}

fn fake() -> Fake {
    let stream = (
        vec![entry(1), entry(2)],
        Status::permission_denied("enough"),
    );
    Fake {
        hub: Some(values::hub()),
        rollout: v1::GetRolloutResponse {
            rollout: Some(values::rollout("succeeded")),
            decisions: Some(values::decisions()),
        },
        audit: vec![entry(1)],
        streams: Arc::new(Mutex::new([stream].into())),
        plans: Arc::new(Mutex::new([plan()].into())),
        ..Fake::default()
    }
}

#[test]
fn what_commands_print_is_what_their_entries_say() {
    let hub = Hub::start(fake());
    let plan = format!("plan --env prod --commit {NEW}");
    for (key, command) in [
        ("audit", "audit"),
        ("auditVerify", "audit verify"),
        ("check", "check"),
        ("clusterAccept", "cluster accept prod-1 --env prod"),
        ("clusterList", "cluster list"),
        ("contextList", "context list"),
        ("describeCluster", "describe cluster prod-1"),
        ("diff", "diff prod-1"),
        ("events", "events"),
        ("explain", "explain prod-1"),
        ("getApplications", "get applications"),
        ("getClusters", "get clusters"),
        ("getEnvironments", "get environments"),
        ("history", "history"),
        ("hub", "hub"),
        ("operatorList", "operator list"),
        ("plan", plan.as_str()),
        ("rolloutList", "rollout list"),
        ("rolloutShow", "rollout show prod"),
        ("status", "status"),
        ("tokenCreate", "token create"),
        ("tokenList", "token list"),
        ("version", "version"),
    ] {
        let words: Vec<&str> = command.split(' ').chain(["-o", "json"]).collect();
        let output = hub.run(&words);
        let value = serde_json::from_slice(&output.stdout);
        let value = value.unwrap_or_else(|error| panic!("{key}: {error}: {}", stderr(&output)));
        hold(key, &value);
    }
    for (key, command, count) in [
        ("eventsFollow", "events --follow", 2),
        ("rolloutWatch", "rollout watch prod", 1),
        ("statusWatch", "status --watch", 5),
    ] {
        let words: Vec<&str> = command.split(' ').chain(["-o", "json"]).collect();
        let output = hub.run(&words);
        let text = stdout(&output);
        assert_eq!(text.lines().count(), count, "{key}: {}", stderr(&output));
        for line in text.lines() {
            hold(key, &serde_json::from_str(line).unwrap());
        }
    }
}

/// A log that was verified before is compared with its checkpoint.
#[test]
fn a_verified_log_says_what_it_was_compared_with() {
    let hub = Hub::start(fake());
    let context = std::fs::read_to_string(hub.context()).unwrap();
    let context: Value = serde_json::from_str(&context).unwrap();
    let address = context["hub"].as_str().unwrap();
    let seen = json!({"entries": 3, "lastHash": "abc", "seenAt": "2026-11-01 00:00 UTC"});
    let known = json!({ address: seen });
    let file = hub.directory().join("context.yaml.audit.json");
    write_private(&file, &known.to_string());
    let output = hub.run(&["audit", "verify", "--accept", "-o", "json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["comparedWith"], seen, "{}", stderr(&output));
    hold("auditVerify", &value);
}
