//! From a repository to a verdict: which commits a policy lets run, and which steps back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use flotilla_agent::policy::Policy;
use flotilla_agent::source::{Source, Trust, Wanted};
use flotilla_git::Limits;
use flotilla_shared::approval::{RollbackApproval, SignedApproval};
use flotilla_shared::assignment::{ApplicationAssignment, Renderer, SyncPolicy};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{Commit, RepositoryUrl, Revision};
use jiff::{SignedDuration, Timestamp};

struct World {
    directory: tempfile::TempDir,
}

fn run(program: &str, directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .current_dir(directory)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = Self { directory };
        std::fs::create_dir(world.work()).unwrap();
        for key in ["good", "other", "operator"] {
            let path = world.path(key);
            let arguments = [
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                key,
                "-f",
                path.to_str().unwrap(),
            ];
            run("ssh-keygen", world.directory.path(), &arguments);
        }
        world.git(&["init", "-q", "-b", "prod", "."]);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn work(&self) -> PathBuf {
        self.path("work")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = [
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@e",
            "-c",
            "gpg.format=ssh",
        ];
        let all: Vec<&str> = identity.iter().chain(arguments).copied().collect();
        run("git", &self.work(), &all)
    }

    /// Commits a manifest, signed where a key is named.
    fn commit(&self, value: &str, key: Option<&str>) -> Commit {
        let manifest = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{value: '{value}'}}\n"
        );
        std::fs::write(self.work().join("a.yaml"), manifest).unwrap();
        self.git(&["add", "-A"]);
        let signing = key.map(|key| format!("user.signingkey={}", self.path(key).display()));
        let mut arguments = Vec::new();
        if let Some(signing) = &signing {
            arguments.extend(["-c", signing]);
        }
        arguments.extend(["commit", "-q", "--allow-empty", "-m", value]);
        if signing.is_some() {
            arguments.push("-S");
        }
        self.git(&arguments);
        self.head()
    }

    fn head(&self) -> Commit {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn url(&self) -> RepositoryUrl {
        format!("file://{}", self.work().display()).parse().unwrap()
    }

    fn key(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    /// A policy with all keys pinned; `rules` says what they are for.
    fn policy(&self, rules: &str) -> Policy {
        let mut text = "keys:\n".to_owned();
        for name in ["good", "other", "operator"] {
            text += &format!("- {{name: {name}, ssh: '{}'}}\n", self.key(name).trim());
        }
        text += rules;
        let policy: Policy = flotilla_yaml::config::from_str("policy", &text).unwrap();
        policy.check().unwrap();
        policy
    }

    /// An agent that starts with what one before it left in `data`.
    fn agent(&self, data: &str, policy: Policy) -> Agent<'_> {
        let data = self.path(data);
        let trust = Trust::open(&data, Arc::new(policy), None).unwrap();
        Agent {
            world: self,
            source: Source::new(data.join("git"), Limits::default(), None, Arc::new(trust)),
        }
    }

    fn approval(&self, from: &Commit, to: &Commit) -> RollbackApproval {
        RollbackApproval {
            repository: self.url(),
            to: to.clone(),
            from: BTreeMap::from([("c1".parse().unwrap(), from.clone())]),
            expires_at: Timestamp::now() + SignedDuration::from_hours(1),
            nonce: format!("{:032x}", rand::random::<u128>()),
        }
    }

    /// Signs with `ssh-keygen`, as the CLI does.
    fn sign(&self, approval: &RollbackApproval, key: &str, namespace: &str) -> SignedApproval {
        let text = approval.to_text();
        std::fs::write(self.path("approval"), &text).unwrap();
        let _ = std::fs::remove_file(self.path("approval.sig"));
        let arguments = ["-q", "-Y", "sign", "-f", key, "-n", namespace, "approval"];
        run("ssh-keygen", self.directory.path(), &arguments);
        SignedApproval {
            content: text.into(),
            signature: std::fs::read(self.path("approval.sig")).unwrap().into(),
        }
    }
}

struct Agent<'a> {
    world: &'a World,
    source: Source,
}

impl Agent<'_> {
    fn wanted(&self, name: &str, commit: &Commit, approvals: &[SignedApproval]) -> Wanted {
        Wanted {
            name: name.parse().unwrap(),
            cluster: "c1".parse().unwrap(),
            application: ApplicationAssignment {
                revision: Revision {
                    repository: "fleet".parse().unwrap(),
                    branch: "prod".parse().unwrap(),
                    commit: commit.clone(),
                },
                url: self.world.url(),
                path: "".parse().unwrap(),
                renderer: Renderer::Plain,
                sync_policy: SyncPolicy::default(),
                depends_on: Vec::new(),
                substitute: false,
                rollout: String::new(),
                namespace: String::new(),
            },
            approvals: approvals.to_vec(),
            facts: None,
        }
    }

    async fn app(
        &self,
        name: &str,
        commit: &Commit,
        approvals: &[SignedApproval],
    ) -> Result<Vec<Reason>, Reason> {
        let rendered = self
            .source
            .render(&self.wanted(name, commit, approvals))
            .await;
        match rendered {
            Ok(rendered) => Ok(rendered.notes.iter().map(|(reason, _)| *reason).collect()),
            Err(refusal) => {
                eprintln!("{}: {}", refusal.reason, refusal.message);
                Err(refusal.reason)
            }
        }
    }

    async fn takes(&self, commit: &Commit) -> Result<Vec<Reason>, Reason> {
        self.app("web", commit, &[]).await
    }
}

const RANGE: &str = "signatures: [{branches: [prod], mode: range, keys: [good]}]\n";

#[tokio::test]
async fn g14_every_first_parent_of_a_range_has_to_be_signed() {
    let world = World::new();
    world.commit("0", None);
    let first = world.commit("1", Some("good"));
    let agent = world.agent("agent", world.policy(RANGE));
    // The first time only the target counts.
    assert_eq!(agent.takes(&first).await, Ok(vec![]));
    world.commit("2", Some("good"));
    let third = world.commit("3", Some("good"));
    assert_eq!(agent.takes(&third).await, Ok(vec![]));

    // A hole in the range, by nobody or by another key.
    for (key, reason) in [
        (None, Reason::SignatureMissing),
        (Some("other"), Reason::SignatureKeyUnknown),
    ] {
        world.git(&["reset", "-q", "--hard", third.as_str()]);
        let hole = world.commit("hole", key);
        assert_eq!(agent.takes(&hole).await, Err(reason));
        let after = world.commit("after", Some("good"));
        assert_eq!(agent.takes(&after).await, Err(reason));
        // Mode `tip` is content with it.
        let tip = world.policy("signatures: [{mode: tip, keys: [good]}]\n");
        let tip = world.agent(&format!("tip-{}", key.is_some()), tip);
        assert_eq!(tip.takes(&after).await, Ok(vec![]));
        assert_eq!(tip.takes(&hole).await, Err(reason));
    }
    // What was accepted goes on, also after a restart.
    assert_eq!(agent.takes(&third).await, Ok(vec![]));
    let again = world.agent("agent", world.policy(RANGE));
    assert_eq!(again.takes(&third).await, Ok(vec![]));
}

#[tokio::test]
async fn g14_a_signed_merge_vouches_for_its_side_branch() {
    let world = World::new();
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

    // An unsigned merge does not.
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
    let world = World::new();
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
    let world = World::new();
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
    let world = World::new();
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
    let world = World::new();
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

const APPROVE: &str = "rollback: {mode: approve, keys: [operator]}\n";

#[tokio::test]
async fn c04_going_back_needs_an_approval_that_holds() {
    let world = World::new();
    let (one, two) = (world.commit("1", None), world.commit("2", None));
    let agent = world.agent("agent", world.policy(APPROVE));
    assert_eq!(agent.takes(&one).await, Ok(vec![]));
    assert_eq!(agent.takes(&two).await, Ok(vec![]));
    assert_eq!(agent.takes(&one).await, Err(Reason::NotADescendant));

    let good = world.approval(&two, &one);
    let sign = |approval: &RollbackApproval| world.sign(approval, "operator", "flotilla-rollback");
    let changed = |change: fn(&mut RollbackApproval)| {
        let mut approval = good.clone();
        change(&mut approval);
        approval
    };
    let mut forged = sign(&good);
    forged.content = changed(|a| a.nonce = "0".repeat(32)).to_text().into();
    let refused = [
        ("forged", forged),
        ("other key", world.sign(&good, "good", "flotilla-rollback")),
        ("other namespace", world.sign(&good, "operator", "git")),
        (
            "expired",
            sign(&changed(|a| a.expires_at = Timestamp::now())),
        ),
        (
            "other cluster",
            sign(&changed(|a| {
                let from = a.from.values().next().unwrap().clone();
                a.from = BTreeMap::from([("c2".parse().unwrap(), from)]);
            })),
        ),
        (
            "other start",
            sign(&changed(|a| {
                a.from
                    .values_mut()
                    .for_each(|from| *from = "a".repeat(40).parse().unwrap());
            })),
        ),
        (
            "other target",
            sign(&changed(|a| a.to = "a".repeat(40).parse().unwrap())),
        ),
        (
            "other repository",
            sign(&changed(|a| a.repository = "https://h/r".parse().unwrap())),
        ),
    ];
    for (what, approval) in refused {
        let verdict = agent.app("web", &one, &[approval]).await;
        assert_eq!(verdict, Err(Reason::ApprovalRefused), "{what}");
    }
    let approval = [sign(&good)];
    assert_eq!(
        agent.app("web", &one, &approval).await,
        Ok(vec![Reason::WentBack])
    );
    // It stays there, with and without it, and also after a restart.
    assert_eq!(agent.app("web", &one, &approval).await, Ok(vec![]));
    let agent = world.agent("agent", world.policy(APPROVE));
    assert_eq!(agent.takes(&one).await, Ok(vec![]));

    // Forward again, and the same approval is worth nothing any more.
    assert_eq!(agent.takes(&two).await, Ok(vec![]));
    assert_eq!(
        agent.app("web", &one, &approval).await,
        Err(Reason::ApprovalRefused)
    );
    // Nor under another name, which has nothing of its own to go back from.
    assert_eq!(
        agent.app("new", &one, &approval).await,
        Err(Reason::ApprovalRefused)
    );
    assert_eq!(
        agent.app("new", &one, &[]).await,
        Err(Reason::NotADescendant)
    );
}

#[tokio::test]
async fn c04_one_approval_is_for_all_applications_of_the_repository() {
    let world = World::new();
    let (one, two) = (world.commit("1", None), world.commit("2", None));
    let agent = world.agent("agent", world.policy(APPROVE));
    for commit in [&one, &two] {
        for name in ["web", "db"] {
            assert_eq!(agent.app(name, commit, &[]).await, Ok(vec![]));
        }
    }
    let approval = world.approval(&two, &one);
    let approval = [world.sign(&approval, "operator", "flotilla-rollback")];
    for name in ["web", "db"] {
        let verdict = agent.app(name, &one, &approval).await;
        assert_eq!(verdict, Ok(vec![Reason::WentBack]), "{name}");
    }
    for name in ["web", "db"] {
        assert_eq!(agent.app(name, &two, &approval).await, Ok(vec![]));
        let verdict = agent.app(name, &one, &approval).await;
        assert_eq!(verdict, Err(Reason::ApprovalRefused), "{name}");
    }
}

#[tokio::test]
async fn g01_a_rewritten_branch_is_only_followed_where_the_policy_allows_it() {
    let world = World::new();
    let (one, two) = (world.commit("1", None), world.commit("2", None));
    let refuse = world.agent("refuse", world.policy("rollback: {mode: refuse}\n"));
    let allow = world.agent("allow", world.policy(""));
    for agent in [&refuse, &allow] {
        assert_eq!(agent.takes(&two).await, Ok(vec![]));
    }
    assert_eq!(refuse.takes(&one).await, Err(Reason::NotADescendant));
    assert_eq!(allow.takes(&one).await, Ok(vec![Reason::WentBack]));
    assert_eq!(allow.takes(&two).await, Ok(vec![]));
    world.git(&["reset", "-q", "--hard", one.as_str()]);
    let rewritten = world.commit("rewritten", None);
    assert_eq!(refuse.takes(&rewritten).await, Err(Reason::NotADescendant));
    assert_eq!(refuse.takes(&two).await, Ok(vec![]));
    assert!(allow.takes(&rewritten).await.is_ok());
}

#[tokio::test]
async fn n04_what_was_accepted_outlives_a_lost_disk_by_its_copy() {
    let world = World::new();
    let (one, two) = (world.commit("1", None), world.commit("2", None));
    let policy = || Arc::new(world.policy(APPROVE));
    let data = world.path("agent");
    let trust = Arc::new(Trust::open(&data, policy(), None).unwrap());
    let source = Source::new(
        data.join("git"),
        Limits::default(),
        None,
        Arc::clone(&trust),
    );
    let agent = Agent {
        world: &world,
        source,
    };
    assert_eq!(agent.takes(&two).await, Ok(vec![]));
    let copy = trust.encoded();
    let elsewhere = world.path("elsewhere");
    let trust = Trust::open(&elsewhere, policy(), Some(&copy)).unwrap();
    let source = Source::new(
        elsewhere.join("git"),
        Limits::default(),
        None,
        Arc::new(trust),
    );
    let agent = Agent {
        world: &world,
        source,
    };
    assert_eq!(agent.takes(&one).await, Err(Reason::NotADescendant));
    // A damaged one is no empty one.
    std::fs::write(data.join("accepted.json"), "{").unwrap();
    assert!(Trust::open(&data, policy(), None).is_err());
    assert!(Trust::open(&data, policy(), Some(&copy)).is_ok());
}

#[tokio::test]
async fn g15_a_repository_of_sha256_is_named() {
    let world = World::new();
    std::fs::remove_dir_all(world.work()).unwrap();
    std::fs::create_dir(world.work()).unwrap();
    world.git(&["init", "-q", "-b", "prod", "--object-format=sha256", "."]);
    let commit = world.commit("1", None);
    let agent = world.agent("agent", world.policy(""));
    assert_eq!(
        agent.takes(&commit).await,
        Err(Reason::ObjectFormatUnsupported)
    );
    // A hub that names an id of the other length all the same learns the same.
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
    let world = World::new();
    let base = world.commit("0", Some("good"));
    let signed = world.agent("agent", world.policy(RANGE));
    let unsigned = world.agent("unsigned", world.policy("rollback: {mode: refuse}\n"));
    for agent in [&signed, &unsigned] {
        assert_eq!(agent.takes(&base).await, Ok(vec![]));
    }
    let head = long_history(&world, &base, 1000);
    let mut times = Vec::new();
    // Both fetch the whole range; only one judges signatures.
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
