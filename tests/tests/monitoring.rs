//! Alerts, dashboards and runbooks of `deploy/monitoring` use existing metrics, and refer to each other correctly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "shared/agent.rs"]
mod agent;
#[path = "monitoring/fleet.rs"]
mod fleet;
#[path = "monitoring/scraped.rs"]
mod scraped;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics that a program registers, as Prometheus sees them: with prefix and unit.
fn registered(path: &str, prefix: &str) -> BTreeSet<String> {
    let source = read(path);
    let call = regex::Regex::new(
        r#"register(_with_unit)?\(\s*"([a-z_]+)",\s*"[^"]*",\s*(?:Unit::(Seconds|Bytes))?"#,
    )
    .unwrap();
    call.captures_iter(&source)
        .map(|found| {
            let unit = found.get(3).map_or(String::new(), |unit| {
                format!("_{}", unit.as_str().to_lowercase())
            });
            format!("{prefix}_{}{unit}", &found[2])
        })
        .collect()
}

/// Every metric in a text, without the suffixes that Prometheus adds.
fn named(text: &str) -> BTreeSet<String> {
    let name = regex::Regex::new(r"flotilla_(?:hub|agent)_[a-z_]+").unwrap();
    name.find_iter(text)
        .map(|found| {
            let mut name = found.as_str();
            for end in ["_bucket", "_sum", "_count", "_total"] {
                name = name.strip_suffix(end).unwrap_or(name);
            }
            name.to_owned()
        })
        .collect()
}

const TEXTS: [&str; 4] = [
    "deploy/monitoring/rules.yaml",
    "deploy/monitoring/rules.test.yaml",
    "deploy/monitoring/dashboard-fleet.json",
    "deploy/monitoring/dashboard-hub-and-agents.json",
];

#[test]
fn every_metric_of_rules_and_dashboards_is_registered() {
    let mut known = registered("hub/src/metrics.rs", "flotilla_hub");
    known.extend(registered("agent/src/metrics.rs", "flotilla_agent"));
    assert!(
        known.len() > 25,
        "the registrations are not found any more: {known:?}"
    );
    for path in TEXTS {
        let named = named(&read(path));
        assert!(!named.is_empty(), "{path}");
        let unknown: Vec<&String> = named.difference(&known).collect();
        assert!(
            unknown.is_empty(),
            "{path} names metrics that nobody counts: {unknown:?}"
        );
    }
}

#[test]
fn the_operators_rules_are_the_plain_ones() {
    let plain: Value = yaml(&read("deploy/monitoring/rules.yaml"));
    let wrapped: Value = yaml(&read("deploy/monitoring/prometheusrule.yaml"));
    assert_eq!(wrapped["spec"]["groups"], plain["groups"]);
}

fn yaml(text: &str) -> Value {
    let mut documents =
        flotilla_yaml::parse_documents(text, &flotilla_yaml::Limits::default()).unwrap();
    documents.remove(0).value
}

#[test]
fn every_alert_has_a_page_and_says_what_and_how_bad() {
    let rules: Value = yaml(&read("deploy/monitoring/rules.yaml"));
    let pages = read("deploy/monitoring/runbooks.md");
    let mut alerts = 0;
    for rule in rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
    {
        let name = rule["alert"].as_str().unwrap();
        alerts += 1;
        assert!(
            pages.contains(&format!("\n## {name}\n")),
            "{name} has no page"
        );
        let link = rule["annotations"]["runbook"].as_str().unwrap();
        assert_eq!(link, format!("runbooks.md#{}", name.to_lowercase()));
        for key in ["summary", "description"] {
            assert!(
                rule["annotations"][key]
                    .as_str()
                    .is_some_and(|text| text.len() > 15),
                "{name}: {key}"
            );
        }
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}"
        );
    }
    let headings = pages.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(alerts, headings, "a page without an alert");
}

#[test]
fn prometheus_itself_takes_the_rules_and_their_tests() {
    let Some(promtool) = flotilla_needs::program("prometheus", None, &["promtool"]) else {
        return;
    };
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules.test.yaml"],
    ] {
        let output = Command::new(&promtool)
            .args(arguments)
            .current_dir(root().join("deploy/monitoring"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{told}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The series of a healthy fleet, for six hours.
const WELL: [(&str, &str); 17] = [
    (
        "flotilla_hub_store_errors_total{instance=\"hub\"}",
        "0+0x400",
    ),
    (
        "flotilla_hub_branch_read_age_seconds{repository=\"fleet\",branch=\"prod\"}",
        "30+0x400",
    ),
    (
        "flotilla_hub_rollouts{environment=\"prod\",state=\"running\"}",
        "1+0x400",
    ),
    (
        "flotilla_hub_rollouts{environment=\"prod\",state=\"halted\"}",
        "0+0x400",
    ),
    (
        "flotilla_hub_rollouts{environment=\"prod\",state=\"pending\"}",
        "0+0x400",
    ),
    (
        "flotilla_hub_rollouts{environment=\"prod\",state=\"paused\"}",
        "0+0x400",
    ),
    (
        "flotilla_hub_clusters{environment=\"prod\",state=\"online\"}",
        "100+0x400",
    ),
    (
        "flotilla_hub_clusters{environment=\"prod\",state=\"offline\"}",
        "2+0x400",
    ),
    (
        "flotilla_hub_clusters{environment=\"prod\",state=\"failed\"}",
        "0+0x400",
    ),
    ("flotilla_agent_leader{job=\"prod-1\",pod=\"a\"}", "1+0x400"),
    ("flotilla_agent_leader{job=\"prod-1\",pod=\"b\"}", "0+0x400"),
    (
        "flotilla_agent_connection_status{job=\"prod-1\",pod=\"a\"}",
        "1+0x400",
    ),
    (
        "flotilla_agent_connection_status{job=\"prod-1\",pod=\"b\"}",
        "0+0x400",
    ),
    (
        "flotilla_agent_certificate_expires_timestamp_seconds{job=\"prod-1\",instance=\"a\"}",
        "90000+0x400",
    ),
    (
        "flotilla_agent_app_info{job=\"prod-1\",application=\"web\",reason=\"DeleteBudget\"}",
        "0+0x400",
    ),
    (
        "flotilla_agent_drift_corrections_total{job=\"prod-1\",application=\"web\"}",
        "0+0x400",
    ),
    (
        "flotilla_agent_source_behind_seconds{job=\"prod-1\"}",
        "0+0x400",
    ),
];

/// The fault of each alert: series that differ from those of a healthy fleet, by a part of their names.
const FAULTS: [(&str, &[(&str, &str)]); 12] = [
    ("FlotillaHubNotStoring", &[("store_errors", "0+1x400")]),
    ("FlotillaBranchUnread", &[("branch_read_age", "700+0x400")]),
    (
        "FlotillaRolloutHalted",
        &[
            ("state=\"halted\"", "1+0x400"),
            ("state=\"running\"", "0+0x400"),
        ],
    ),
    (
        "FlotillaRolloutWaits",
        &[
            ("state=\"paused\"", "1+0x400"),
            ("state=\"running\"", "0+0x400"),
        ],
    ),
    ("FlotillaClustersFailed", &[("state=\"failed\"", "1+0x400")]),
    (
        "FlotillaClustersOffline",
        &[("state=\"offline\"", "20+0x400")],
    ),
    (
        "FlotillaNoLeader",
        &[("leader{job=\"prod-1\",pod=\"a\"", "0+0x400")],
    ),
    (
        "FlotillaAgentDisconnected",
        &[("connection_status{job=\"prod-1\",pod=\"a\"", "0+0x400")],
    ),
    (
        "FlotillaCertificateEnds",
        &[("certificate_expires", "25200+0x400")],
    ),
    ("FlotillaDeletesHeld", &[("app_info", "1+0x400")]),
    ("FlotillaFight", &[("drift_corrections", "0+2x400")]),
    (
        "FlotillaAssignmentBehind",
        &[("source_behind", "90000+0x400")],
    ),
];

/// A test for promtool: with these series, exactly these alerts fire after six hours.
fn staged(faults: &[(&str, &str)], alert: Option<&str>) -> Value {
    let mut used = 0;
    let series: Vec<Value> = WELL
        .iter()
        .map(|(name, well)| {
            let fault = faults.iter().find(|(part, _)| name.contains(part));
            used += usize::from(fault.is_some());
            let values = fault.map_or(*well, |(_, values)| values);
            serde_json::json!({"series": name, "values": values})
        })
        .collect();
    assert_eq!(used, faults.len(), "{faults:?}: each is about one series");
    let fires = alert
        .map(|name| serde_json::json!({"labels": format!("{{alertname=\"{name}\"}}"), "value": 1}));
    serde_json::json!({
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{
            "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})",
            "eval_time": "6h",
            "exp_samples": fires.into_iter().collect::<Vec<_>>(),
        }],
    })
}

#[test]
fn every_alert_fires_on_its_fault_and_no_other_one_does() {
    let rules: Value = yaml(&read("deploy/monitoring/rules.yaml"));
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let alerts: BTreeSet<&str> = rules.map(|rule| rule["alert"].as_str().unwrap()).collect();
    let faults: BTreeSet<&str> = FAULTS.iter().map(|(alert, _)| *alert).collect();
    assert_eq!(alerts, faults, "each alert has its fault");
    let Some(promtool) = flotilla_needs::program("prometheus", None, &["promtool"]) else {
        return;
    };
    let mut tests = vec![staged(&[], None)];
    tests.extend(
        FAULTS
            .iter()
            .map(|(alert, faults)| staged(faults, Some(alert))),
    );
    let file = serde_json::json!({
        "rule_files": [root().join("deploy/monitoring/rules.yaml").canonicalize().unwrap()],
        "evaluation_interval": "1m",
        "tests": tests,
    });
    let directory = std::env::temp_dir().join(format!("flotilla-rules-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("staged.yaml");
    std::fs::write(&path, file.to_string()).unwrap();
    let output = Command::new(&promtool)
        .args(["test", "rules"])
        .arg(&path)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
