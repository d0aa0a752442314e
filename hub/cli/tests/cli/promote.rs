//! Promotions in a real repository, with the real `git`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_proto::v1;
use parking_lot::Mutex;

use crate::fixture;
use crate::real_git;
use crate::service::{Fake, Hub, stderr, stdout};

#[path = "promote/gates.rs"]
mod gates;
#[path = "promote/named.rs"]
mod named;
#[path = "promote/rollback.rs"]
mod rollback;
#[path = "promote/waiting.rs"]
mod waiting;

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
        let origin = Self {
            directory,
            work,
            bare,
        };
        origin.commit("one");
        origin.push("dev:prod");
        origin.commit("two");
        origin.push("dev:dev");
        origin
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

    /// A hub's preview of a promotion from dev to prod.
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
    let message = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    for words in [
        "prod takes pull requests only",
        "prod was not moved",
        "--pull-request",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(!message.contains("somebody else"), "{message}");
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
    // The clone that lent its objects is unchanged.
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

/// The last known head of an unreadable branch proves nothing.
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
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(!message.contains("already has"), "{message}");
        let expected = format!("prod of fleet cannot be read ({reason}): as it is");
        assert!(message.contains(&expected), "{message}");
        message
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

/// Text of a hub, or of an impostor, cannot make git run a program.
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
