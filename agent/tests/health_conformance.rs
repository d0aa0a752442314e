//! Health against cases that others wrote (`shared/conformance/health`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

use flotilla_agent::health::compute;
use flotilla_shared::health::Health;

fn cases(set: &str) -> Vec<(String, serde_json::Value, String)> {
    let directory: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/conformance/health")
        .join(set);
    let Ok(entries) = std::fs::read_dir(&directory) else {
        eprintln!("SKIPPED LOUDLY: {} is not there", directory.display());
        return Vec::new();
    };
    let mut cases = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            // Some of the cases repeat a key; their authors' readers take the last.
            let limits = flotilla_yaml::Limits {
                duplicate_keys: flotilla_yaml::DuplicateKeys::LastWins,
                ..flotilla_yaml::Limits::default()
            };
            let documents = flotilla_yaml::parse_documents(&text, &limits);
            let value = documents.unwrap().remove(0).value;
            let expected = std::fs::read_to_string(path.with_extension("expected")).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            cases.push((name, value, expected.trim().to_owned()));
        }
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

#[test]
fn kstatus_cases() {
    let mut wrong = Vec::new();
    for (name, value, expected) in cases("kstatus") {
        let health = compute(&value);
        if health.health.as_str() != expected {
            wrong.push(format!(
                "{name}: {} ({}), expected {expected}",
                health.health, health.message
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where kstatus and Argo differ on purpose, kstatus wins: name, what kstatus says, and why.
const KSTATUS_WINS: &[(&str, Health, &str)] = &[
    (
        "deployment-suspended",
        Health::InProgress,
        "a paused rollout is half done: old pods still run",
    ),
    (
        "ingress-unassigned",
        Health::Current,
        "an address is no part of an Ingress' specification",
    ),
    (
        "svc-loadbalancer-unassigned",
        Health::Current,
        "kstatus asks for a cluster address only",
    ),
    (
        "job-running",
        Health::Current,
        "a job that has started does what it should",
    ),
    (
        "pod-deletion",
        Health::Terminating,
        "kstatus has a word for it",
    ),
    (
        "pod-error",
        Health::InProgress,
        "only CrashLoopBackOff is final enough",
    ),
    (
        "pod-imagepullbackoff",
        Health::InProgress,
        "a registry comes back; the wait's time-out decides",
    ),
    (
        "pod-running-restart-never",
        Health::Current,
        "it runs and is ready",
    ),
    (
        "pod-running-restart-never-hook-with-ignore-annotation",
        Health::Current,
        "likewise",
    ),
    (
        "pod-running-restart-never-with-ignore-annotation-backoff",
        Health::InProgress,
        "likewise, backing off",
    ),
    (
        "pod-running-restart-onfailure",
        Health::Failed,
        "it crashes again and again",
    ),
];

#[test]
fn argo_cases() {
    let mut wrong = Vec::new();
    for (name, value, expected) in cases("argo") {
        let health = compute(&value);
        let want = match expected.as_str() {
            "Healthy" => Health::Current,
            "Progressing" => Health::InProgress,
            "Degraded" => Health::Failed,
            "Missing" => Health::NotFound,
            "Suspended" => Health::Current,
            _ => Health::Unknown,
        };
        let want = KSTATUS_WINS
            .iter()
            .find(|(case, ..)| *case == name)
            .map_or(want, |(_, h, _)| *h);
        if health.health != want {
            wrong.push(format!(
                "{name}: {} ({}), expected {expected}",
                health.health, health.message
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
