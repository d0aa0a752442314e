//! Waits: for what, for how long, and what is not waited for.

use std::sync::atomic::Ordering;

use super::*;
use crate::schema;

/// An interrupted wait is resumed by the same command.
#[test]
fn waiting_goes_on_where_there_is_nothing_left_to_promote() {
    let rollout = |commit: &str| v1::GetRolloutResponse {
        rollout: Some(v1::RolloutStatus {
            id: "prod-8".to_owned(),
            environment: "prod".to_owned(),
            state: "succeeded".to_owned(),
            target: vec![v1::RepositoryCommit {
                repository: "fleet".to_owned(),
                commit: commit.to_owned(),
            }],
            ..v1::RolloutStatus::default()
        }),
        decisions: None,
    };
    let hub = |commit: &str| {
        Hub::start(Fake {
            promotion: v1::PreviewPromotionResponse {
                environment: "prod".to_owned(),
                promotes_from: "dev".to_owned(),
                ..v1::PreviewPromotionResponse::default()
            },
            rollout: rollout(commit),
            ..Fake::default()
        })
    };
    let wait = ["promote", "prod", "--yes", "--wait", "--wait-timeout", "1s"];
    let arrived = hub(fixture::NEW).run(&wait);
    assert_eq!(arrived.status.code(), Some(0), "{}", stderr(&arrived));
    let printed = stdout(&arrived);
    assert!(printed.contains("prod-8"), "{printed}");
    // An earlier rollout does not bring the commit of the branch.
    let before = hub(&"1".repeat(40)).run(&wait);
    assert_eq!(before.status.code(), Some(1), "{}", stderr(&before));
    assert!(
        stderr(&before).contains("has not begun"),
        "{}",
        stderr(&before)
    );
}

#[test]
fn waiting_ends_in_time_and_names_who_is_missing() {
    let repository = Repository::new();
    let hub = repository.hub(v1::StepState::Ok);
    let output = hub.run(&["promote", "prod", "--yes", "--wait", "--wait-timeout", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.contains("do not run it yet: dev-1, prod-1, prod-2"),
        "{message}"
    );
    // The branch moved nevertheless, and the message says so.
    assert!(message.contains("the branch moved"), "{message}");
    assert_eq!(repository.head("prod"), repository.head("dev"));
}

impl Repository {
    /// A hub with the answers `gates` about the promotion, one after the other, and then without closed gates; the
    /// rollout that follows succeeds at once.
    fn opening(&self, gates: &[v1::ExplainStep]) -> Fake {
        let head = self.head("dev");
        let closed = |gate: &v1::ExplainStep| v1::PreviewPromotionResponse {
            gates: vec![gate.clone()],
            ..self.promotion(v1::StepState::Ok)
        };
        Fake {
            promotion: self.promotion(v1::StepState::Ok),
            promotions: Arc::new(Mutex::new(gates.iter().map(closed).collect())),
            rollout: v1::GetRolloutResponse {
                rollout: Some(v1::RolloutStatus {
                    id: "prod-8".to_owned(),
                    environment: "prod".to_owned(),
                    state: "succeeded".to_owned(),
                    target: fixture::commit(&head),
                    ..v1::RolloutStatus::default()
                }),
                decisions: None,
            },
            ..Fake::default()
        }
    }
}

#[test]
fn promote_waits_for_gates_that_time_or_people_open() {
    let repository = Repository::new();
    let before = repository.head("prod");
    let failing_check = v1::ExplainStep {
        may_open: true,
        ..fixture::step("check", "smoke", v1::StepState::Failed, "503")
    };
    let gates = [
        fixture::step(
            "health",
            "dev-1",
            v1::StepState::Waiting,
            "healthy for 1 s of 3",
        ),
        fixture::step(
            "health",
            "dev-1",
            v1::StepState::Waiting,
            "healthy for 2 s of 3",
        ),
        failing_check,
    ];
    let fake = repository.opening(&gates);
    let (previewed, steered) = (fake.previewed.clone(), fake.steered.clone());
    let hub = Hub::start(fake);
    let refused = hub.run(&["promote", "prod", "--yes"]);
    let message = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(
        message.contains("wait until they open (--wait)"),
        "{message}"
    );
    assert_eq!(repository.head("prod"), before);
    let output = hub.run(&["promote", "prod", "--yes", "--wait", "-o", "json"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    for (count, text) in [
        (1, "waits for health dev-1 since "),
        (1, " UTC: healthy for 2 s of 3\n"),
        (1, "health dev-1 is open after "),
        (1, "waits for check smoke since "),
        (1, "check smoke is open after "),
        (1, "moved prod of fleet to "),
    ] {
        assert_eq!(message.matches(text).count(), count, "{text}: {message}");
    }
    assert_eq!(repository.head("prod"), repository.head("dev"));
    let text = stdout(&output);
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    let documents: Vec<_> = documents.map(Result::unwrap).collect();
    let [promotion, rollout] = documents.as_slice() else {
        panic!("{text}");
    };
    schema::hold("promote", promotion);
    schema::hold("rolloutWatch", rollout);
    assert_eq!(promotion["gates"][0]["mayOpen"], true);
    assert_eq!(rollout["rollout"]["state"], "succeeded");
    // The promotion stays with the commit that was shown, and is announced once the gates are open.
    let previewed = previewed.lock();
    let head = repository.head("dev");
    assert!(previewed.len() >= 4, "{previewed:?}");
    let again = previewed.iter().skip(2);
    let (repositories, commits): (Vec<_>, Vec<_>) = again
        .map(|request| (request.repository.as_str(), request.commit.as_str()))
        .unzip();
    assert!(repositories.iter().all(|repository| *repository == "fleet"));
    assert!(commits.iter().all(|commit| *commit == head));
    assert_eq!(steered.lock().len(), 1);
}

#[test]
fn promote_does_not_wait_for_what_waiting_does_not_open() {
    let repository = Repository::new();
    let before = repository.head("prod");
    let wait = ["promote", "prod", "--yes", "--wait", "--wait-timeout", "1m"];
    let failed = fixture::step("quarantine", "prod-6", v1::StepState::Failed, "it crashed");
    let waits = fixture::step("approval", "", v1::StepState::Waiting, "0 of 1 approval");
    for gates in [vec![failed.clone()], vec![waits, failed]] {
        let hub = Hub::start(repository.opening(&gates));
        let began = std::time::Instant::now();
        let output = hub.run(&wait);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.contains("gates that waiting does not open: quarantine prod-6 (it crashed)"),
            "{message}"
        );
        assert!(began.elapsed().as_secs() < 30, "{message}");
        assert_eq!(
            message.contains("flotilla approve prod --commit"),
            gates.len() == 2
        );
    }
    assert_eq!(repository.head("prod"), before);
}

#[test]
fn waiting_for_gates_ends_in_time_and_moves_nothing() {
    let repository = Repository::new();
    let before = repository.head("prod");
    let hub = repository.hub(v1::StepState::Waiting);
    let output = hub.run(&["promote", "prod", "--yes", "--wait", "--wait-timeout", "1s"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("nothing was moved: still held back by health dev-1 (as it is)"),
        "{message}"
    );
    assert_eq!(repository.head("prod"), before);
}

#[test]
fn somebody_else_may_move_the_branch_while_gates_are_waited_for() {
    let repository = Repository::new();
    let gate = fixture::step("window", "", v1::StepState::Waiting, "closed");
    let mut fake = repository.opening(&[gate]);
    fake.promotion.moves.clear();
    let hub = Hub::start(fake);
    let output = hub.run(&["promote", "prod", "--yes", "--wait"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(
        message.contains("it was moved there by someone else meanwhile"),
        "{message}"
    );
    assert!(!message.contains("moved prod of"), "{message}");
}

/// Pipelines promote right after a push, but the hub polls branches only every half minute.
#[test]
fn what_was_pushed_a_moment_ago_is_read_before_anything_is_said_of_it() {
    let repository = Repository::new();
    let url = format!("file://{}", repository.bare.display());
    let environments = |dev: &str| {
        let mut environments = fixture::read_environments();
        for environment in &mut environments {
            let head = environment.branches[0].revision.as_mut().unwrap();
            head.commit = match environment.name.as_str() {
                "dev" => dev.to_owned(),
                other => repository.head(other),
            };
        }
        environments
    };
    let hub = |dev: &str| Fake {
        promotion: repository.promotion(v1::StepState::Ok),
        environments: environments(dev),
        read_again: environments(&repository.head("dev")),
        repositories: vec![v1::RepositoryStatus {
            name: "fleet".to_owned(),
            url: url.clone(),
        }],
        ..Fake::default()
    };
    let promote = ["promote", "prod", "--dry-run"];
    let behind = hub(fixture::OLD);
    let refreshes = behind.refreshes.clone();
    let output = Hub::start(behind).run(&promote);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    let seen = "in Git, and the hub has read 1111111 there; asking it to read again";
    assert!(message.contains(seen), "{message}");
    assert_eq!(refreshes.load(Ordering::SeqCst), 1);
    // Branches that the hub has read already are not requested again.
    let ahead = hub(&repository.head("dev"));
    let refreshes = ahead.refreshes.clone();
    let output = Hub::start(ahead).run(&promote);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(refreshes.load(Ordering::SeqCst), 0);
    // A hub that does not read the branches delays the command only briefly.
    let mut stuck = hub(fixture::OLD);
    stuck.read_again = Vec::new();
    let output = Hub::start(stuck).run(&["promote", "prod", "--dry-run", "--wait-timeout", "1s"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    let warned = "the hub still knows 1111111 as the head of dev of fleet";
    assert!(message.contains(warned), "{message}");
    // A hub that is restarting has not read it yet.
    let restarting = hub(fixture::OLD);
    restarting.restarts.store(2, Ordering::SeqCst);
    let output = Hub::start(restarting).run(&promote);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(!message.contains(warned), "{message}");
    // A hub that refused the request is not waited for.
    let refusing = Fake {
        unrefreshed: Some(tonic::Status::permission_denied("not you")),
        read_again: Vec::new(),
        ..hub(fixture::OLD)
    };
    let began = std::time::Instant::now();
    let output = Hub::start(refusing).run(&promote);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(message.contains(warned), "{message}");
    assert!(began.elapsed().as_secs() < 15, "{message}");
}
