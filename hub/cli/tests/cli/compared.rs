//! `check --fleet-file`: the effect of a fleet file.

use std::path::PathBuf;

use serde_json::Value;

use crate::schema;
use crate::service::{Fake, Hub, stderr, stdout};

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://git.example.com/fleet.git'}
environments:
- {name: dev, branch: dev}
applications:
- {name: web, repository: fleet, path: apps/web}
";

fn write(hub: &Hub, name: &str, text: &str) -> String {
    let path: PathBuf = hub.directory().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_fleet_file_is_compared_with_what_a_hub_runs() {
    let hub = Hub::start(Fake::default());
    let same = write(&hub, "same.yaml", &format!("# same\n{FILE}"));
    let output = hub.run(&["check", "--fleet-file", &same]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "nothing changes\n");
    // Larger than one message of the upload, and than a hub accepts in one message.
    let other = write(
        &hub,
        "other.yaml",
        &format!("{FILE}# {}\n", "x".repeat(200_000)),
    );
    let output = hub.run(&["check", "--fleet-file", &other]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    insta::assert_snapshot!(stdout(&output));
    let output = hub.run(&["check", "--fleet-file", &other, "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let value: Value = serde_json::from_str(&stdout(&output)).unwrap();
    schema::hold("checkFleetFile", &value);
    assert_eq!(value[0]["clusters"][0]["gains"], serde_json::json!(["api"]));
    assert_eq!(value[0]["moreClusters"], 3);
}

#[test]
fn what_is_no_fleet_file_or_can_never_work_is_refused_before_anybody_is_asked() {
    let hub = Hub::start(Fake::default());
    let never = FILE.replace(
        "web, repo",
        "web, placement: {environments: [dev], selector: a=b}, repo",
    ) + "clusters:\n- {name: d1, environment: dev}\n";
    for (name, text, expected) in [
        ("broken.yaml", "kind: Fleet\n", "broken.yaml"),
        (
            "never.yaml",
            never.as_str(),
            "none of the clusters of this file",
        ),
    ] {
        let file = write(&hub, name, text);
        // The context is not needed.
        let output = hub.run(&["--context", "nobody", "check", "--fleet-file", &file]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
    let output = hub.run(&["check", "--fleet-file", "/nowhere.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let file = write(&hub, "good.yaml", FILE);
    let output = hub.run(&["--context", "nobody", "check", "--fleet-file", &file]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nobody"), "{}", stderr(&output));
}

/// `flotilla-hub check --against HUB` runs this, also with the hub's address.
#[test]
fn a_hub_is_found_by_its_address() {
    let hub = Hub::start(Fake::default());
    let file = write(&hub, "same.yaml", &format!("# same\n{FILE}"));
    let context = std::fs::read_to_string(hub.context()).unwrap();
    let context: Value = serde_json::from_str(&context).unwrap();
    let address = context["hub"].as_str().unwrap();
    let output = hub.run(&["--context", address, "check", "--fleet-file", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = hub.run(&["--context", "127.0.0.1:1", "check", "--fleet-file", &file]);
    assert_eq!(output.status.code(), Some(2));
}
