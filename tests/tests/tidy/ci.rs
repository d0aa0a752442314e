//! The scripts in `.ci` refer to existing files, and report what did not run.

use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;

use super::root;

/// The directory of the crate of a room of `.ci/mutants`.
fn folder(room: &str) -> &'static str {
    match room {
        "agent" => "agent",
        "hub" => "hub",
        "trust" => "agent/trust",
        _ => "no such room",
    }
}

/// `agent)`: the lines that follow belong to that room.
static ROOM: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\w+)\)$").unwrap());

/// `-f 'src/plan/**'`
static FILE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"-f '?(src/[\w/.*]+)").unwrap());

/// `rooms hub "needs" "needs of tests" fleet notify/conditions`
static MODULES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^\s*rooms (\w+) "[^"]*" "[^"]*" ([\w/ ]+)$"#).unwrap());

/// `hub: src/fleet/rollout/start\.rs:\d+:\d+: replace …`
static KEPT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\w+): (src/[\w/]+)\\\.rs").unwrap());

/// Paths that `.ci/mutants` and `.ci/mutants.kept` refer to, relative to the root; and lines without a path.
fn named(mutants: &str, kept: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut room = String::new();
    for line in mutants.replace("\\\n", " ").lines() {
        if let Some(found) = ROOM.captures(line) {
            room = found[1].to_owned();
        }
        for found in FILE.captures_iter(line) {
            let file = found[1].trim_end_matches("/**");
            paths.push(format!("{}/{file}", folder(&room)));
        }
        if let Some(found) = MODULES.captures(line) {
            let modules = found[2].split_whitespace();
            paths.extend(modules.map(|module| format!("{}/src/{module}.rs", &found[1])));
        }
    }
    for line in kept.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        paths.push(match KEPT.captures(line) {
            Some(found) => format!("{}/{}.rs", folder(&found[1]), &found[2]),
            None => format!("no file in: {line}"),
        });
    }
    paths
}

fn script(name: &str) -> String {
    std::fs::read_to_string(root().join(".ci").join(name)).unwrap()
}

#[test]
fn what_is_mutated_is_there() {
    let paths = named(&script("mutants"), &script("mutants.kept"));
    for some in [
        "agent/src/plan",
        "agent/src/health.rs",
        "hub/src/notify/conditions.rs",
        "hub/src/fleet/jobs.rs",
    ] {
        assert!(paths.iter().any(|path| path == some), "{some}: {paths:?}");
    }
    let gone: Vec<&String> = paths
        .iter()
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(gone.is_empty(), "renamed? change .ci/mutants: {gone:?}");
}

#[test]
fn what_a_script_names_is_found() {
    let mutants = "\
# takes -f, -F after `--`
case $room in
agent)
  rooms agent \"a b \\
    c\" \"d\" \\
    plan gone
  files=(-f 'src/plan/**' -f src/plan.rs) ;;
hub)
  files=(-f src/fleet/gone.rs) ;;
trust)
  files=() ;;
";
    let kept = "\
# Why.
hub: src/fleet/a\\.rs:\\d+: replace x
trust: src/b\\.rs
hib: src/c\\.rs
hub: replace
";
    assert_eq!(
        named(mutants, kept),
        [
            "agent/src/plan.rs",
            "agent/src/gone.rs",
            "agent/src/plan",
            "agent/src/plan.rs",
            "hub/src/fleet/gone.rs",
            "hub/src/fleet/a.rs",
            "agent/trust/src/b.rs",
            "no such room/src/c.rs",
            "no file in: hub: replace",
        ]
    );
}

/// Runs `.ci/run` with a fake cargo: a shell function that skips a test and then exits as it is told.
fn run(end: &str) -> (Option<i32>, String) {
    let cargo = format!(
        "() {{ [ \"$1\" = test ] || return 0; \
         printf 'jq\\tsbom\\tDebian\\nin part\\tmany\\t15 in place of 1000\\n' \
         >>\"$FLOTILLA_SKIPS\"; {end}; }}"
    );
    let output = Command::new("bash")
        .arg(root().join(".ci/run"))
        .env("BASH_FUNC_cargo%%", cargo)
        .env("FLOTILLA_CI_INSTALL", "no")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

#[test]
fn what_did_not_run_is_told_of_a_failing_run_too() {
    let told = "did not run:\n  jq: 1 tests, without Debian: sbom\n\
                ran in part:\n  15 in place of 1000: many\n";
    let (code, text) = run("return 0");
    assert_eq!((code, text.as_str()), (Some(0), told));
    let (code, text) = run("return 101");
    assert_eq!(code, Some(101));
    let end = text.strip_prefix(told).expect("the same first");
    assert!(end.starts_with("failed (exit code 101)"), "{end}");
}
