//! Promotions in a real repository, with the real `git`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_proto::v1;
use parking_lot::Mutex;

use crate::fixture;
use crate::real_git;
use crate::service::{Fake, Hub, stderr, stdout};

fn git(directory: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    real_git::git(directory, &[&identity[..], arguments].concat())
}

/// A bare repository whose prod is one commit behind dev.
struct Repository {
    directory: tempfile::TempDir,
    work: PathBuf,
    bare: PathBuf,
}

impl Repository {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (work, bare) = (
            directory.path().join("work"),
            directory.path().join("bare.git"),
        );
        std::fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q", "-b", "dev"]);
        git(directory.path(), &["init", "-q", "--bare", "bare.git"]);
        let one = Self {
            directory,
            work,
            bare,
        };
        one.commit("one");
        one.push("dev:prod");
        one.commit("two");
        one.push("dev:dev");
        one
    }

    fn commit(&self, subject: &str) {
        git(
            &self.work,
            &["commit", "-q", "--allow-empty", "-m", subject],
        );
    }

    fn push(&self, refs: &str) {
        let bare = self.bare.display().to_string();
        git(&self.work, &["push", "-q", "--force", &bare, refs]);
    }

    fn head(&self, branch: &str) -> String {
        git(&self.bare, &["rev-parse", branch])
    }

    fn hook(&self) -> PathBuf {
        self.bare.join("hooks/pre-receive")
    }

    fn refuse_pushes(&self, why: &str) {
        let hook = self.hook();
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\necho '{why}' >&2\nexit 1\n")).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&hook, executable).unwrap();
    }

    fn take_pushes(&self) {
        std::fs::remove_file(self.hook()).unwrap();
    }

    /// What a hub says of a promotion from dev to prod.
    fn promotion(&self, gate: v1::StepState) -> v1::PreviewPromotionResponse {
        v1::PreviewPromotionResponse {
            environment: "prod".to_owned(),
            promotes_from: "dev".to_owned(),
            moves: vec![v1::PromotionMove {
                repository: "fleet".to_owned(),
                url: format!("file://{}", self.bare.display()),
                source_branch: "dev".to_owned(),
                target_branch: "prod".to_owned(),
                from_commit: self.head("prod"),
                to_commit: self.head("dev"),
                applications: vec!["guestbook".to_owned()],
            }],
            clusters: vec!["prod-1".to_owned()],
            gates: vec![fixture::step("health", "dev-1", gate, "as it is")],
        }
    }

    fn hub(&self, gate: v1::StepState) -> Hub {
        Hub::start(Fake {
            promotion: self.promotion(gate),
            ..Fake::default()
        })
    }
}

#[test]
fn a_promotion_fast_forwards_the_branch() {
    let repository = Repository::new();
    let hub = repository.hub(v1::StepState::Ok);
    let output = hub.run(&["promote", "prod", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("1 commit:\n"),
        "{}",
        stdout(&output)
    );
    assert!(stdout(&output).contains(" two\n"), "{}", stdout(&output));
    assert_eq!(repository.head("prod"), repository.head("dev"));
}

#[test]
fn a_push_that_is_refused_is_told_with_a_way_on() {
    let repository = Repository::new();
    let hub = repository.hub(v1::StepState::Ok);
    let before = repository.head("prod");
    repository.refuse_pushes("prod takes pull requests only");
    let refused = hub.run(&["promote", "prod", "--yes"]);
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for words in [
        "prod takes pull requests only",
        "prod was not moved",
        "--pull-request",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("somebody else"), "{said}");
    assert_eq!(repository.head("prod"), before);
    repository.take_pushes();
    let again = hub.run(&["promote", "prod", "--yes"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
}

#[test]
fn a_dry_run_and_a_question_without_answer_move_nothing() {
    let repository = Repository::new();
    let before = repository.head("prod");
    let hub = repository.hub(v1::StepState::Ok);
    let work = repository.work.display().to_string();
    let dry = hub.run(&["promote", "prod", "--dry-run", "--repo-dir", &work]);
    assert_eq!(dry.status.code(), Some(0), "{}", stderr(&dry));
    let asked = hub.run(&["promote", "prod"]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(stderr(&asked).contains("--yes"), "{}", stderr(&asked));
    assert_eq!(repository.head("prod"), before);
    // The clone that lent its objects has nothing new.
    assert_eq!(
        git(&repository.work, &["for-each-ref", "--format=%(refname)"]),
        "refs/heads/dev"
    );
    assert!(hub.directory().exists() && repository.directory.path().exists());
}

#[test]
fn what_is_not_a_fast_forward_is_refused() {
    let repository = Repository::new();
    let (dev, url) = (
        repository.head("dev"),
        repository.bare.display().to_string(),
    );
    git(&repository.work, &["checkout", "-q", "-b", "fix", "HEAD~1"]);
    repository.commit("a fix on prod alone");
    git(&repository.work, &["push", "-q", &url, "fix:prod"]);
    let fixed = repository.head("prod");
    let hub = repository.hub(v1::StepState::Ok);
    let forced = ["promote", "prod", "--yes", "--force", "--reason", "now"];
    let output = hub.run(&forced);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("cannot be fast-forwarded")
            && stderr(&output).contains("git merge -s ours origin/prod"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        (repository.head("prod"), repository.head("dev")),
        (fixed, dev)
    );
}

#[test]
fn a_commit_that_the_source_branch_lacks_is_refused() {
    let repository = Repository::new();
    let before = repository.head("prod");
    git(&repository.work, &["checkout", "-q", "-b", "evil"]);
    repository.commit("not on dev");
    repository.push("evil:evil");
    let mut promotion = repository.promotion(v1::StepState::Ok);
    promotion.moves[0].to_commit = repository.head("evil");
    let output = Hub::start(Fake {
        promotion,
        ..Fake::default()
    })
    .run(&["promote", "prod", "--yes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("is not on branch dev"),
        "{}",
        stderr(&output)
    );
    assert_eq!(repository.head("prod"), before);
}

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
fn nothing_to_promote_is_a_refusal() {
    let promotion = v1::PreviewPromotionResponse {
        environment: "prod".to_owned(),
        promotes_from: "dev".to_owned(),
        ..v1::PreviewPromotionResponse::default()
    };
    let output = Hub::start(Fake {
        promotion,
        environments: fixture::read_environments(),
        ..Fake::default()
    })
    .run(&["promote", "prod", "--yes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("nothing to promote"),
        "{}",
        stderr(&output)
    );
}

/// What the hub saw last says nothing of a branch that it cannot read.
#[test]
fn a_branch_that_cannot_be_read_is_not_said_to_have_everything() {
    let refused = |reason: &str| {
        let mut environments = fixture::read_environments();
        let branch = &mut environments[1].branches[0];
        branch.reason = reason.to_owned();
        branch.message = "as it is".to_owned();
        let output = Hub::start(Fake {
            promotion: v1::PreviewPromotionResponse {
                environment: "prod".to_owned(),
                promotes_from: "dev".to_owned(),
                ..v1::PreviewPromotionResponse::default()
            },
            repositories: vec![v1::RepositoryStatus {
                name: "fleet".to_owned(),
                url: "https://git.example.org/acme/fleet".to_owned(),
            }],
            environments,
            ..Fake::default()
        })
        .run(&["promote", "prod", "--yes"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(!said.contains("already has"), "{said}");
        let wanted = format!("prod of fleet cannot be read ({reason}): as it is");
        assert!(said.contains(&wanted), "{said}");
        said
    };
    let unavailable = refused("RepositoryUnavailable");
    assert!(!unavailable.contains("git push"), "{unavailable}");
    let gone = refused("BranchNotFound");
    let way = format!(
        "git push https://git.example.org/acme/fleet {}:refs/heads/prod",
        fixture::NEW
    );
    assert!(gone.contains(&way), "{gone}");
}

/// Whoever was interrupted while waiting asks again.
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
    let said = stdout(&arrived);
    assert!(said.contains("prod-8"), "{said}");
    // The rollout before is not the one of what the branch holds.
    let before = hub(&"1".repeat(40)).run(&wait);
    assert_eq!(before.status.code(), Some(1), "{}", stderr(&before));
    assert!(
        stderr(&before).contains("has not begun"),
        "{}",
        stderr(&before)
    );
}

/// A hub, or whoever stands in its place, cannot make git run something.
#[test]
fn a_url_or_branch_that_git_could_take_for_an_option_is_refused() {
    let repository = Repository::new();
    for (url, branch) in [
        ("ext::sh -c touch% /tmp/x", "prod"),
        ("--upload-pack=touch", "prod"),
        ("file:///nowhere", "--force"),
    ] {
        let mut promotion = repository.promotion(v1::StepState::Ok);
        promotion.moves[0].url = url.to_owned();
        promotion.moves[0].target_branch = branch.to_owned();
        let output = Hub::start(Fake {
            promotion,
            ..Fake::default()
        })
        .run(&["promote", "prod", "--yes"]);
        assert_eq!(output.status.code(), Some(2), "{url}");
        assert!(
            stderr(&output).contains("is not valid"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn waiting_ends_in_time_and_names_who_is_missing() {
    let repository = Repository::new();
    let hub = repository.hub(v1::StepState::Ok);
    let output = hub.run(&["promote", "prod", "--yes", "--wait", "--wait-timeout", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("not there yet: dev-1, prod-1, prod-2"),
        "{said}"
    );
    // The branch moved all the same, and the message says so.
    assert!(said.contains("the branch moved"), "{said}");
    assert_eq!(repository.head("prod"), repository.head("dev"));
}

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
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for words in [
        "the branch is locked",
        "prod was not moved",
        "flotilla resume prod",
        "prod has no rollouts",
    ] {
        assert!(said.contains(words), "{words}: {said}");
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
    let said = stderr(&output);
    assert!(said.contains("undoes 1 commit:"), "{said}");
    assert!(
        said.contains("git merge -s ours origin/prod"),
        "the way forward: {said}"
    );
    assert_eq!(
        repository.head("prod^{tree}"),
        repository.head(&format!("{good}^{{tree}}"))
    );
    let steered = steered.lock();
    let [one] = steered.as_slice() else {
        panic!("{steered:?}");
    };
    assert_eq!(one.action(), v1::SteerAction::Rollback);
    assert_eq!(
        (one.commit.as_str(), one.reason.as_str()),
        (head.as_str(), "it burns")
    );
}

/// The other way back: no commit, but a pin with an approval that the hub could not have made.
#[test]
fn c04_a_signed_way_back_is_pinned_with_its_approval() {
    use flotilla_shared::approval::RollbackApproval;
    use flotilla_shared::id::ClusterName;
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
    let [one] = steered.as_slice() else {
        panic!("{steered:?}");
    };
    assert_eq!(one.action(), v1::SteerAction::Pin);
    assert_eq!(one.commit, good);
    let approval = one.approval.clone().unwrap();
    assert!(
        approval
            .signature
            .starts_with(b"-----BEGIN SSH SIGNATURE-----")
    );
    let said = RollbackApproval::parse(&approval.content).unwrap();
    assert_eq!(said.to.as_str(), good);
    assert_eq!(said.repository.as_str(), format!("file://{bare}"));
    let clusters: Vec<&str> = said.from.keys().map(ClusterName::as_str).collect();
    assert_eq!(clusters, ["prod-1", "prod-2"]);
    assert!(
        stderr(&output).contains("cluster prod-1 from "),
        "{}",
        stderr(&output)
    );
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
    assert!(steered.iter().all(|one| one.reason == "now"));
}

/// A hub that knows where the repository is, and none of its commits.
fn far(repository: &Repository, promotion: v1::PreviewPromotionResponse) -> Fake {
    Fake {
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
    let said = stderr(&output);
    assert!(
        said.contains("no commit 0000000 is known in prod"),
        "{said}"
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
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("1234567 is not on the branch of prod"),
        "{said}"
    );
    assert!(steered.lock().is_empty());
    let head = repository.head("prod");
    let taken = pin(head.get(..7).unwrap());
    let said = stderr(&taken);
    assert_eq!(taken.status.code(), Some(0), "{said}");
    assert!(said.contains("prod is pinned to "), "{said}");
    assert!(said.contains(" until 20"), "{said}");
    let steered = steered.lock();
    assert_eq!(steered[0].commit, head);
    assert_eq!(steered[0].expires_seconds, 7200);
}

#[test]
fn gates_before_a_branch_that_has_moved_are_overridden_with_a_reason() {
    let head = fixture::NEW.to_owned();
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
            decisions: None,
        },
        environments: fixture::read_environments(),
        ..Fake::default()
    };
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    let refused = hub.run(&["promote", "prod", "--yes"]);
    assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
    assert!(steered.lock().is_empty());
    let force = [
        "promote", "prod", "--yes", "--force", "--reason", "it burns",
    ];
    let output = hub.run(&force);
    assert_eq!(stderr(&output), "overrode the gates of prod for 3f2a9c1\n");
    let steered = steered.lock();
    let [one] = steered.as_slice() else {
        panic!("{steered:?}");
    };
    assert_eq!(one.action(), v1::SteerAction::Override);
    assert_eq!(
        (one.commit.as_str(), one.reason.as_str()),
        (head.as_str(), "it burns")
    );
}

impl Repository {
    /// A hub whose answers about the promotion are `gates`, one after the other, and then that nothing
    /// holds it back; the rollout that follows succeeds at once.
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
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("as --wait does"), "{said}");
    assert_eq!(repository.head("prod"), before);
    let output = hub.run(&["promote", "prod", "--yes", "--wait", "-o", "json"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for (count, text) in [
        (1, "waits for health dev-1 since "),
        (1, " UTC: healthy for 2 s of 3\n"),
        (1, "health dev-1 is open after "),
        (1, "waits for check smoke since "),
        (1, "check smoke is open after "),
        (1, "moved prod of fleet to "),
    ] {
        assert_eq!(said.matches(text).count(), count, "{text}: {said}");
    }
    assert_eq!(repository.head("prod"), repository.head("dev"));
    let text = stdout(&output);
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    let documents: Vec<_> = documents.map(Result::unwrap).collect();
    let [promotion, rollout] = documents.as_slice() else {
        panic!("{text}");
    };
    assert_eq!(promotion["gates"][0]["mayOpen"], true);
    assert_eq!(rollout["rollout"]["state"], "succeeded");
    // It stays with the commit that was shown, and the hub hears of it once the gates are open.
    let previewed = previewed.lock();
    let head = repository.head("dev");
    assert!(previewed.len() >= 4, "{previewed:?}");
    let again = previewed.iter().skip(2);
    let (repositories, commits): (Vec<_>, Vec<_>) = again
        .map(|one| (one.repository.as_str(), one.commit.as_str()))
        .unzip();
    assert!(repositories.iter().all(|one| *one == "fleet"));
    assert!(commits.iter().all(|one| *one == head));
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
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("what waiting does not open: quarantine prod-6 (it crashed)"),
            "{said}"
        );
        assert!(began.elapsed().as_secs() < 30, "{said}");
        assert_eq!(
            said.contains("flotilla approve prod --commit"),
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
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("nothing was moved: still held back by health dev-1 (as it is)"),
        "{said}"
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
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("somebody else moved it there meanwhile"),
        "{said}"
    );
    assert!(!said.contains("moved prod of"), "{said}");
}
