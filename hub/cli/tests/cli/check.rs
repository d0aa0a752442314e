//! `check` and `support-bundle`, run as programs.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::SystemTime;

use flotilla_proto::v1;
use serde_json::Value;

use crate::schema;
use crate::service::{Fake, Hub, stderr, stdout};

/// A hub that answers about itself, with a secret in its message that must be redacted.
fn fake() -> Fake {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = i64::try_from(now.unwrap().as_secs()).unwrap();
    Fake {
        hub: Some(v1::GetHubResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            operator: "ada".to_owned(),
            fleet_digest: "0".repeat(64),
            fleet_error: "fleet.yaml:3: https://ada:hunter2@git.example.org is no URL".to_owned(),
            rights: vec![v1::OperatorRight {
                role: "viewer".to_owned(),
                environments: vec!["prod".to_owned()],
            }],
            now: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            store: "sqlite".to_owned(),
            ..v1::GetHubResponse::default()
        }),
        ..Fake::default()
    }
}

#[test]
fn a_check_says_what_is_wrong_by_words_json_and_exit_code() {
    let hub = Hub::start(fake());
    let output = hub.run(&["check"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    for expected in [
        "  ✓ its store (sqlite) is writable\n",
        "  ✗ the fleet file on its disk is not in force: fleet.yaml:3:",
        "  ✓ ada is viewer in prod\n",
        "  ! waiting to be accepted: prod-3\n",
        "  ! prod is pinned\n      flotilla explain prod\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let fleet = hub.directory().join("fleet.yaml");
    std::fs::write(&fleet, "kind: Fleet\n").unwrap();
    let fleet = fleet.to_str().unwrap();
    let output = hub.run(&["check", "--fleet", fleet, "-o", "json"]);
    let value: Value = serde_json::from_str(&stdout(&output)).unwrap();
    schema::hold("check", &value);
    assert_eq!(value["outcome"], "wrong");
    let groups = value["groups"].as_array().unwrap();
    let file = groups.iter().find(|group| group["name"] == "fleet file");
    let finding = &file.unwrap()["findings"][0];
    assert_eq!(finding["outcome"], "wrong", "{finding}");
}

#[test]
fn a_check_without_a_context_or_a_hub_says_so_and_goes_no_further() {
    let hub = Hub::start(Fake::default());
    let output = hub.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("hub\n  ✗ broken on purpose\n"));
    std::fs::remove_file(hub.context()).unwrap();
    let output = hub.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.starts_with("context\n  ✗ there is no context file at "));
    assert!(text.ends_with("\n1 failed\n"), "{text}");
}

#[test]
fn a_support_bundle_says_what_is_in_it_and_holds_no_secret() {
    let hub = Hub::start(fake());
    let file = hub.directory().join("bundle.tar.gz");
    let path = file.to_str().unwrap();
    let listed = hub.run(&["support-bundle", "--dry-run"]);
    assert_eq!(listed.status.code(), Some(0), "{}", stderr(&listed));
    assert!(
        stdout(&listed).contains("audit.jsonl"),
        "{}",
        stdout(&listed)
    );
    // Without a terminal the confirmation fails.
    let asked = hub.run(&["support-bundle", path]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(!file.exists());
    let written = hub.run(&[
        "support-bundle",
        path,
        "--yes",
        "--metrics",
        "http://127.0.0.1:1/metrics",
    ]);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let out = hub.directory().join("out");
    std::fs::create_dir(&out).unwrap();
    let status = Command::new("tar")
        .args(["-xzf", path, "-C"])
        .arg(&out)
        .status();
    assert!(status.unwrap().success());
    let read = |name: &str| std::fs::read_to_string(out.join("flotilla-support").join(name));
    let hub_json = read("hub.json").unwrap();
    assert!(
        hub_json.contains("https://REDACTED@git.example.org"),
        "{hub_json}"
    );
    for entry in [
        "versions.json",
        "check.json",
        "clusters.json",
        "explain/prod.json",
    ] {
        let text = read(entry).unwrap();
        serde_json::from_str::<Value>(&text).unwrap();
        assert!(!text.contains("hunter2"), "{entry}: {text}");
    }
    let contents = read("contents.txt").unwrap();
    assert!(contents.contains("hub.json"), "{contents}");
    assert!(contents.contains("metrics-0.txt"), "{contents}");
    assert!(read("metrics-0.txt").is_err());
    // An existing file is never overwritten.
    let again = hub.run(&["support-bundle", path, "--yes"]);
    assert_eq!(again.status.code(), Some(2));
}

#[test]
fn kubectl_starts_it_under_another_name_and_the_manual_has_a_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("kubectl-flotilla");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_flotilla"), &plugin).unwrap();
    let output = Command::new(&plugin).args(["promote", "--help"]).output();
    let help = stdout(&output.unwrap());
    assert!(help.contains("Usage: kubectl flotilla promote"), "{help}");
    let output = Command::new(env!("CARGO_BIN_EXE_flotilla"))
        .arg("man")
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let page = std::fs::read_to_string(directory.path().join("flotilla-promote.1")).unwrap();
    assert!(page.contains(".TH"), "{page}");
}
