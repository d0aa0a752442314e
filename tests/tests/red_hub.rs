//! What a stolen hub can do to a cluster: every item of group C of the fault catalogue, by a hub of our
//! own that lies to a real agent. `SECURITY.md` has the table.
//!
//! Each item ends in a refusal with a reason code, an Event inside the cluster, and no write in the API
//! server's audit log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "red_hub/world.rs"]
mod world;

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::hub_message::Body;
use flotilla_shared::approval::RollbackApproval;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::eventually;
use flotilla_tests::red_hub::sealed;
use flotilla_tests::repository::git;
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use world::{CANARY, LIMIT, World, config_map};

async fn c01(world: &mut World) {
    let good = world.good.clone();
    for url in [
        world.git.url("elsewhere.git"),
        "https://example.com/x.git".to_owned(),
    ] {
        let mut content = world.content(&good);
        content.applications[0].url = url;
        world.held(&content, "RepositoryNotAllowed").await;
    }
    let mut content = world.content(&good);
    content.applications[0].branch = "dev".to_owned();
    world.held(&content, "BranchNotAllowed").await;
    // What no agent would ever take for a URL does not get past the decoder.
    for url in [
        "ext::sh -c id",
        "--upload-pack=id",
        "https://user:secret@h/r",
    ] {
        let mut content = world.content(&good);
        content.applications[0].url = url.to_owned();
        world
            .refused(sealed(content.encode_to_vec()), "MalformedAssignment")
            .await;
    }
}

async fn c02(world: &mut World) {
    // In the repository, signed by the right key, and not on the branch: as a fork's commit on a forge is.
    let work = world.repository.work.clone();
    git(&work, &["checkout", "-q", "-b", "fork"]).unwrap();
    world.write("apps/web/config.yaml", &config_map("config", "evil"));
    let fork = world.push("fork", Some("good"), "fork");
    git(&work, &["tag", "v1"]).unwrap();
    git(&work, &["push", "-q", "origin", "v1"]).unwrap();
    git(&work, &["checkout", "-q", "dev"]).unwrap();
    let content = world.content(&fork);
    world.held(&content, "CommitNotFound").await;
    let nowhere = "ab".repeat(20);
    let content = world.content(&nowhere);
    world.held(&content, "CommitNotFound").await;
}

async fn c03(world: &mut World) {
    for (key, reason) in [
        (None, "SignatureMissing"),
        (Some("thief"), "SignatureKeyUnknown"),
    ] {
        world.write("apps/web/config.yaml", &config_map("config", "evil"));
        let evil = world.push("evil", key, "prod");
        let content = world.content(&evil);
        world.held(&content, reason).await;
        // A signed commit on top does not launder it.
        let after = world.push("after", Some("good"), "prod");
        let content = world.content(&after);
        world.held(&content, reason).await;
        git(
            &world.repository.work,
            &["reset", "-q", "--hard", &world.good],
        )
        .unwrap();
    }
    world.push("clean", Some("good"), "prod");
}

fn approval(world: &World, from: &str, to: &str, key: &str) -> v1::SignedApproval {
    let said = RollbackApproval {
        repository: world.git.url("fleet.git").parse().unwrap(),
        to: to.parse().unwrap(),
        from: [("c1".parse().unwrap(), from.parse().unwrap())].into(),
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
        nonce: format!("{:032x}", rand::random::<u128>()),
    };
    sign(world, &said, key)
}

fn sign(world: &World, said: &RollbackApproval, key: &str) -> v1::SignedApproval {
    let text = said.to_text();
    std::fs::write(world.path("approval"), &text).unwrap();
    let _ = std::fs::remove_file(world.path("approval.sig"));
    let signed = std::process::Command::new("ssh-keygen")
        .current_dir(world.directory.path())
        .args([
            "-q",
            "-Y",
            "sign",
            "-n",
            "flotilla-rollback",
            "-f",
            key,
            "approval",
        ])
        .status();
    assert!(signed.unwrap().success());
    v1::SignedApproval {
        content: text.into_bytes(),
        signature: std::fs::read(world.path("approval.sig")).unwrap(),
    }
}

async fn c04(world: &mut World) {
    // Both commits have what runs, so that nothing has to be written for either.
    let old = world.good.clone();
    let new = world.push("newer", Some("good"), "prod");
    world.honest(&new).await;
    world.runs(&new).await;
    world.good = new.clone();
    let back = world.content(&old);
    world.held(&back, "NotADescendant").await;
    let with = |world: &mut World, approval: v1::SignedApproval| {
        let mut content = world.content(&old);
        content.approvals = vec![approval];
        content
    };
    let thief = approval(world, &new, &old, "thief");
    let content = with(world, thief);
    world.held(&content, "ApprovalRefused").await;
    let good = approval(world, &new, &old, "operator");
    let said = RollbackApproval::parse(&good.content).unwrap();
    let mut expired = said.clone();
    expired.expires_at = Timestamp::now() - SignedDuration::from_secs(1);
    let mut foreign = said.clone();
    foreign.from = [("c2".parse().unwrap(), new.parse().unwrap())].into();
    for other in [expired, foreign] {
        let signed = sign(world, &other, "operator");
        let content = with(world, signed);
        world.held(&content, "ApprovalRefused").await;
    }
    // The true one works, is told, and works once.
    let content = with(world, good.clone());
    world.assign(&content).await;
    world.runs(&old).await;
    world.told("WentBack").await;
    world.honest(&new).await;
    world.runs(&new).await;
    let content = with(world, good);
    world.held(&content, "ApprovalRefused").await;
}

async fn c05(world: &mut World) {
    world.honest(&world.good.clone()).await;
    world.push("held back", Some("good"), "prod");
    let before = world.writes();
    world.told("BranchAhead").await;
    assert_eq!(world.writes(), before);
}

async fn c06(world: &mut World) {
    let good = world.good.clone();
    world.honest(&good).await;
    let mut older = world.content(&good);
    older.generation = 1;
    older.labels = vec![v1::Label {
        key: "x".to_owned(),
        value: "y".to_owned(),
    }];
    world
        .refused(sealed(older.encode_to_vec()), "StaleAssignment")
        .await;
    world.generation -= 1;
    let mut other = world.content(&good);
    world.generation -= 1;
    let accepted = world.hub.report().unwrap().assignment.unwrap().generation;
    other.generation = accepted;
    other.labels = vec![v1::Label {
        key: "x".to_owned(),
        value: "y".to_owned(),
    }];
    world
        .refused(sealed(other.encode_to_vec()), "ConflictingAssignment")
        .await;
    let mut far = world.content(&good);
    far.epoch = u64::MAX;
    world
        .refused(sealed(far.encode_to_vec()), "EpochJump")
        .await;
    let mut foreign = world.content(&good);
    foreign.cluster = "c2".to_owned();
    world
        .refused(sealed(foreign.encode_to_vec()), "WrongCluster")
        .await;
}

async fn c07(world: &mut World) {
    // Parts of two generations under the digest of one of them.
    let good = world.good.clone();
    let honest = sealed(world.content(&good).encode_to_vec());
    let mut mixed = world.content(&good);
    mixed.applications.push(world.application("second", &good));
    let mixed = v1::Assignment {
        content: mixed.encode_to_vec().into(),
        digest: honest.digest,
    };
    world.refused(mixed, "DigestMismatch").await;
    // One application twice, as of two generations.
    let mut twice = world.content(&good);
    twice.applications.push(world.application("web", &good));
    world
        .refused(sealed(twice.encode_to_vec()), "MalformedAssignment")
        .await;
}

async fn c08(world: &mut World) {
    let good = world.good.clone();
    let mut content = world.content(&good);
    content.applications[0].path = "secret".to_owned();
    world.held(&content, "PathNotAllowed").await;
    let mut content = world.content(&good);
    content.applications[0].path = "apps/../secret".to_owned();
    world
        .refused(sealed(content.encode_to_vec()), "MalformedAssignment")
        .await;
    // Objects are judged as they are in the end, whatever the assignment says of their namespace.
    world.write(
        "apps/out/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: out}\n",
    );
    let pushed = world.push("other namespace", Some("good"), "prod");
    let mut content = world.content(&pushed);
    content.applications[0].name = "out".to_owned();
    content.applications[0].path = "apps/out".to_owned();
    content.applications[0].namespace = "other".to_owned();
    content.applications.push(world.application("web", &good));
    let before = world.writes();
    world.assign(&content).await;
    let report = world
        .report("out", "the object is refused", |one| {
            let refused = |object: &v1::ObjectStatus| object.reason == "NamespaceNotAllowed";
            one.objects.iter().any(refused)
        })
        .await;
    assert_ne!(report.sync(), v1::Sync::Synced);
    world.told("NamespaceNotAllowed").await;
    assert_eq!(world.writes(), before);
    git(&world.repository.work, &["rm", "-q", "-r", "apps/out"]).unwrap();
    world.good = world.push("without it", Some("good"), "prod");
    world.honest(&world.good.clone()).await;
    world.runs(&world.good).await;
}

async fn c09(world: &mut World) {
    let mut content = world.content(&world.good.clone());
    content.applications.clear();
    content.tombstones = vec![v1::Tombstone {
        application: "web".to_owned(),
        delete_objects: true,
    }];
    let before = world.writes();
    world.assign(&content).await;
    // Fourteen objects are more than the policy lets go at once.
    world
        .report("web", "held by the budget", |one| {
            one.reason == "DeleteBudget"
        })
        .await;
    world.told("DeleteBudget").await;
    assert_eq!(world.writes(), before);
    world.intact().await;
    // No word of the application at all is no word to delete it, either.
    let mut nothing = world.content(&world.good.clone());
    nothing.applications.clear();
    world.assign(&nothing).await;
    world
        .report("web", "kept as an orphan", |one| {
            one.reason == "NotAssigned"
        })
        .await;
    assert_eq!(world.writes(), before);
    world.intact().await;
    world.honest(&world.good.clone()).await;
    world.runs(&world.good).await;
}

async fn c10(world: &mut World) {
    // Fields that the protocol does not have, with a policy in them.
    let mut content = world.content(&world.good.clone());
    content.applications[0].url = world.git.url("elsewhere.git");
    let mut bytes = content.encode_to_vec();
    for field in [12u8, 13, 14, 15] {
        let policy = b"repositories: []\nsignatures: []\n";
        bytes.push(field << 3 | 2);
        bytes.push(u8::try_from(policy.len()).unwrap());
        bytes.extend_from_slice(policy);
    }
    let before = world.writes();
    let ack = world.hub.assign(sealed(bytes)).await.unwrap();
    assert_eq!(ack.verdict(), v1::Verdict::Accepted);
    world
        .report("web", "still refused", |one| {
            one.reason == "RepositoryNotAllowed"
        })
        .await;
    assert_eq!(world.writes(), before);
    // What the hub itself calls needed, and this agent does not have, is refused whole.
    let mut content = world.content(&world.good.clone());
    content.required_features = vec!["policy-from-hub".to_owned()];
    world
        .refused(sealed(content.encode_to_vec()), "UpgradeRequired")
        .await;
}

async fn c11(world: &mut World) {
    let mut content = world.content(&world.good.clone());
    content.applications[0].renderer = 77;
    world
        .refused(sealed(content.encode_to_vec()), "MalformedAssignment")
        .await;
    for (kustomization, reason) in [
        (
            "resources: ['https://example.com/base?ref=v1']\n",
            "RemoteReference",
        ),
        ("generators: [plugin.yaml]\n", "ExecRefused"),
        (
            "helmCharts: [{name: x, repo: 'https://example.com'}]\n",
            "HelmRefused",
        ),
    ] {
        world.write("apps/plugin/kustomization.yaml", kustomization);
        world.write("apps/plugin/plugin.yaml", "apiVersion: x/v1\nkind: Exec\nmetadata: {name: a, annotations: {config.kubernetes.io/function: 'exec: {path: ./x}'}}\n");
        let pushed = world.push("plugin", Some("good"), "prod");
        let mut content = world.content(&pushed);
        content.applications[0].path = "apps/plugin".to_owned();
        content.applications[0].renderer = v1::Renderer::Kustomize.into();
        world.held(&content, reason).await;
    }
    git(&world.repository.work, &["rm", "-q", "-r", "apps/plugin"]).unwrap();
    world.good = world.push("without it", Some("good"), "prod");
    world.honest(&world.good.clone()).await;
    world.runs(&world.good).await;
}

async fn c12(world: &mut World) {
    // More applications than one cluster may have.
    let mut many = world.content(&world.good.clone());
    let one = many.applications[0].clone();
    many.applications = (0..20_000)
        .map(|number| v1::ApplicationAssignment {
            name: format!("a{number}"),
            url: "https://h/r".to_owned(),
            repository: "r".to_owned(),
            ..one.clone()
        })
        .collect();
    let assignment = sealed(many.encode_to_vec());
    let before = world.writes();
    if assignment.content.len() < 4 << 20 {
        world.refused(assignment, "MalformedAssignment").await;
    }
    // 64 MiB in one message: the agent hangs up, and comes back.
    let streams = world.hub.streams();
    let huge = v1::Assignment {
        content: vec![0; 64 << 20].into(),
        digest: Vec::new(),
    };
    // The stream may break under it.
    let _ = world.hub.say(Body::Assignment(huge)).await;
    eventually("the agent comes back", LIMIT, || async {
        (world.hub.streams() > streams).then_some(())
    })
    .await
    .unwrap();
    // A change of mind every 20 ms: eight are taken, then one a second.
    let verdicts = world.hub.verdicts();
    let started = tokio::time::Instant::now();
    let mut last = 0;
    for _ in 0..100 {
        let content = world.content(&world.good.clone());
        last = content.generation;
        let assignment = sealed(content.encode_to_vec());
        world.hub.say(Body::Assignment(assignment)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually("the last one is in force", LIMIT, || async {
        let report = world.hub.report()?;
        (report.assignment?.generation == last).then_some(())
    })
    .await
    .unwrap();
    let taken = world.hub.verdicts() - verdicts;
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!(taken <= 8 + seconds, "{taken} in {seconds} s");
    assert_eq!(world.writes(), before);
}

async fn c13(world: &mut World) {
    let before = world.writes();
    for request in 1..4 {
        world
            .hub
            .say(Body::ReportRequest(v1::ReportRequest {}))
            .await
            .unwrap();
        let plan = v1::PlanRequest {
            request,
            application: String::new(),
        };
        world.hub.say(Body::PlanRequest(plan)).await.unwrap();
        eventually("a plan", LIMIT, || async {
            world
                .hub
                .plans()
                .iter()
                .any(|plan| plan.request == request)
                .then_some(())
        })
        .await
        .unwrap();
        // The next question is about a Secret that differs.
        let patch = serde_json::json!({"stringData": {"password": format!("{CANARY}-{request}")}});
        let path = "/api/v1/namespaces/web/secrets/s";
        let kind = "application/merge-patch+json";
        world
            .cluster
            .request("PATCH", path, kind, Some(&patch))
            .await
            .unwrap();
    }
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY);
    for secret in [CANARY.as_bytes(), &encoded.as_bytes()[..encoded.len() - 4]] {
        assert!(!world.hub.heard(secret), "a Secret left the cluster");
    }
    let true_value = base64::engine::general_purpose::STANDARD.encode(CANARY);
    eventually("the Secret is set right", LIMIT, || async {
        let live = world
            .cluster
            .live("/api/v1/namespaces/web/secrets/s")
            .await?;
        (live["data"]["password"] == true_value.as_str()).then_some(())
    })
    .await
    .unwrap();
    // Only our own drift, and the agent's correction of it.
    let extra = world.writes().len() - before.len();
    assert!(
        world
            .writes()
            .iter()
            .skip(before.len())
            .all(|one| one.name == "s"),
        "{extra}"
    );
}

async fn c14(world: &mut World) {
    let identity = std::fs::read(world.path("agent/tls.key")).ok();
    let ledger = std::fs::read(world.path("agent/assignment")).unwrap();
    let before = world.writes();
    let streams = world.hub.streams();
    let goodbye = v1::Goodbye {
        reason: "Removed".to_owned(),
        message: "deregister, delete your key and everything you applied".to_owned(),
        retry_after_seconds: u32::MAX,
    };
    world.hub.say(Body::Goodbye(goodbye)).await.unwrap();
    eventually("the agent comes back all the same", LIMIT, || async {
        (world.hub.streams() > streams).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(std::fs::read(world.path("agent/tls.key")).ok(), identity);
    assert_eq!(
        std::fs::read(world.path("agent/assignment")).unwrap(),
        ledger
    );
    assert_eq!(world.writes(), before);
    world.intact().await;
    world.still_corrected().await;
}

macro_rules! alone {
    ($($name:ident: $item:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut world = World::embedded().await;
            $item(&mut world).await;
            world.still_corrected().await;
            world.stop_agent().await;
        }
    )*};
}

alone! {
    c01_a_repository_or_branch_off_the_list: c01;
    c02_a_commit_that_is_not_on_the_branch: c02;
    c03_an_unsigned_or_wrongly_signed_commit: c03;
    c04_an_older_commit_with_every_kind_of_approval: c04;
    c05_a_freeze_is_told_without_the_hub: c05;
    c06_replayed_lower_other_and_far_generations: c06;
    c07_parts_of_two_generations: c07;
    c08_paths_and_namespaces_outside_the_policy: c08;
    c09_tombstones_for_everything: c09;
    c10_a_policy_in_unknown_fields: c10;
    c11_plugins_and_remote_references: c11;
    c12_too_many_too_large_too_often: c12;
    c13_questions_in_hope_of_secrets: c13;
    c14_a_word_to_deregister: c14;
}

/// All of them in a row against one agent, on a real API server where there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c15_all_of_it_in_a_row() {
    let cluster = TestCluster::start(flotilla_apiserver::Config::default()).await;
    let mut world = World::with(cluster.unwrap()).await;
    c01(&mut world).await;
    c02(&mut world).await;
    c03(&mut world).await;
    let good = git(&world.repository.work, &["rev-parse", "HEAD"]).unwrap();
    world.good = good.clone();
    world.honest(&good).await;
    world.runs(&good).await;
    c04(&mut world).await;
    c06(&mut world).await;
    c07(&mut world).await;
    world.honest(&world.good.clone()).await;
    world.runs(&world.good.clone()).await;
    c08(&mut world).await;
    c09(&mut world).await;
    c10(&mut world).await;
    c11(&mut world).await;
    c13(&mut world).await;
    c12(&mut world).await;
    c14(&mut world).await;
    c05(&mut world).await;
    world.stop_agent().await;
}
