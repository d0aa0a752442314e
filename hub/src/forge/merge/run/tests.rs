//! The hub takes pull requests of a forge that behaves well, and of one that does not.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::super::fake::Fake;
use super::super::tests::{commit, heads, names, proven};
use super::*;
use crate::driver;
use crate::fleet::Action;
use crate::metrics::Metrics;
use crate::store::{AuditRow, Store};

struct World {
    forge: Fake,
    taking: MergeSetup,
    memory: Memory,
    store: Store,
    _directory: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

fn pull(digit: &str) -> Value {
    let end = |branch: &str| json!({"ref": branch, "sha": digit.repeat(40), "repo": {"full_name": "acme/fleet"}});
    json!({"number": 7, "html_url": "https://x/7", "title": "t", "state": "open", "mergeable": true,
        "body": "<!-- flotilla:promote:prod -->\ntext", "head": end("flotilla/promote-prod"),
        "base": end("prod"), "user": {"login": "bot"}})
}

fn review(by: &str, digit: &str) -> Value {
    json!({"user": {"login": by}, "state": "APPROVED", "commit_id": digit.repeat(40)})
}

const REPO: &str = "/repos/acme/fleet";

impl World {
    async fn new() -> Self {
        let world = Self::of(proven()).await;
        world.good();
        world
    }

    async fn of(fleet: crate::fleet::Fleet) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let stop = CancellationToken::new();
        let (handle, _driver) = driver::spawn(
            fleet,
            store.clone(),
            Metrics::new(),
            driver::Health::default(),
            stop.clone(),
        );
        let forge = Fake::new().await;
        let taking = MergeSetup {
            handle,
            forges: forge.forges(directory.path()),
            sender: Arc::new(Sender::new(Metrics::new()).unwrap()),
            refresh: Arc::new(Notify::new()),
        };
        Self {
            forge,
            taking,
            memory: Memory::default(),
            store,
            _directory: directory,
            _stop: stop.drop_guard(),
        }
    }

    /// An approved pull request with a green check.
    fn good(&self) {
        let (forge, b) = (&self.forge, "b".repeat(40));
        forge.set(&format!("GET {REPO}/pulls?"), 200, &json!([pull("b")]));
        forge.set(&format!("GET {REPO}/pulls/7"), 200, &pull("b"));
        let reviews = json!([review("ann", "b")]);
        forge.set(&format!("GET {REPO}/pulls/7/reviews"), 200, &reviews);
        let rules = json!([{"type": "required_status_checks", "parameters":
            {"required_status_checks": [{"context": "build"}]}}]);
        forge.set(&format!("GET {REPO}/rules/branches/prod"), 200, &rules);
        forge.set(&format!("GET {REPO}/branches/prod"), 200, &json!({}));
        let green =
            json!({"total_count": 1, "statuses": [{"context": "build", "state": "success"}]});
        forge.set(&format!("GET {REPO}/commits/{b}/status"), 200, &green);
        let none = json!({"total_count": 0, "check_runs": []});
        forge.set(&format!("GET {REPO}/commits/{b}/check-runs"), 200, &none);
        forge.set(
            &format!("PATCH {REPO}/git/refs/heads/prod"),
            200,
            &json!({}),
        );
        forge.set(&format!("PATCH {REPO}/pulls/7"), 200, &pull("b"));
    }

    /// One round: the commits that the branch was moved to.
    async fn round(&mut self) -> Vec<Value> {
        self.taking
            .round(&Round::All, &mut self.memory)
            .await
            .unwrap();
        let asked = self.forge.asked().into_iter();
        let moves = asked.filter(|(line, _)| line.starts_with(&format!("PATCH {REPO}/git/")));
        moves.map(|(_, body)| body).collect()
    }

    /// As above, whatever the round waits for.
    async fn at_once(&mut self) -> Vec<Value> {
        self.memory.waits = Waits::default();
        self.round().await
    }

    async fn waits(&self) -> Option<PendingMerge> {
        let (environment, _) = names();
        let waits = self.taking.handle.query(move |fleet| {
            let mut all = fleet.mergings(&environment);
            all.next().map(|(_, merging, _)| merging.clone())
        });
        waits.await.unwrap()
    }

    async fn log(&self, action: AuditAction) -> Vec<AuditRow> {
        let all = self.store.audit_after(0, "", 1000).await.unwrap();
        let own = all.into_iter().filter(|row| row.entry.action == action);
        own.collect()
    }
}

fn to_b() -> Vec<Value> {
    vec![json!({"sha": "b".repeat(40), "force": false})]
}

#[tokio::test]
async fn what_is_ready_is_taken_once_and_the_log_says_who_approved_it() {
    let mut world = World::new().await;
    assert_eq!(world.round().await, to_b());
    let log = world.log(AuditAction::Promote).await;
    assert_eq!(log.len(), 1);
    let entry = &log[0].entry;
    assert_eq!(
        (entry.actor.as_str(), entry.environment.as_str()),
        ("hub", "prod")
    );
    assert_eq!(entry.commit, "b".repeat(40));
    assert_eq!(
        entry.reason,
        "pull request 7 (https://x/7), approved by ann"
    );
    assert_eq!(world.waits().await, None);
    // No call until the branch is read; afterwards there is nothing to merge.
    assert_eq!(world.at_once().await, Vec::<Value>::new());
    world.taking.handle.event(heads("b", "b")).await.unwrap();
    assert_eq!(world.at_once().await, Vec::<Value>::new());
    assert!(world.memory.moved.is_empty());

    // A restarted hub makes no call before the branch is read; afterwards there is nothing to merge.
    world.memory = Memory::default();
    assert_eq!(world.round().await, Vec::<Value>::new());
    assert_eq!(world.log(AuditAction::Promote).await.len(), 1);
}

#[tokio::test]
async fn what_is_missing_is_said_and_taken_as_soon_as_it_is_there() {
    let mut world = World::new().await;
    let reviews = format!("GET {REPO}/pulls/7/reviews");
    world.forge.set(&reviews, 200, &json!([]));
    assert_eq!(world.round().await, Vec::<Value>::new());
    let waits = world.waits().await.unwrap();
    assert_eq!((waits.word, waits.refused), ("approvals", false));
    assert_eq!(waits.commit, Some(commit("b")));
    assert_eq!(waits.pull, Some((7, "https://x/7".to_owned())));
    // An approval of the author does not count, nor does one of an earlier commit.
    let none = json!([review("bot", "b"), review("ann", "a")]);
    world.forge.set(&reviews, 200, &none);
    assert_eq!(world.round().await, Vec::<Value>::new());
    world.good();
    // A gate that closes meanwhile is checked in the same step as the announcement.
    let pause = Action::Pause(names().0);
    let paused = world.taking.handle.act(pause, "eve", "lunch").await;
    paused.unwrap().unwrap();
    assert_eq!(world.round().await, Vec::<Value>::new());
    assert!(world.waits().await.unwrap().text.contains("lunch"));
    let resume = Action::Resume(names().0);
    let resumed = world.taking.handle.act(resume, "eve", "").await;
    resumed.unwrap().unwrap();
    assert_eq!(world.round().await, to_b());
}

#[tokio::test]
async fn a_closed_gate_costs_the_forge_one_call() {
    let mut world = World::new().await;
    let other = json!([pull("c")]);
    world.forge.set(&format!("GET {REPO}/pulls?"), 200, &other);
    world
        .taking
        .round(&Round::All, &mut world.memory)
        .await
        .unwrap();
    // Two of the calls write it into the text.
    let asked = world.forge.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(world.waits().await.unwrap().word, "gate");
    let mut other = pull("c");
    other["body"] = asked[2].1["body"].clone();
    world
        .forge
        .set(&format!("GET {REPO}/pulls?"), 200, &json!([other]));
    world
        .taking
        .round(&Round::All, &mut world.memory)
        .await
        .unwrap();
    assert_eq!(world.forge.asked().len(), 1);
    world
        .forge
        .set(&format!("GET {REPO}/pulls?"), 200, &json!([]));
    world
        .taking
        .round(&Round::All, &mut world.memory)
        .await
        .unwrap();
    let waits = world.waits().await.unwrap();
    assert_eq!((waits.word, waits.commit), ("noPull", None));
    // Without a promotion nothing is reported.
    world.taking.handle.event(heads("a", "a")).await.unwrap();
    world
        .taking
        .round(&Round::All, &mut world.memory)
        .await
        .unwrap();
    assert_eq!(world.waits().await, None);
}

#[tokio::test]
async fn a_forge_that_refuses_is_believed_told_of_once_and_asked_again() {
    for (status, body, word) in [
        (403, r#"{"message":"protected"}"#, "forbidden"),
        (404, r#"{"message":"Not Found"}"#, "notFound"),
        (409, r#"{"message":"moved"}"#, "conflict"),
        (
            422,
            r#"{"message":"Update is not a fast forward"}"#,
            "conflict",
        ),
        (422, r#"{"message":"Reference does not exist"}"#, "refused"),
    ] {
        let mut world = World::new().await;
        let patch = format!("PATCH {REPO}/git/refs/heads/prod");
        world.forge.put(&patch, status, "", body);
        assert_eq!(world.round().await, to_b());
        let waits = world.waits().await.unwrap();
        assert_eq!((waits.word, waits.refused), (word, true), "{waits:?}");
        assert_eq!(world.round().await, Vec::<Value>::new(), "it waits first");
        assert_eq!(world.at_once().await, to_b());
        assert_eq!(world.log(AuditAction::Promote).await.len(), 1);
        let refused = world.log(AuditAction::PromotionRefused).await;
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].entry.detail.contains("pull request 7"));
        // The branch was moved to the same commit by other means: there is nothing left to merge.
        world.taking.handle.event(heads("b", "b")).await.unwrap();
        assert_eq!(world.at_once().await, Vec::<Value>::new());
        assert_eq!(world.waits().await, None);
    }
}

#[tokio::test]
async fn a_forge_that_is_unwell_moves_nothing_and_is_left_alone_for_a_while() {
    let limited = "x-ratelimit-remaining: 0\r\nretry-after: 120\r\n";
    let calls = [
        "pulls?",
        "pulls/7",
        "pulls/7/reviews",
        "rules/branches/prod",
        "commits/",
    ];
    let mut world = World::new().await;
    for call in calls {
        for (status, headers, body, word) in [
            (401, "", "{}", "unauthorized"),
            (403, limited, "{}", "rateLimited"),
            (429, "", "{}", "rateLimited"),
            (500, "", "<html>oops</html>", "server"),
            (200, "", "<html>login</html>", "notJson"),
            (200, "", "\"text\"", "unreadable"),
            (302, "location: http://evil.example\r\n", "", "redirected"),
        ] {
            world.good();
            world.memory = Memory::default();
            world.taking.sender = Arc::new(Sender::new(Metrics::new()).unwrap());
            // The longest prefix wins.
            let beginning = match call {
                "commits/" => format!("GET {REPO}/commits/{}/status", "b".repeat(40)),
                call => format!("GET {REPO}/{call}"),
            };
            world.forge.put(&beginning, status, headers, body);
            assert_eq!(world.round().await, Vec::<Value>::new(), "{call} {status}");
            let waits = world.waits().await.unwrap();
            assert_eq!(waits.word, word, "{call} {status}: {waits:?}");
            assert!(!waits.text.contains("s3cret"));
            world
                .taking
                .round(&Round::All, &mut world.memory)
                .await
                .unwrap();
            assert_eq!(world.forge.asked(), Vec::new(), "{call} {status}: too soon");
        }
    }
}

#[tokio::test]
async fn who_has_nothing_to_speak_with_says_so() {
    let mut world = World::new().await;
    world.taking.forges = Forges::default();
    assert_eq!(world.round().await, Vec::<Value>::new());
    let waits = world.waits().await.unwrap();
    assert_eq!(waits.word, "noForge");
    assert!(waits.text.contains("--forge-file"), "{}", waits.text);
}

#[tokio::test]
async fn a_crash_after_the_move_and_before_it_was_read_moves_it_to_the_same_place() {
    let mut world = World::new().await;
    assert_eq!(world.round().await, to_b());
    world.memory = Memory::default();
    // The forge may have closed the pull request by now.
    world
        .forge
        .set(&format!("GET {REPO}/pulls?"), 200, &json!([]));
    assert_eq!(world.round().await, Vec::<Value>::new());
    assert_eq!(world.waits().await.unwrap().word, "noPull");
    // Or it has not closed it yet: the same move again changes nothing.
    world.good();
    assert_eq!(world.round().await, to_b());
    assert_eq!(world.log(AuditAction::PromotionRefused).await.len(), 0);
}

/// Sends a hook to the hub's own listener, as GitHub does.
async fn hook(address: std::net::SocketAddr, event: &str, body: &str, secret: &[u8]) -> String {
    use hmac::Mac as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
    mac.update(body.as_bytes());
    let digest = flotilla_shared::digest::Digest::from_slice(&mac.finalize().into_bytes());
    let text = format!(
        "POST /webhook/github HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-github-event: {event}\r\n\
         x-hub-signature-256: sha256={}\r\ncontent-length: {}\r\n\r\n{body}",
        digest.unwrap(),
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The hub checks once an hour, and a hook causes a check at once. Only the forge's own answer counts, never what the
/// hook claims.
#[tokio::test]
async fn a_hook_has_a_pull_request_looked_at_now_and_is_not_believed() {
    use crate::forge::Hints;
    use crate::serve::webhook;

    let world = World::new().await;
    let reviews = format!("GET {REPO}/pulls/7/reviews");
    world.forge.set(&reviews, 200, &json!([]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hints = Arc::<Hints>::default();
    let hooks = webhook::Hooks {
        handle: world.taking.handle.clone(),
        secret: b"key".to_vec(),
        refresh: Arc::new(Notify::new()),
        hints: Arc::clone(&hints),
        metrics: Metrics::new(),
    };
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(webhook::serve(listener, hooks, stop.clone()));
    let rounds = Rounds::hinted(Arc::clone(&hints.merges), Duration::from_secs(3600));
    let handle = world.taking.handle.clone();
    tokio::spawn(run(world.taking, rounds, stop));
    let waits = async |expected: Option<&str>| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (environment, _) = names();
            let found = handle.query(move |fleet| {
                let mut all = fleet.mergings(&environment);
                all.next().map(|(_, merging, _)| merging.word)
            });
            let found = found.await.unwrap();
            if found == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{found:?} is not {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };

    // Hooks that are forged, of another repository, or about something else cause no call.
    let ours = r#"{"action":"submitted","review":{"state":"approved"},"pull_request":{"number":7,
        "head":{"sha":"cccccccccccccccccccccccccccccccccccccccc"}},
        "repository":{"clone_url":"https://github.com/acme/fleet.git"}}"#;
    let other = ours.replace("acme/fleet", "eve/fleet");
    let review = "pull_request_review";
    for (event, body, secret, expected) in [
        (review, ours, "another", "HTTP/1.1 401"),
        (review, &other, "key", "HTTP/1.1 200"),
        ("issues", ours, "key", "HTTP/1.1 200"),
    ] {
        let answer = hook(address, event, body, secret.as_bytes()).await;
        assert!(answer.starts_with(expected), "{answer}");
    }
    assert!(hints.merges.is_empty() && world.forge.asked().is_empty());

    let answer = hook(address, review, ours, b"key").await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    waits(Some("approvals")).await;
    let moved =
        |asked: &[(String, Value)]| asked.iter().any(|(line, _)| line.contains("/git/refs/"));
    assert!(!moved(&world.forge.asked()), "the hook was believed");

    let approval = self::review("ann", "b");
    world.forge.set(&reviews, 200, &json!([approval]));
    let answer = hook(address, "check_run", ours, b"key").await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    waits(None).await;
    assert!(moved(&world.forge.asked()));
}

mod gitlab;
mod told;
