//! Rules about the code itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "tidy/ci.rs"]
mod ci;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/texts.rs"]
mod texts;
#[path = "tidy/wire.rs"]
mod wire;

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

/// Rooms with pure logic. They take the clock, randomness and the environment as arguments.
const PURE: &[&str] = &[
    "agent/helm/src",
    "agent/sops/src",
    "agent/trust/src",
    "agent/render/src",
    "agent/src/gate_job.rs",
    "agent/src/health",
    "agent/src/health.rs",
    "agent/src/inventory.rs",
    "agent/src/plan",
    "agent/src/plan.rs",
    "agent/src/policy",
    "agent/src/policy.rs",
    "agent/src/report.rs",
    "agent/src/check/judge.rs",
    "agent/src/check/rights.rs",
    "agent/src/cluster/desired.rs",
    "agent/src/observe/fields.rs",
    "agent/src/observe/views/register",
    "agent/src/observe/views/register.rs",
    "hub/cli/src/check/judge.rs",
    "hub/cli/src/commands/promote/branches.rs",
    "hub/cli/src/difference",
    "hub/cli/src/difference.rs",
    "hub/cli/src/printed.rs",
    "hub/cli/src/removal.rs",
    "hub/cli/src/render",
    "hub/cli/src/render.rs",
    "hub/cli/src/schema",
    "hub/cli/src/schema.rs",
    "hub/src/enrolment",
    "hub/src/enrolment.rs",
    "hub/src/fleet",
    "hub/src/fleet.rs",
    "hub/src/forge/config.rs",
    "hub/src/forge/hinted.rs",
    "hub/src/forge/merge.rs",
    "hub/src/forge/merge/part.rs",
    "hub/src/forge/preview.rs",
    "hub/src/forge/status.rs",
    "hub/src/suggestion.rs",
    "hub/src/notify/conditions.rs",
    "hub/src/notify/entry.rs",
    "hub/src/plans",
    "hub/src/plans.rs",
    "hub/src/status",
    "hub/src/status.rs",
    "hub/src/serve/fleet_api/steer.rs",
    "hub/src/serve/oidc/token.rs",
    "hub/src/serve/web/place.rs",
    "hub/src/serve/web/session.rs",
    "hub/src/serve/webhook/verify.rs",
    "hub/web/src/act.rs",
    "hub/web/src/attention.rs",
    "hub/web/src/difference.rs",
    "hub/web/src/filter.rs",
    "hub/web/src/grouping.rs",
    "hub/web/src/lane.rs",
    "hub/web/src/mirror.rs",
    "hub/web/src/overview.rs",
    "hub/web/src/pages",
    "hub/web/src/pages.rs",
    "hub/web/src/progress.rs",
    "hub/web/src/text.rs",
    "hub/web/src/timeline.rs",
    "shared/src/approval.rs",
    "shared/src/assignment.rs",
    "shared/src/backoff.rs",
    "shared/src/chart.rs",
    "shared/src/clock.rs",
    "shared/src/digest.rs",
    "shared/src/duration.rs",
    "shared/src/findings.rs",
    "shared/src/gate_job.rs",
    "shared/src/heading.rs",
    "shared/src/health.rs",
    "shared/src/hex.rs",
    "shared/src/id.rs",
    "shared/src/identity.rs",
    "shared/src/loopback.rs",
    "shared/src/object.rs",
    "shared/src/percent.rs",
    "shared/src/plan.rs",
    "shared/src/problem.rs",
    "shared/src/rate.rs",
    "shared/src/reason.rs",
    "shared/src/report.rs",
    "shared/src/revision.rs",
    "shared/src/role.rs",
    "shared/src/roots.rs",
    "shared/src/source.rs",
    "shared/src/wire",
    "shared/src/words.rs",
    "shared/forge/src",
    "shared/notify/src",
    "shared/spec/src",
    "shared/status/src",
    "shared/yaml/src",
];

/// What a pure room must not name: IO, the clock, randomness, the environment, the wire.
const FORBIDDEN: &[&str] = &[
    "tokio::",
    "kube::",
    "gix::",
    "reqwest",
    "sqlx",
    "tonic",
    "flotilla_proto",
    "prost",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    // The check would not see names within a group.
    "std::{",
    "rand::{",
    "rand::rng",
    "rand::random",
    "thread_rng",
    "OsRng",
    "SystemRandom",
    "getrandom",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];

/// Exceptions: a room, a word that it may use, and the reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "shared/src/wire",
        "flotilla_proto",
        "it is the edge: wire and domain types meet here",
    ),
    (
        "shared/src/wire",
        "prost",
        "it is the edge: digests are over what is said",
    ),
    (
        "shared/src/revision.rs",
        "std::net",
        "reads an address, and opens none",
    ),
    (
        "shared/src/loopback.rs",
        "std::net",
        "reads an address, and opens none",
    ),
    (
        "hub/src/serve/web/place.rs",
        "std::net",
        "reads an address, and opens none",
    ),
    (
        "shared/forge/src/app.rs",
        "SystemRandom",
        "blinds the key while it signs with RSA; the signature is the same without",
    ),
    (
        "agent/src/observe/views/register.rs",
        "tokio::",
        "wakes who waits for news, and waits for nobody itself",
    ),
    (
        "shared/status/src/wire",
        "flotilla_proto",
        "it is the edge: wire types and the operators' model meet here",
    ),
    (
        "shared/status/src/wire",
        "prost",
        "it is the edge: moments come in its form",
    ),
    (
        "hub/src/serve/fleet_api/steer.rs",
        "flotilla_proto",
        "it is the edge: it reads what a person asks for",
    ),
    (
        "hub/src/serve/fleet_api/steer.rs",
        "tonic",
        "refuses in the words of the stream that it answers",
    ),
];

/// Violations in a file of a pure room; `path` is relative to the root.
fn faults(path: &str, text: &str) -> Vec<String> {
    named(FORBIDDEN, path, text)
}

/// Where a file uses one of the words.
fn named(words: &[&str], path: &str, text: &str) -> Vec<String> {
    // Tests are exempt: their files and folders, and a test module at the end of a file.
    let of_tests = |part: &str| {
        part == "tests"
            || part == "simulation"
            || part.ends_with("tests.rs")
            || part == "simulation.rs"
    };
    if path.split('/').any(of_tests) {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let next = lines.peek().map_or("", |(_, next)| next.trim());
        if line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        for word in words {
            if code.contains(word) && !allowed(path, word) {
                wrong.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    wrong
}

fn allowed(path: &str, word: &str) -> bool {
    ALLOWED
        .iter()
        .any(|(room, one, _)| *one == word && path.starts_with(room))
}

/// Each source file of a room, relative to the root, with its text.
fn files_of(room: &str) -> Vec<(String, String)> {
    let path = root().join(room);
    assert!(path.exists(), "{room} moved: change the list");
    let mut files = Vec::new();
    sources(&path, &mut files);
    files
        .into_iter()
        .map(|file| {
            let below = file.strip_prefix(root()).unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            (below.to_string_lossy().into_owned(), text)
        })
        .collect()
}

#[test]
fn pure_rooms_stay_pure() {
    let (mut wrong, mut read) = (Vec::new(), 0);
    for room in PURE {
        for (path, text) in files_of(room) {
            read += 1;
            wrong.extend(faults(&path, &text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        read > 150,
        "only {read} files were read: does the walk still work?"
    );
}

#[test]
fn a_planted_violation_is_found() {
    // Each forbidden word is planted into each file of each room, so that no path is exempt by mistake.
    for room in PURE {
        for (path, text) in files_of(room) {
            if path.contains("tests") || path.contains("simulation") {
                continue;
            }
            for word in FORBIDDEN {
                let planted = format!("use {word}x;\n{text}");
                let found = faults(&path, &planted).contains(&format!("{path}:1: {word}"));
                assert_eq!(found, !allowed(&path, word), "{path}: {word}");
            }
        }
    }
    // `#[cfg(test)]` only hides an inline module of tests, not the lines after it.
    let hidden = "#[cfg(test)]\nmod tests;\nuse tokio::x;\n";
    assert_eq!(faults("hub/src/fleet/a.rs", hidden).len(), 1);
    let module = "#[cfg(test)]\nmod tests {\nuse tokio::x;\n}\n";
    assert!(faults("hub/src/fleet/a.rs", module).is_empty());
}

#[test]
fn an_exception_that_nobody_needs_goes() {
    for (room, word, _) in ALLOWED {
        let mut used = false;
        for file in PURE {
            for (path, text) in files_of(file) {
                used |= path.starts_with(room) && text.contains(word);
            }
        }
        assert!(
            used,
            "{room} does not name {word} any more: take the exception out"
        );
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let (mut long, mut all) = (Vec::new(), Vec::new());
    for room in ["agent", "hub", "shared", "proto/src/lib.rs", "tests"] {
        for (path, text) in files_of(room) {
            if path.contains("/target/") {
                continue;
            }
            let lines = text.lines().count();
            all.push(lines);
            if lines > 500 {
                long.push(format!("{path}: {lines} lines"));
            }
        }
    }
    assert!(long.is_empty(), "over 500 lines:\n{}", long.join("\n"));
    all.sort_unstable();
    let median = all[all.len() / 2];
    assert!(
        median < 180,
        "half of all files have {median} lines or more"
    );
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
