//! Gates hold, until a person overrides them with a reason.

use super::*;

#[test]
fn a_failed_gate_holds_until_it_is_overridden_with_a_reason() {
    let repository = Repository::new();
    let before = repository.head("prod");
    let hub = repository.hub(v1::StepState::Failed);
    let held = hub.run(&["promote", "prod", "--yes"]);
    assert_eq!(held.status.code(), Some(1));
    assert!(
        stderr(&held).contains("held back by health dev-1"),
        "{}",
        stderr(&held)
    );
    assert_eq!(
        hub.run(&["promote", "prod", "--yes", "--force"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(repository.head("prod"), before);
    let forced = hub.run(&[
        "promote",
        "prod",
        "--yes",
        "--force",
        "--reason",
        "incident 7",
    ]);
    assert_eq!(forced.status.code(), Some(0), "{}", stderr(&forced));
    assert_eq!(repository.head("prod"), repository.head("dev"));
}

#[test]
fn a_forced_promotion_is_told_to_the_hub_with_its_reason() {
    let repository = Repository::new();
    let fake = Fake {
        promotion: repository.promotion(v1::StepState::Failed),
        ..Fake::default()
    };
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    let forced = ["promote", "prod", "--yes", "--force", "--reason", "now"];
    let output = hub.run(&forced);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let steered = steered.lock();
    let actions: Vec<v1::SteerAction> = steered.iter().map(v1::SteerRequest::action).collect();
    assert_eq!(
        actions,
        [v1::SteerAction::Promote, v1::SteerAction::Override]
    );
    assert!(steered.iter().all(|request| request.reason == "now"));
}

#[test]
fn gates_before_a_branch_that_has_moved_are_overridden_with_a_reason() {
    let head = fixture::NEW.to_owned();
    let held = v1::HeldCommit {
        commit: fixture::commit(&head).pop(),
        why: "which prod-8 brings".to_owned(),
        given_up: false,
    };
    let fake = Fake {
        promotion: v1::PreviewPromotionResponse {
            environment: "prod".to_owned(),
            promotes_from: "dev".to_owned(),
            ..v1::PreviewPromotionResponse::default()
        },
        rollout: v1::GetRolloutResponse {
            rollout: Some(v1::RolloutStatus {
                id: "prod-8".to_owned(),
                state: "pending".to_owned(),
                target: fixture::commit(&head),
                ..v1::RolloutStatus::default()
            }),
            decisions: Some(v1::EnvironmentDecisions {
                held: Some(v1::HeldCommits {
                    commits: vec![held],
                }),
                ..v1::EnvironmentDecisions::default()
            }),
        },
        environments: fixture::read_environments(),
        ..Fake::default()
    };
    let steered = fake.steered.clone();
    let mut older = fake.clone();
    older.rollout.decisions = Some(v1::EnvironmentDecisions::default());
    let hub = Hub::start(fake);
    let refused = hub.run(&["promote", "prod", "--yes"]);
    assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
    assert!(steered.lock().is_empty());
    let force = [
        "promote", "prod", "--yes", "--force", "--reason", "it burns",
    ];
    let output = Hub::start(older).run(&force);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let says = "does not say what is held back in prod";
    assert!(stderr(&output).contains(says), "{}", stderr(&output));
    assert!(steered.lock().is_empty());
    let dry = [&force[..], &["--dry-run"][..]].concat();
    let output = hub.run(&dry);
    let told = "this would override the gates of prod for\n";
    let told = format!("{told}  3f2a9c1 of fleet, which prod-8 brings\n");
    assert_eq!(stderr(&output), told);
    assert!(steered.lock().is_empty());
    let output = hub.run(&force);
    assert_eq!(stderr(&output), "overrode the gates of prod for 3f2a9c1\n");
    let steered = steered.lock();
    let [request] = steered.as_slice() else {
        panic!("{steered:?}");
    };
    assert_eq!(request.action(), v1::SteerAction::Override);
    assert_eq!(
        (request.commit.as_str(), request.reason.as_str()),
        (head.as_str(), "it burns")
    );
}
