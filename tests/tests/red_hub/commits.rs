//! Commits that the policy refuses: from elsewhere, unsigned, older.

use crate::*;

pub(crate) async fn c01(world: &mut World) {
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
    // The decoder rejects what could never be a URL.
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

pub(crate) async fn c02(world: &mut World) {
    // In the repository and signed by the right key, but not on the branch, like the commit of a fork on a forge.
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

pub(crate) async fn c03(world: &mut World) {
    for (key, reason) in [
        (None, "SignatureMissing"),
        (Some("thief"), "SignatureKeyUnknown"),
    ] {
        world.write("apps/web/config.yaml", &config_map("config", "evil"));
        let evil = world.push("evil", key, "prod");
        let content = world.content(&evil);
        world.held(&content, reason).await;
        // A signed commit on top of it does not make it acceptable.
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
    let approval = RollbackApproval {
        repository: world.git.url("fleet.git").parse().unwrap(),
        to: to.parse().unwrap(),
        from: [("c1".parse().unwrap(), from.parse().unwrap())].into(),
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
        nonce: format!("{:032x}", rand::random::<u128>()),
    };
    sign(world, &approval, key)
}

fn sign(world: &World, approval: &RollbackApproval, key: &str) -> v1::SignedApproval {
    let text = approval.to_text();
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

pub(crate) async fn c04(world: &mut World) {
    // Both commits have the same content, so that no writes are needed for either.
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
    let approval = RollbackApproval::parse(&good.content).unwrap();
    let mut expired = approval.clone();
    expired.expires_at = Timestamp::now() - SignedDuration::from_secs(1);
    let mut foreign = approval.clone();
    foreign.from = [("c2".parse().unwrap(), new.parse().unwrap())].into();
    for other in [expired, foreign] {
        let signed = sign(world, &other, "operator");
        let content = with(world, signed);
        world.held(&content, "ApprovalRefused").await;
    }
    // The valid approval works, is reported, and works only once.
    let content = with(world, good.clone());
    world.assign(&content).await;
    world.runs(&old).await;
    world.told("WentBack").await;
    world.honest(&new).await;
    world.runs(&new).await;
    let content = with(world, good);
    world.held(&content, "ApprovalRefused").await;
}
