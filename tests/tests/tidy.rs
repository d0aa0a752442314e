//! Rules about the code itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// Rooms that decide. They take the clock and randomness as arguments.
const PURE: [&str; 29] = [
    "agent/helm/src",
    "agent/sops/src",
    "agent/trust/src",
    "shared/src/approval.rs",
    "agent/render/src",
    "agent/src/health",
    "agent/src/health.rs",
    "agent/src/inventory.rs",
    "agent/src/plan",
    "agent/src/plan.rs",
    "agent/src/policy",
    "agent/src/policy.rs",
    "agent/src/report.rs",
    "agent/src/cluster/desired.rs",
    "hub/src/fleet",
    "hub/src/fleet.rs",
    "hub/src/spec",
    "hub/src/spec.rs",
    "hub/src/status",
    "hub/src/status.rs",
    "hub/src/serve/fleet_api/promotion.rs",
    "hub/src/serve/fleet_api/steer.rs",
    "hub/src/serve/webhook/verify.rs",
    "shared/src/wire",
    "shared/src/wire.rs",
    "shared/src/revision.rs",
    "shared/src/id.rs",
    "shared/src/source.rs",
    "shared/yaml/src",
];

const FORBIDDEN: [&str; 8] = [
    "tokio::",
    "kube::",
    "gix::",
    "std::fs",
    "std::net",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
];

#[test]
fn pure_rooms_stay_pure() {
    let mut wrong = Vec::new();
    for room in PURE {
        let mut files = Vec::new();
        let path = root().join(room);
        assert!(path.exists(), "{room} moved: change the list");
        sources(&path, &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for word in FORBIDDEN {
                    if code.contains(word) && !file.to_string_lossy().contains("tests") {
                        wrong.push(format!("{}:{}: {word}", file.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn shared_knows_no_kube_git_or_store() {
    let text = std::fs::read_to_string(root().join("shared/Cargo.toml")).unwrap();
    for name in ["kube", "gix", "sqlx", "flotilla-git"] {
        assert!(
            !text.lines().any(|line| line.starts_with(name)),
            "shared depends on {name}"
        );
    }
    let text = std::fs::read_to_string(root().join("hub/cli/Cargo.toml")).unwrap();
    for name in [
        "kube",
        "gix",
        "sqlx",
        "flotilla-git",
        "flotilla-hub",
        "flotilla-agent",
    ] {
        assert!(
            !text.lines().any(|line| line.starts_with(name)),
            "the CLI depends on {name}"
        );
    }
}
