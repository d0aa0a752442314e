//! Rollbacks: good content on top, or a pin with a signed approval.

use super::*;

#[test]
fn a_rollback_commits_the_good_content_on_top_and_tells_the_hub_first() {
    let repository = Repository::new();
    let good = repository.head("prod");
    let bare = repository.bare.display().to_string();
    git(&repository.work, &["push", "-q", &bare, "dev:prod"]);
    let bad = repository.head("prod");
    let fake = Fake {
        repositories: vec![v1::RepositoryStatus {
            name: "fleet".to_owned(),
            url: format!("file://{bare}"),
        }],
        rollout: v1::GetRolloutResponse {
            rollout: None,
            decisions: Some(v1::EnvironmentDecisions {
                good: [&good, &bad]
                    .map(|commit| v1::GoodCommits {
                        commits: vec![v1::RepositoryCommit {
                            repository: "fleet".to_owned(),
                            commit: commit.clone(),
                        }],
                        ..v1::GoodCommits::default()
                    })
                    .to_vec(),
                ..v1::EnvironmentDecisions::default()
            }),
        },
        ..Fake::default()
    };
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    repository.refuse_pushes("the branch is locked");
    let refused = hub.run(&["rollback", "prod", "--reason", "it burns", "--yes"]);
    let message = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    for words in [
        "the branch is locked",
        "prod was not moved",
        "flotilla resume prod",
        "prod has no rollouts",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(repository.head("prod"), bad);
    repository.take_pushes();
    assert_eq!(steered.lock().drain(..).count(), 1);
    let dry = hub.run(&["rollback", "prod", "--reason", "it burns", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{}", stderr(&dry));
    assert_eq!(repository.head("prod"), bad);
    let output = hub.run(&["rollback", "prod", "--reason", "it burns", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let head = repository.head("prod");
    assert_eq!(repository.head("prod^"), bad, "history is kept");
    let message = stderr(&output);
    assert!(message.contains("undoes 1 commit:"), "{message}");
    assert!(
        message.contains("git merge -s ours origin/prod"),
        "the way forward: {message}"
    );
    assert_eq!(
        repository.head("prod^{tree}"),
        repository.head(&format!("{good}^{{tree}}"))
    );
    let steered = steered.lock();
    let [request] = steered.as_slice() else {
        panic!("{steered:?}");
    };
    assert_eq!(request.action(), v1::SteerAction::Rollback);
    assert_eq!(
        (request.commit.as_str(), request.reason.as_str()),
        (head.as_str(), "it burns")
    );
}

/// A rollback without a commit: a pin with an approval that the hub could not have made.
#[test]
fn c04_a_signed_way_back_is_pinned_with_its_approval() {
    use flotilla_shared::approval::RollbackApproval;
    use flotilla_shared::id::ClusterName;
    if flotilla_needs::program("ssh-keygen", None, &["ssh-keygen"]).is_none() {
        return;
    }
    let repository = Repository::new();
    let good = repository.head("prod");
    let bare = repository.bare.display().to_string();
    git(&repository.work, &["push", "-q", &bare, "dev:prod"]);
    let head = repository.head("prod");
    let key = repository.bare.with_file_name("operator-key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let fake = Fake {
        repositories: vec![v1::RepositoryStatus {
            name: "fleet".to_owned(),
            url: format!("file://{bare}"),
        }],
        ..Fake::default()
    };
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    let key = key.display().to_string();
    let back = [
        "rollback", "prod", "--to", &good, "--reason", "it burns", "--yes",
    ];
    let signed: Vec<&str> = back.iter().copied().chain(["--sign", &key]).collect();
    let output = hub.run(&signed);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(repository.head("prod"), head, "the branch stays");
    let steered = steered.lock();
    let [request] = steered.as_slice() else {
        panic!("{steered:?}");
    };
    assert_eq!(request.action(), v1::SteerAction::Pin);
    assert_eq!(request.commit, good);
    let approval = request.approval.clone().unwrap();
    assert!(
        approval
            .signature
            .starts_with(b"-----BEGIN SSH SIGNATURE-----")
    );
    let signed = RollbackApproval::parse(&approval.content).unwrap();
    assert_eq!(signed.to.as_str(), good);
    assert_eq!(signed.repository.as_str(), format!("file://{bare}"));
    let clusters: Vec<&str> = signed.from.keys().map(ClusterName::as_str).collect();
    assert_eq!(clusters, ["prod-1", "prod-2"]);
    assert!(
        stderr(&output).contains("cluster prod-1 from "),
        "{}",
        stderr(&output)
    );
}
