//! Which commits of a range have to be signed, and by whom.

use crate::*;

const RANGE: &str = "signatures: [{branches: [prod], mode: range, keys: [good]}]\n";

#[tokio::test]
async fn g14_every_first_parent_of_a_range_has_to_be_signed() {
    let Some(world) = World::new() else { return };
    world.commit("0", None);
    let first = world.commit("1", Some("good"));
    let agent = world.agent("agent", world.policy(RANGE));
    // The first time only the target commit is checked.
    assert_eq!(agent.takes(&first).await, Ok(vec![]));
    world.commit("2", Some("good"));
    let third = world.commit("3", Some("good"));
    assert_eq!(agent.takes(&third).await, Ok(vec![]));

    // A commit in the range that is unsigned, or signed by another key.
    for (key, reason) in [
        (None, Reason::SignatureMissing),
        (Some("other"), Reason::SignatureKeyUnknown),
    ] {
        world.git(&["reset", "-q", "--hard", third.as_str()]);
        let hole = world.commit("hole", key);
        assert_eq!(agent.takes(&hole).await, Err(reason));
        let after = world.commit("after", Some("good"));
        assert_eq!(agent.takes(&after).await, Err(reason));
        // Mode `tip` accepts it.
        let tip = world.policy("signatures: [{mode: tip, keys: [good]}]\n");
        let tip = world.agent(&format!("tip-{}", key.is_some()), tip);
        assert_eq!(tip.takes(&after).await, Ok(vec![]));
        assert_eq!(tip.takes(&hole).await, Err(reason));
    }
    // An accepted commit stays accepted, also after a restart.
    assert_eq!(agent.takes(&third).await, Ok(vec![]));
    let again = world.agent("agent", world.policy(RANGE));
    assert_eq!(again.takes(&third).await, Ok(vec![]));
}

#[tokio::test]
async fn g14_a_signed_merge_vouches_for_its_side_branch() {
    let Some(world) = World::new() else { return };
    let base = world.commit("0", Some("good"));
    let agent = world.agent("agent", world.policy(RANGE));
    assert_eq!(agent.takes(&base).await, Ok(vec![]));
    world.git(&["checkout", "-q", "-b", "side"]);
    std::fs::write(world.work().join("b.yaml"), "").unwrap();
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "unsigned"]);
    world.git(&["checkout", "-q", "prod"]);
    world.commit("1", Some("good"));
    let key = format!("user.signingkey={}", world.path("good").display());
    world.git(&[
        "-c", &key, "merge", "-q", "-S", "--no-ff", "-m", "merge", "side",
    ]);
    assert_eq!(agent.takes(&world.head()).await, Ok(vec![]));

    // An unsigned merge is refused.
    world.git(&["checkout", "-q", "side"]);
    world.git(&["commit", "-q", "--allow-empty", "-m", "unsigned"]);
    world.git(&["checkout", "-q", "prod"]);
    world.git(&[
        "merge",
        "-q",
        "--no-gpg-sign",
        "--no-ff",
        "-m",
        "merge",
        "side",
    ]);
    assert_eq!(
        agent.takes(&world.head()).await,
        Err(Reason::SignatureMissing)
    );
}

#[tokio::test]
async fn g14_a_base_that_came_in_as_second_parent_still_ends_the_range() {
    let Some(world) = World::new() else { return };
    let root = world.commit("0", Some("good"));
    world.git(&["checkout", "-q", "-b", "side"]);
    let base = world.commit("side", Some("good"));
    world.git(&["branch", "-f", "prod", base.as_str()]);
    let agent = world.agent("agent", world.policy(RANGE));
    assert_eq!(agent.takes(&base).await, Ok(vec![]));
    world.git(&["checkout", "-q", "-B", "prod", root.as_str()]);
    let key = format!("user.signingkey={}", world.path("good").display());
    world.git(&[
        "-c", &key, "merge", "-q", "-S", "--no-ff", "-m", "merge", "side",
    ]);
    assert_eq!(agent.takes(&world.head()).await, Ok(vec![]));
}

#[tokio::test]
async fn g14_the_signed_history_begins_where_the_policy_says() {
    let Some(world) = World::new() else { return };
    let since = world.commit("0", None);
    let first = world.commit("1", Some("good"));
    world.commit("2", None);
    let last = world.commit("3", Some("good"));
    let rule = format!("signatures: [{{mode: range, keys: [good], since: '{since}'}}]\n");
    let agent = world.agent("agent", world.policy(&rule));
    assert_eq!(agent.takes(&last).await, Err(Reason::SignatureMissing));
    assert_eq!(agent.takes(&first).await, Ok(vec![]));
    let elsewhere = format!(
        "signatures: [{{mode: range, keys: [good], since: '{}'}}]\n",
        "a".repeat(40)
    );
    let agent = world.agent("elsewhere", world.policy(&elsewhere));
    assert_eq!(agent.takes(&first).await, Err(Reason::NotADescendant));
}

#[tokio::test]
async fn g14_a_branch_without_a_rule_is_refused_where_there_are_rules() {
    let Some(world) = World::new() else { return };
    let commit = world.commit("0", Some("good"));
    let rules = "signatures: [{branches: [other], mode: tip, keys: [good]}]\n";
    let agent = world.agent("agent", world.policy(rules));
    assert_eq!(
        agent.takes(&commit).await,
        Err(Reason::SignatureRuleMissing)
    );
}

#[tokio::test]
async fn g14_a_key_that_ends_keeps_what_was_seen_and_a_revoked_one_does_not() {
    let Some(world) = World::new() else { return };
    let first = world.commit("0", Some("good"));
    assert_eq!(
        world
            .agent("agent", world.policy(RANGE))
            .takes(&first)
            .await,
        Ok(vec![])
    );
    let second = world.commit("1", Some("good"));
    let with = |extra: &str| {
        let mut policy = world.policy(RANGE);
        let key = policy
            .keys
            .iter_mut()
            .find(|key| key.name == "good")
            .unwrap();
        match extra {
            "revoked" => key.revoked = true,
            _ => key.valid_until = Some(Timestamp::now()),
        }
        policy
    };
    let ended = world.agent("agent", with("ended"));
    assert_eq!(ended.takes(&first).await, Ok(vec![]));
    assert_eq!(ended.takes(&second).await, Err(Reason::SignatureKeyExpired));
    let revoked = world.agent("agent", with("revoked"));
    assert_eq!(
        revoked.takes(&first).await,
        Err(Reason::SignatureKeyRevoked)
    );
    assert_eq!(
        revoked.takes(&second).await,
        Err(Reason::SignatureKeyRevoked)
    );
}

#[tokio::test]
async fn g15_a_repository_of_sha256_is_named() {
    let Some(world) = World::new() else { return };
    std::fs::remove_dir_all(world.work()).unwrap();
    std::fs::create_dir(world.work()).unwrap();
    world.git(&["init", "-q", "-b", "prod", "--object-format=sha256", "."]);
    let commit = world.commit("1", None);
    let agent = world.agent("agent", world.policy(""));
    assert_eq!(
        agent.takes(&commit).await,
        Err(Reason::ObjectFormatUnsupported)
    );
    // A hub that names an id of the other length gets the same refusal.
    let short: Commit = commit.as_str()[..40].parse().unwrap();
    assert_eq!(
        agent.takes(&short).await,
        Err(Reason::ObjectFormatUnsupported)
    );
}

/// A thousand commits that `good` signed, written straight into the repository.
fn long_history(world: &World, base: &Commit, count: usize) -> Commit {
    use gix::prelude::Write as _;
    use ssh_key::{HashAlg, LineEnding, PrivateKey, Signature, SshSig};
    let private = PrivateKey::read_openssh_file(&world.path("good")).unwrap();
    let seed = private.key_data().ed25519().unwrap().private.to_bytes();
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let repository = gix::open(world.work()).unwrap();
    let tree = world.git(&["rev-parse", "HEAD^{tree}"]);
    let mut parent = base.to_string();
    for number in 0..count {
        let head = format!(
            "tree {tree}\nparent {parent}\nauthor A <a@e> {number} +0000\ncommitter A <a@e> {number} +0000"
        );
        let payload = format!("{head}\n\nsubject\n\nbody\n");
        let signed = SshSig::signed_data("git", HashAlg::Sha512, payload.as_bytes()).unwrap();
        let bytes = pair.sign(&signed).as_ref().to_vec();
        let signature = Signature::new(ssh_key::Algorithm::Ed25519, bytes).unwrap();
        let data = private.public_key().key_data().clone();
        let signature = SshSig::new(data, "git", HashAlg::Sha512, signature).unwrap();
        let armoured = signature.to_pem(LineEnding::LF).unwrap();
        let header = armoured.trim_end().replace('\n', "\n ");
        let raw = format!("{head}\ngpgsig {header}\n\nsubject\n\nbody\n");
        let id = repository
            .write_buf(gix::objs::Kind::Commit, raw.as_bytes())
            .unwrap();
        parent = id.to_string();
    }
    world.git(&["update-ref", "refs/heads/prod", &parent]);
    world.git(&["repack", "-q", "-a", "-d"]);
    parent.parse().unwrap()
}

/// The aim for the check alone is 100 ms in a release build (`cargo bench -p flotilla-trust` has the
/// signatures by themselves): `cargo test --release -p flotilla-agent --test signed_commits -- --nocapture`.
#[tokio::test]
async fn g14_a_range_of_a_thousand_commits_is_quick() {
    let Some(world) = World::new() else { return };
    let base = world.commit("0", Some("good"));
    let signed = world.agent("agent", world.policy(RANGE));
    let unsigned = world.agent("unsigned", world.policy("rollback: {mode: refuse}\n"));
    for agent in [&signed, &unsigned] {
        assert_eq!(agent.takes(&base).await, Ok(vec![]));
    }
    let head = long_history(&world, &base, 1000);
    let mut times = Vec::new();
    // Both fetch the whole range; only one verifies signatures.
    for agent in [&unsigned, &signed] {
        let started = std::time::Instant::now();
        assert_eq!(agent.takes(&head).await, Ok(vec![]));
        times.push(started.elapsed());
    }
    let [without, with] = times.as_slice() else {
        unreachable!()
    };
    eprintln!("1,000 commits: {without:?} without signatures, {with:?} with");
    assert!(*with < std::time::Duration::from_secs(20));
}
