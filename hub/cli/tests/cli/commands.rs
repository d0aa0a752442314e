//! The binary: exit codes, streams, colours, formats.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use flotilla_proto::v1;
use serde_json::Value;

use crate::service::{Fake, Hub, stderr, stdout, write_private};

#[test]
fn json_is_json_and_every_page_is_in_it() {
    let hub = Hub::start(Fake::default());
    let output = hub.run(&["status", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let value: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(value["clusters"].as_array().unwrap().len(), 4);
    assert_eq!(value["clusters"][0]["lastSeen"], "2029-12-31T23:59:57Z");
    let yaml = stdout(&hub.run(&["get", "clusters", "-o", "yaml"]));
    assert!(yaml.contains("pendingFingerprint: abab"), "{yaml}");
}

#[test]
fn no_escape_leaves_through_a_pipe_unless_asked_for() {
    let hub = Hub::start(Fake::default());
    for arguments in [
        &["status"][..],
        &["describe", "cluster", "prod-1"],
        &["status", "-o", "json"],
    ] {
        assert!(
            !stdout(&hub.run(arguments)).contains('\u{1b}'),
            "{arguments:?}"
        );
    }
    let painted = stdout(&hub.run(&["status", "--color", "always"]));
    assert!(painted.contains("\u{1b}[31m"), "{painted}");
    assert!(
        !painted.contains("\u{1b}[2J"),
        "a report steers the terminal"
    );
    let mut refused = hub.command(&["status"]);
    let output = refused.env("NO_COLOR", "1").output().unwrap();
    assert!(!stdout(&output).contains('\u{1b}'));
}

#[test]
fn exit_codes_tell_whose_doing_it_was() {
    let hub = Hub::start(Fake::default());
    let users = hub.run(&["describe", "cluster", "nope"]);
    assert_eq!(users.status.code(), Some(2));
    assert!(stderr(&users).contains("error: there is no cluster \"nope\""));
    assert!(stdout(&users).is_empty());
    assert_eq!(hub.run(&["hub"]).status.code(), Some(2));
    assert_eq!(hub.run(&["nonsense"]).status.code(), Some(2));
    assert_eq!(hub.run(&["--help"]).status.code(), Some(0));
    assert_eq!(
        hub.run(&["cluster", "remove", "dev-1"]).status.code(),
        Some(2)
    );
}

#[test]
fn a_context_that_others_can_read_is_refused_with_the_way_out() {
    let hub = Hub::start(Fake::default());
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(hub.context(), mode).unwrap();
    let output = hub.run(&["status"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("hint: run: chmod 600"),
        "{}",
        stderr(&output)
    );
    std::fs::remove_file(hub.context()).unwrap();
    assert!(stderr(&hub.run(&["status"])).contains("flotilla-hub init"));
}

#[test]
fn a_context_of_another_authority_is_told_apart_from_a_hub_that_is_away() {
    let (here, there) = (Hub::start(Fake::default()), Hub::start(Fake::default()));
    let read = |hub: &Hub| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(hub.context()).unwrap()).unwrap()
    };
    let (mut mixed, other) = (read(&here), read(&there));
    let refused = |context: &serde_json::Value, name: &str| {
        let path = here.directory().join(name);
        write_private(&path, &context.to_string());
        let output = here
            .command(&["status"])
            .env("FLOTILLA_CONFIG", path)
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    // As after `ca rotate --finish`, for an operator that did not renew.
    for key in ["certificate", "key"] {
        mixed[key] = other[key].clone();
    }
    let message = refused(&mixed, "client.yaml");
    // TCP decides whether the alert arrives before the end of the connection.
    let told = message.contains("rejects this context's certificate (");
    assert!(
        told || message.contains("the hub ended the connection"),
        "{message}"
    );
    assert!(message.contains("flotilla operator set NAME"), "{message}");
    let mut mixed = read(&here);
    mixed["trustBundle"] = other["trustBundle"].clone();
    let message = refused(&mixed, "roots.yaml");
    assert!(
        message.contains("does not come from the roots"),
        "{message}"
    );
}

#[test]
fn a_closed_pipe_is_quiet() {
    let hub = Hub::start(Fake::default());
    let mut child = hub
        .command(&["status", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut message = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut message)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(message, "");
}

/// A watch ends when its reader is gone, without waiting for the next change.
#[test]
fn a_watch_ends_when_its_reader_does() {
    use std::io::{BufRead as _, BufReader};
    let hub = Hub::start(Fake {
        watch_stays: true,
        ..Fake::default()
    });
    for output in ["table", "json"] {
        let mut watch = hub
            .command(&["status", "--watch", "-o", output])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(watch.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        drop(reader);
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(watch.wait().unwrap()));
        let ended = ended.recv_timeout(std::time::Duration::from_secs(30));
        assert!(ended.is_ok_and(|status| status.success()), "{ended:?}");
    }
}

/// No confirmation is asked for something that does not exist.
#[test]
fn a_cluster_that_is_not_there_is_not_asked_about() {
    let hub = Hub::start(Fake::default());
    let output = hub.run(&["cluster", "remove", "nosuch", "--reason", "x"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("nosuch") && !message.contains("needs an answer"),
        "{message}"
    );
}

#[test]
fn a_watch_without_a_terminal_is_a_line_for_each_change() {
    let hub = Hub::start(Fake::default());
    let output = hub.run(&["status", "--watch"]);
    // The fixture's stream ends with an error that does not allow a retry.
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let lines = stdout(&output);
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert!(
        lines.contains("prod/prod-1 prod@sha1:1111111 -> prod@sha1:3f2a9c1"),
        "{lines}"
    );
    let json = stdout(&hub.run(&["status", "--watch", "-o", "json"]));
    let kinds: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(kinds.last().unwrap(), "bookmark");
    assert_eq!(kinds.len(), 5);
}

#[test]
fn what_is_followed_or_verified_is_there_for_programs() {
    let hub = Hub::start(Fake {
        rollout: v1::GetRolloutResponse {
            rollout: Some(v1::RolloutStatus {
                id: "prod-7".to_owned(),
                environment: "prod".to_owned(),
                state: "succeeded".to_owned(),
                ..v1::RolloutStatus::default()
            }),
            decisions: None,
        },
        ..Fake::default()
    });
    let lines = stdout(&hub.run(&["rollout", "watch", "prod", "-o", "json"]));
    let values: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values.len(), 1, "{lines}");
    assert_eq!(values[0]["rollout"]["state"], "succeeded");
    let refused = hub.run(&["rollout", "watch", "prod", "-o", "yaml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let verified = stdout(&hub.run(&["audit", "verify", "-o", "json"]));
    let verified: Value = serde_json::from_str(&verified).unwrap();
    assert_eq!(verified["entries"], 0);
}

#[test]
fn a_join_manifest_is_alone_on_stdout() {
    let hub = Hub::start(Fake::default());
    let output = hub.run(&["cluster", "join-manifest", "prod-9", "--env", "prod"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("kind: DaemonSet"), "{text}");
    assert!(text.contains("token: \"flt_id_secret\""), "{text}");
    assert!(text.contains("- \"hub.example.org:8443\""), "{text}");
    assert!(stderr(&output).contains("flotilla cluster accept prod-9"));
}

#[test]
fn an_acceptance_says_what_the_hub_notes_of_it() {
    let hub = Hub::start(Fake::default());
    let output = hub.run(&["cluster", "accept", "prod-1", "--env", "prod"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let message = stderr(&output) + &stdout(&output);
    assert!(message.contains("; its token was for dev"), "{message}");
}

#[test]
fn without_contexts_the_way_to_one_is_told() {
    let hub = Hub::start(Fake::default());
    let output = hub
        .command(&["context", "list"])
        .env("FLOTILLA_CONFIG", hub.directory().join("none.yaml"))
        .output()
        .unwrap();
    assert!(
        stdout(&output).starts_with("no contexts;"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_variable_that_is_set_to_nothing_counts_as_not_set() {
    let hub = Hub::start(Fake::default());
    let home = hub.directory().join("home");
    std::fs::create_dir_all(home.join("flotilla")).unwrap();
    std::fs::rename(hub.context(), home.join("flotilla/config.yaml")).unwrap();
    let output = hub
        .command(&["get", "environments"])
        .env("FLOTILLA_CONFIG", "")
        .env("FLOTILLA_CONTEXT", "")
        .env("XDG_CONFIG_HOME", &home)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("prod"), "{}", stdout(&output));
}

#[test]
fn a_removal_is_shown_asked_for_noted_and_printed_for_the_fleet_file() {
    let fake = Fake::default();
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    let remove = ["application", "remove", "guestbook", "--env", "prod"];
    let asked = hub.run(&remove);
    assert_eq!(asked.status.code(), Some(2));
    assert!(stderr(&asked).contains("give --yes"), "{}", stderr(&asked));
    let shown = hub.run(&[&remove[..], &["--dry-run"]].concat());
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    assert!(steered.lock().is_empty(), "nothing was noted");
    let preview = stderr(&shown);
    assert!(preview.contains("prod: prod-1, prod-2\n"), "{preview}");
    assert!(preview.contains("  - delete Service web/gone"), "{preview}");
    assert!(
        preview.contains("= stays  Namespace web/old  (ProtectedKind: "),
        "{preview}"
    );
    let lines = "removed:\n- application: guestbook\n  environments: [prod]\n";
    assert_eq!(stdout(&shown), lines);
    let done = hub.run(&[&remove[..], &["--yes", "--keep-objects"]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert_eq!(stdout(&done), format!("{lines}  keepObjects: true\n"));
    let steered = steered.lock();
    let [request] = steered.as_slice() else {
        panic!("{steered:?}");
    };
    assert_eq!(request.action(), v1::SteerAction::RemoveApplication);
    assert_eq!(
        (
            request.application.as_str(),
            request.environment.as_str(),
            request.keep_objects
        ),
        ("guestbook", "prod", true)
    );
    let unknown = hub.run(&["application", "remove", "nope", "--yes"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("no cluster knows an application nope"));
}

#[test]
fn resume_knows_environments_from_clusters() {
    let fake = Fake::default();
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    for arguments in [
        &["suspend", "prod-1", "--reason", "the storage is moved"][..],
        &["resume", "prod-1"],
        &["resume", "prod"],
    ] {
        let output = hub.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    assert_eq!(
        hub.run(&["suspend", "prod-1"]).status.code(),
        Some(2),
        "without a reason"
    );
    let steered = steered.lock();
    let requests: Vec<(v1::SteerAction, &str, &str)> = steered
        .iter()
        .map(|request| {
            (
                request.action(),
                request.cluster.as_str(),
                request.environment.as_str(),
            )
        })
        .collect();
    assert_eq!(
        requests,
        [
            (v1::SteerAction::Suspend, "prod-1", ""),
            (v1::SteerAction::Resume, "prod-1", ""),
            (v1::SteerAction::Resume, "", "prod"),
        ]
    );
}

/// A user who has just changed the fleet file runs this first.
#[test]
fn status_says_that_the_fleet_file_on_disk_is_not_in_force() {
    let hub = Hub::start(Fake {
        hub: Some(v1::GetHubResponse {
            fleet_error: "fleet.yaml:3: what?\nfleet.yaml:4: why?".to_owned(),
            ..v1::GetHubResponse::default()
        }),
        ..Fake::default()
    });
    let output = hub.run(&["status"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let message = stderr(&output);
    assert!(
        message.contains("is not in force: fleet.yaml:3: what?; `flotilla hub`"),
        "{message}"
    );
}
