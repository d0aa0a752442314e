//! Rollouts as people see them.

use std::sync::Arc;

use flotilla_cli::render::{self, Paint};
use flotilla_proto::v1;
use flotilla_status::{Decisions, Entry, Rollout, RolloutSummary};

use jiff::Timestamp;
use parking_lot::Mutex;
use tonic::Status;

use crate::fixture::{NEW, NOW, ago, commit, halted};
use crate::schema;
use crate::service::{Fake, Hub, stderr, stdout};

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn wave(name: &str, done: u32, started: u32, failed: u32, waiting: u32) -> v1::WaveStatus {
    v1::WaveStatus {
        name: name.to_owned(),
        done,
        started,
        failed,
        waiting,
        ..v1::WaveStatus::default()
    }
}

fn rollout() -> Rollout {
    Rollout::from(&v1::RolloutStatus {
        waves: vec![
            wave("canary", 1, 0, 0, 0),
            wave("half", 2, 1, 1, 0),
            wave("rest", 0, 0, 0, 5),
        ],
        wave: 1,
        note: "1 failed (budget 0): prod-4 (web failed: Deployment web/web: \u{1b}[31mcrashes)"
            .to_owned(),
        clusters: vec![
            v1::ClusterProgress {
                cluster: "prod-1".to_owned(),
                wave: "canary".to_owned(),
                phase: "done".to_owned(),
                ..v1::ClusterProgress::default()
            },
            v1::ClusterProgress {
                cluster: "prod-4".to_owned(),
                wave: "half".to_owned(),
                phase: "failed".to_owned(),
                since: ago(60),
                message: "web failed: Deployment web/web: crashes".to_owned(),
                ..v1::ClusterProgress::default()
            },
        ],
        next: "push a fix, which takes over; to retry: flotilla retry prod; to end it: flotilla abort prod \
               --reason TEXT"
            .to_owned(),
        ..halted()
    })
}

#[test]
fn a_rollout_shows_waves_the_failed_cluster_and_what_was_decided() {
    let mark = v1::Mark {
        by: "ada".to_owned(),
        reason: "lunch".to_owned(),
        at: ago(30),
        ..v1::Mark::default()
    };
    let decisions = Decisions::from(&v1::EnvironmentDecisions {
        paused: Some(mark.clone()),
        cluster_pins: vec![v1::Pin {
            cluster: "prod-9".to_owned(),
            commits: commit(NEW),
            mark: Some(mark),
            ..v1::Pin::default()
        }],
        ..v1::EnvironmentDecisions::default()
    });
    insta::assert_snapshot!(render::rollout(
        &rollout(),
        &decisions,
        Paint::Plain,
        now(),
        None
    ));
}

#[test]
fn rollouts_are_one_a_line() {
    insta::assert_snapshot!(render::rollouts(&[rollout()], Paint::Plain, now(), None));
}

#[test]
fn audit_entries_are_one_a_line() {
    let entry = Entry::from(&v1::AuditEntry {
        seq: 3,
        at: ago(0),
        actor: "ada".to_owned(),
        action: "pin".to_owned(),
        environment: "prod".to_owned(),
        clusters: vec!["prod-9".to_owned()],
        commit: NEW.to_owned(),
        reason: "until the disk is there".to_owned(),
        ..v1::AuditEntry::default()
    });
    insta::assert_snapshot!(render::entries(&[entry], Paint::Plain, None));
}

fn answer(state: &str, wave: v1::WaveStatus) -> v1::GetRolloutResponse {
    v1::GetRolloutResponse {
        rollout: Some(v1::RolloutStatus {
            id: "prod-7".to_owned(),
            environment: "prod".to_owned(),
            state: state.to_owned(),
            target: commit(NEW),
            waves: vec![wave],
            ..v1::RolloutStatus::default()
        }),
        decisions: None,
    }
}

/// Of a rollout that waits for people to approve its wave.
fn asking(wave: v1::WaveStatus) -> v1::GetRolloutResponse {
    let name = wave.name.clone();
    let mut answer = answer("running", wave);
    let rollout = answer.rollout.as_mut().unwrap();
    rollout.next = format!("flotilla approve prod --wave {name}");
    rollout.wave_to_approve = name;
    answer
}

#[test]
fn a_watched_rollout_outlives_its_hub_and_says_what_it_waits_for() {
    let asks = v1::WaveStatus {
        approvals: 1,
        ..wave("half", 0, 0, 0, 2)
    };
    let answers = [
        Ok(asking(asks)),
        Err(Status::unavailable("starting")),
        Err(Status::deadline_exceeded("busy")),
        Ok(answer("running", wave("half", 1, 0, 0, 1))),
    ];
    let hub = Hub::start(Fake {
        rollouts: Arc::new(Mutex::new(answers.into())),
        rollout: answer("succeeded", wave("half", 2, 0, 0, 0)),
        ..Fake::default()
    });
    let output = hub.run(&["rollout", "watch", "prod"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "prod-7 running [half 0/2]\nprod-7 running [half 1/2]\nprod-7 succeeded [half 2/2]\n"
    );
    assert_eq!(
        stderr(&output),
        "next: flotilla approve prod --wave half\n\
         warning: the hub does not answer (busy); trying again until it does\n\
         the hub answers again\n"
    );
}

#[test]
fn a_hub_that_is_not_there_from_the_beginning_is_not_waited_for() {
    let hub = Hub::start(Fake {
        rollouts: Arc::new(Mutex::new([Err(Status::unavailable("no"))].into())),
        ..Fake::default()
    });
    let output = hub.run(&["rollout", "watch", "prod"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn events_go_on_after_the_hub_was_away_and_tell_nothing_twice() {
    let entry = |seq: u64| v1::AuditEntry {
        seq,
        at: ago(0),
        actor: "ada".to_owned(),
        action: "pause".to_owned(),
        environment: "prod".to_owned(),
        reason: format!("reason {seq}"),
        ..v1::AuditEntry::default()
    };
    let streams = [
        (vec![entry(1), entry(2)], Status::unavailable("stopping")),
        (
            vec![entry(1), entry(2), entry(3)],
            Status::permission_denied("enough"),
        ),
    ];
    let hub = Hub::start(Fake {
        streams: Arc::new(Mutex::new(streams.into())),
        ..Fake::default()
    });
    let output = hub.run(&["events", "-f"]);
    let told: Vec<String> = stdout(&output)
        .lines()
        .filter_map(|line| Some(line.rsplit_once("  ")?.1.to_owned()))
        .collect();
    assert_eq!(told, ["reason 1", "reason 2", "reason 3"]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.contains("trying again"), "{message}");
    assert!(message.contains("answers again"), "{message}");
    assert!(message.contains("error: enough"), "{message}");
}

#[test]
fn a_list_that_leaves_older_entries_out_says_so() {
    let entry = |seq: u64| v1::AuditEntry {
        seq,
        action: "pause".to_owned(),
        reason: format!("reason {seq}"),
        ..v1::AuditEntry::default()
    };
    let hub = Hub::start(Fake {
        audit: (1..=51).map(entry).collect(),
        ..Fake::default()
    });
    for (command, limit) in [("audit", 50), ("events", 20)] {
        let shows = |shown: &str, seq: u64| {
            let end = format!(" reason {seq}");
            shown.lines().any(|line| line.trim_end().ends_with(&end))
        };
        let cut = hub.run(&[command]);
        let message = stderr(&cut);
        assert_eq!(cut.status.code(), Some(0), "{message}");
        assert!(
            message.contains(&format!("the newest {limit} are shown; --limit")),
            "{message}"
        );
        let shown = stdout(&cut);
        assert!(!shows(&shown, 51 - limit), "{shown}");
        assert!(shows(&shown, 52 - limit) && shows(&shown, 51), "{shown}");
        let whole = hub.run(&[command, "--limit", "51"]);
        assert_eq!(stderr(&whole), "");
        assert!(shows(&stdout(&whole), 1));
        let json = hub.run(&[command, "-o", "json"]);
        assert_eq!(stderr(&json), "");
        let all: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        let count = all.as_array().map(Vec::len);
        assert_eq!(count, usize::try_from(limit).ok());
    }
}

#[test]
fn a_list_of_rollouts_counts_no_clusters_that_it_was_not_told() {
    let rollouts = [rollout()];
    let all: Vec<RolloutSummary<'_>> = rollouts.iter().map(RolloutSummary::from).collect();
    let value = serde_json::to_value(&all).unwrap();
    schema::hold("rolloutList", &value);
    assert_eq!(
        value[0]["waves"],
        serde_json::json!(["canary", "half", "rest"])
    );
    assert_eq!(value[0]["state"], "halted");
}

#[test]
fn whom_a_rollout_changes_is_told_or_why_nobody_knows() {
    let mut wire = v1::RolloutStatus {
        id: "prod-8".to_owned(),
        state: "running".to_owned(),
        target: commit(NEW),
        waves: vec![wave("canary", 0, 1, 0, 1), wave("rest", 26, 2, 0, 10)],
        created_at: ago(60),
        clusters: vec![v1::ClusterProgress {
            cluster: "prod-3".to_owned(),
            wave: "rest".to_owned(),
            phase: "started".to_owned(),
            unchanged: true,
            ..v1::ClusterProgress::default()
        }],
        ..v1::RolloutStatus::default()
    };
    wire.waves[1].unchanged = 28;
    let shown = |wire: &v1::RolloutStatus| {
        render::rollout(
            &Rollout::from(wire),
            &Decisions::default(),
            Paint::Plain,
            now(),
            None,
        )
    };
    let text = shown(&wire);
    assert!(
        text.contains("  changes 12 of 40 clusters; the others"),
        "{text}"
    );
    assert!(text.contains("changes nothing here"), "{text}");
    wire.waves[1].unchanged = 0;
    let text = shown(&wire);
    assert!(!text.contains("clusters;"), "{text}");
    wire.unread = "the server offers no\u{1b}[31m filter".to_owned();
    let text = shown(&wire);
    assert!(
        text.contains("not known beforehand") && text.contains("offers no"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn an_approval_is_for_what_waits() {
    let asks = v1::WaveStatus {
        approvals: 1,
        ..wave("half", 0, 0, 0, 2)
    };
    let mut waits = asking(asks);
    waits.rollout.as_mut().unwrap().started_at = ago(10);
    let mut goes = answer("running", wave("half", 1, 0, 0, 1));
    goes.rollout.as_mut().unwrap().started_at = ago(10);
    let fake = Fake {
        rollouts: Arc::new(Mutex::new([Ok(waits)].into())),
        rollout: goes,
        ..Fake::default()
    };
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    let output = hub.run(&["approve", "prod"]);
    assert_eq!(
        stderr(&output),
        "you approved 3f2a9c1 in wave half of prod\n"
    );
    assert_eq!(steered.lock()[0].wave, "half");
    let output = hub.run(&["approve", "prod"]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(
        message.contains("nothing of prod-7 is waiting"),
        "{message}"
    );
    assert_eq!(steered.lock().len(), 1);
}
