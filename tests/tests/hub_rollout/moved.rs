//! The hub moves a branch on behalf of a user, as a page requests.

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::object::{Action, ObjectNames, ObjectRef};
use flotilla_shared::plan::{ApplicationChanges, Change, ClusterPlan};
use flotilla_tests::eventually;
use flotilla_tests::repository::git;
use flotilla_tests::tab::Tab;
use flotilla_web::serve::Listening;
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

    /// Waits until the hub would move prod to this commit, and only `held` holds it back.
    async fn shown(&self, commit: &str, held: Option<&str>) {
        let last = parking_lot::Mutex::new(None);
        let found = eventually("what would move is known", LIMIT, || async {
            let look = self.preview().await;
            let holds = |gate: &&v1::ExplainStep| {
                let state = gate.state();
                matches!(state, v1::StepState::Waiting | v1::StepState::Failed)
            };
            let closed = look.gates.iter().find(holds).map(|gate| gate.step.as_str());
            let moves = look.moves.iter().any(|step| step.to_commit == commit);
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
    // The hub moves nothing by itself, and a soak of one hour keeps the gate closed until the file changes.
    let rules =
        |soak: &str| format!("  autoPromote: false\n  gates: {{proof: {{soak: {soak}}}}}\n{WAVES}");
    let world = World::new(&rules("1h"), 2, Duration::from_millis(300)).await;
    let before = world.prod();
    let commit = world.repository.push("second", &["dev"]).unwrap();
    world.shown(&commit, Some("health")).await;
    let closed = world.move_to(&commit, "it is time").await.unwrap_err();
    assert_eq!(closed.code(), Code::FailedPrecondition);
    assert!(closed.message().starts_with("health: "), "{closed}");
    assert!(closed.message().ends_with("nothing was moved"), "{closed}");
    world.edit("soak: 1h", "soak: 1s");
    world.shown(&commit, None).await;

    // Moves exactly the commit that was shown, and requires a reason.
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

    // Never force-pushes: prod has a commit of its own, so the Git server refuses.
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

/// A site as served by `flotilla web`, and a tab of its user.
async fn site(world: &World) -> Tab {
    let uri = "spiffe://flotilla/operator/ada";
    let channel = world.hub.channel(Some(uri)).await.unwrap();
    let carrier =
        tower::ServiceExt::<http::Request<tonic::body::Body>>::map_err(channel, |error| {
            tonic::Status::unavailable(error.to_string())
        });
    let api = flotilla_web::Api::new(flotilla_web::Carrier::new(carrier));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = Listening::new(api, listener).await.unwrap();
    let origin = format!("http://{}", site.address);
    let way_in = site.link.strip_prefix(&origin).unwrap().to_owned();
    let mut tab = Tab::new(&origin, &site.address.to_string()).unwrap();
    tokio::spawn(site.run(std::future::pending()));
    assert_eq!(tab.open(&way_in).await.unwrap().status, 200);
    tab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_the_agents_and_has_the_hub_move_the_branch_once() {
    let rules = format!("  autoPromote: false\n{WAVES}");
    let world = World::new(&rules, 3, Duration::from_millis(300)).await;
    let change = Change {
        object: ObjectRef::from(ObjectNames {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: "web".to_owned(),
            name: "planned".to_owned(),
        }),
        action: Action::Updated,
        reason: None,
        managers: Vec::new(),
        fields: vec!["/data/a".to_owned()],
        message: String::new(),
    };
    let changes = ApplicationChanges {
        changes: vec![change],
        ..ApplicationChanges::default()
    };
    *world.seen.plans.lock() = vec![ClusterPlan {
        applications: [("web".parse().unwrap(), changes)].into(),
    }];
    let commit = world.repository.push("second", &["dev"]).unwrap();
    world.shown(&commit, None).await;
    let mut tab = site(&world).await;
    let page = tab.open("/promote/prod").await.unwrap();
    assert!(
        page.text.contains("The hub moves the branch"),
        "{}",
        page.text
    );
    let token = page.field("token").unwrap().to_owned();
    let commits = format!("fleet@{commit}");
    let fields = |action, key, reason| {
        [
            ("token", token.as_str()),
            ("back", "/promote/prod"),
            ("environment", "prod"),
            ("commits", commits.as_str()),
            ("branch", "dev"),
            ("action", action),
            ("key", key),
            ("reason", reason),
        ]
    };

    // The page asks connected agents what the promotion would change.
    let asked = tab.post("/act", &fields("plan", "1", "")).await.unwrap();
    let plan = asked.location().unwrap().to_owned();
    assert!(plan.starts_with("/plan/"), "{asked:?}");
    let shown = eventually("the plan is whole", LIMIT, || async {
        let request = tab.request(reqwest::Method::GET, &plan);
        let text = request.send().await.ok()?.text().await.ok()?;
        text.contains("2 clusters: the same 1 change")
            .then_some(text)
    })
    .await
    .unwrap();
    assert!(
        shown.contains("ConfigMap web/planned") && shown.contains("/data/a"),
        "{shown}"
    );

    // Without a reason the form is refused; submitted twice, it takes effect once.
    tab.post("/act", &fields("promote", "2", "")).await.unwrap();
    let told = tab.open("/promote/prod").await.unwrap();
    assert!(told.text.contains("not done: say why"), "{}", told.text);
    let done = tab
        .post("/act", &fields("promote", "3", "it is time"))
        .await
        .unwrap();
    assert_eq!(done.location(), Some("/env/prod"), "{done:?}");
    let told = tab.open("/env/prod").await.unwrap();
    assert!(
        told.text.contains(&format!("is now at {}", &commit[..7])),
        "{}",
        told.text
    );
    assert_eq!(world.prod(), commit);
    tab.post("/act", &fields("promote", "3", "it is time"))
        .await
        .unwrap();
    let told = tab.open("/promote/prod").await.unwrap();
    assert!(
        told.text.contains("it was carried out once"),
        "{}",
        told.text
    );
    let _ = world.stop.send(true);
}
