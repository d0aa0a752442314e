//! Alerts, dashboards and runbooks of `deploy/monitoring` speak of metrics that there are, and of each other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

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

/// What a program registers, as Prometheus sees it: with prefix and unit.
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

/// Every metric that a text names, without what Prometheus adds to a name.
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
