//! Commits that a person gives: by their first digits, and in a pin.

use super::*;

/// A hub that knows the repository's URL, but none of its commits.
fn far(repository: &Repository, promotion: v1::PreviewPromotionResponse) -> Fake {
    let mut environments = fixture::environments();
    let dev = environments[0].branches[0].revision.as_mut().unwrap();
    dev.commit = repository.head("dev");
    Fake {
        environments,
        promotion,
        repositories: vec![v1::RepositoryStatus {
            name: "fleet".to_owned(),
            url: format!("file://{}", repository.bare.display()),
        }],
        ..Fake::default()
    }
}

#[test]
fn a_commit_may_be_named_by_its_first_digits() {
    let repository = Repository::new();
    let head = repository.head("dev");
    let fake = far(&repository, repository.promotion(v1::StepState::Ok));
    let hub = Hub::start(fake);
    let short = head.get(..7).unwrap();
    let output = hub.run(&["promote", "prod", "--commit", short, "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(repository.head("prod"), head);
    let output = hub.run(&["promote", "prod", "--commit", "0000000", "--yes"]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(
        message.contains("no commit 0000000 is known in prod"),
        "{message}"
    );
}

#[test]
fn a_pin_names_its_commit_and_end_and_a_commit_that_agents_refuse_is_refused_here() {
    let repository = Repository::new();
    let fake = far(&repository, v1::PreviewPromotionResponse::default());
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    let elsewhere = "12345678".repeat(5);
    let pin = |commit: &str| {
        hub.run(&[
            "pin",
            "--env",
            "prod",
            "--commit",
            commit,
            "--reason",
            "disk",
            "--expires",
            "2h",
        ])
    };
    let refused = pin(&elsewhere);
    let message = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(
        message.contains("1234567 is not on the branch of prod"),
        "{message}"
    );
    assert!(steered.lock().is_empty());
    let head = repository.head("prod");
    let taken = pin(head.get(..7).unwrap());
    let message = stderr(&taken);
    assert_eq!(taken.status.code(), Some(0), "{message}");
    assert!(message.contains("prod is pinned to "), "{message}");
    assert!(message.contains(" until 20"), "{message}");
    let steered = steered.lock();
    assert_eq!(steered[0].commit, head);
    assert_eq!(steered[0].expires_seconds, 7200);
}
