//! The hub moves a branch for a person, as a page asks it to.

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::repository::git;
use tonic::Code;

use super::{LIMIT, WAVES, World, targets};

impl World {
    async fn preview(&self) -> v1::PreviewPromotionResponse {
        let request = v1::PreviewPromotionRequest {
            environment: "prod".to_owned(),
            ..v1::PreviewPromotionRequest::default()
        };
        let answer = self.api().await.preview_promotion(request).await;
        answer.unwrap().into_inner()
    }

    async fn move_to(&self, commit: &str, reason: &str) -> Result<String, tonic::Status> {
        let request = v1::MoveBranchesRequest {
            environment: "prod".to_owned(),
            moves: vec![v1::RepositoryCommit {
                repository: "fleet".to_owned(),
                commit: commit.to_owned(),
            }],
            reason: reason.to_owned(),
        };
        let answer = self.api().await.move_branches(request).await?;
        Ok(answer.into_inner().detail)
    }

    fn prod(&self) -> String {
        git(&self.repository.bare, &["rev-parse", "prod"]).unwrap()
    }

    /// Until the hub would move prod to this commit, and nothing holds it back but `held`.
    async fn shown(&self, commit: &str, held: Option<&str>) {
        let last = parking_lot::Mutex::new(None);
        let found = eventually("what would move is known", LIMIT, || async {
            let look = self.preview().await;
            let holds = |one: &&v1::ExplainStep| {
                let state = one.state();
                matches!(state, v1::StepState::Waiting | v1::StepState::Failed)
            };
            let closed = look.gates.iter().find(holds).map(|one| one.step.as_str());
            let moves = look.moves.iter().any(|one| one.to_commit == commit);
            let is_so = moves && closed == held;
            *last.lock() = Some(look);
            is_so.then_some(())
        });
        if let Err(error) = found.await {
            panic!("{error}: {commit} {held:?} {:#?}", last.lock());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_moves_a_branch_for_a_person_once_every_gate_is_open() {
    // It does nothing by itself, and a soak of an hour keeps the gate shut until the file is changed.
    let rules =
        |soak: &str| format!("  autoPromote: false\n  gates: {{proof: {{soak: {soak}}}}}\n{WAVES}");
    let world = World::new(&rules("1h"), 2, Duration::from_millis(300)).await;
    let before = world.prod();
    let commit = world.repository.push("second", &["dev"]).unwrap();
    world.shown(&commit, Some("health")).await;
    let closed = world.move_to(&commit, "it is time").await.unwrap_err();
    assert_eq!(closed.code(), Code::FailedPrecondition);
    assert!(closed.message().contains("of 3600"), "{closed}");
    world.edit("soak: 1h", "soak: 1s");
    world.shown(&commit, None).await;

    // What was shown, by somebody who says why.
    let silent = world.move_to(&commit, " ").await.unwrap_err();
    assert_eq!(silent.code(), Code::InvalidArgument);
    let other = world.move_to(&before, "it is time").await.unwrap_err();
    assert!(other.message().contains("look at it again"), "{other}");
    assert_eq!(world.prod(), before, "nothing has moved until now");
    let told = world.move_to(&commit, "it is time").await.unwrap();
    assert!(told.contains("prod of"), "{told}");
    assert_eq!(world.prod(), commit);
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    let again = world.move_to(&commit, "it is time").await.unwrap_err();
    assert!(again.message().contains("look at it again"), "{again}");
    let request = v1::ListAuditRequest::default();
    let entries = world.api().await.list_audit(request).await.unwrap();
    let entries = entries.into_inner().entries;
    let noted: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "promote")
        .map(|entry| (entry.actor.as_str(), entry.reason.as_str()))
        .collect();
    assert_eq!(noted.len(), 1, "{entries:?}");
    assert!(noted[0].0.contains("ada") && noted[0].1 == "it is time");

    // Never by force: prod has a commit of its own, and the Git server says no.
    let third = world.repository.push("third", &["dev"]).unwrap();
    world.shown(&third, None).await;
    let work = world.directory.path().join("another");
    let bare = world.repository.bare.display().to_string();
    let at = world.directory.path();
    git(
        at,
        &["clone", "--quiet", "--branch", "prod", &bare, "another"],
    )
    .unwrap();
    git(
        &work,
        &["commit", "--quiet", "--allow-empty", "-m", "a repair"],
    )
    .unwrap();
    git(&work, &["push", "--quiet", "origin", "prod"]).unwrap();
    let repaired = world.prod();
    let refused = world.move_to(&third, "it is time").await.unwrap_err();
    assert!(refused.message().contains("stays where it is"), "{refused}");
    assert_eq!(world.prod(), repaired);
    let request = v1::ListAuditRequest::default();
    let entries = world.api().await.list_audit(request).await.unwrap();
    let mut entries = entries.into_inner().entries.into_iter();
    assert!(entries.any(|entry| entry.action == "promotion refused"));
    let _ = world.stop.send(true);
}
