//! The hub comments on pull requests of a forge that behaves well, and of one that does not.

use std::collections::BTreeMap;

use flotilla_status::{Answer, PlanGroup, PlanVerdict};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::super::fake::Fake;
use super::*;
use crate::driver;
use crate::fleet::{Event, Fleet};
use crate::forge::preview::PlanFailure;
use crate::metrics::Metrics;
use crate::store::Store;
use flotilla_shared::id::Epoch;
use flotilla_status::FleetPlan;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://github.com/acme/fleet'}]
environments: [{name: prod, branch: prod}]
applications: [{name: web, repository: fleet, path: web}]
previews:
- {environment: prod, branch: main, ASK}
";

const REPO: &str = "/repos/acme/fleet";

/// Answers that nothing would change, or as configured; records the questions.
#[derive(Default)]
struct Agents {
    asked: Mutex<Vec<PreviewRequest>>,
    busy: Mutex<Option<PlanFailure>>,
}

impl Planner for Agents {
    fn plan(&self, ask: PreviewRequest) -> BoxFuture<'_, Result<FleetPlan, PlanFailure>> {
        Box::pin(async move {
            if let Some(why) = self.busy.lock().clone() {
                return Err(why);
            }
            let revision = flotilla_status::Revision {
                repository: ask.revision.repository.to_string(),
                branch: ask.revision.branch.to_string(),
                commit: ask.revision.commit.to_string(),
            };
            let plan = FleetPlan {
                id: "1".to_owned(),
                environment: ask.environment.to_string(),
                revision: Some(revision),
                application: String::new(),
                started_at: None,
                answer: Answer::Nothing,
                summary: String::new(),
                done: true,
                waiting: 0,
                unconcerned: 0,
                groups: vec![PlanGroup {
                    verdict: PlanVerdict::Nothing,
                    clusters: vec!["p1".to_owned()],
                    applications: Vec::new(),
                    reason: String::new(),
                    message: String::new(),
                    folded: false,
                }],
            };
            self.asked.lock().push(ask);
            Ok(plan)
        })
    }
}

struct World {
    forge: Fake,
    agents: Arc<Agents>,
    previewing: PreviewSetup,
    memory: Memory,
    _directory: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

fn pull(digit: &str, labels: &[&str]) -> Value {
    let end = |branch: &str| json!({"ref": branch, "sha": digit.repeat(40), "repo": {"full_name": "acme/fleet"}});
    let labels: Vec<Value> = labels.iter().map(|name| json!({"name": name})).collect();
    json!({"number": 7, "html_url": "https://x/7", "title": "t", "state": "open", "body": "",
        "head": end("feature/x"), "base": end("main"), "user": {"login": "ann"}, "labels": labels})
}

fn comment(id: u64, body: &str) -> Value {
    json!({"id": id, "body": body, "user": {"login": "bot"}})
}

impl World {
    async fn new(ask: &str) -> Self {
        Self::on("github.com", ask).await
    }

    /// Makes the world with a repository on this host.
    async fn on(host: &str, ask: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let stop = CancellationToken::new();
        let mut fleet = Fleet::new(Epoch(1));
        let file = FILE.replace("ASK", ask).replace("github.com", host);
        let spec = crate::spec::parse("f", &file).unwrap();
        let now = jiff::Timestamp::UNIX_EPOCH;
        fleet.step(Event::SpecChanged(Arc::new(spec)), now);
        let (handle, _driver) = driver::spawn(
            fleet,
            store,
            Metrics::new(),
            driver::Health::default(),
            stop.clone(),
        );
        let forge = Fake::new().await;
        let agents = Arc::new(Agents::default());
        let previewing = PreviewSetup {
            handle,
            forges: forge.forges(directory.path()),
            sender: Arc::new(Sender::new(Metrics::new()).unwrap()),
            planner: Arc::<Agents>::clone(&agents),
        };
        let world = Self {
            forge,
            agents,
            previewing,
            memory: Memory::default(),
            _directory: directory,
            _stop: stop.drop_guard(),
        };
        world.open(&[pull("a", &["plan"])]);
        let comments = format!("{REPO}/issues/7/comments");
        world.forge.set(&format!("GET {comments}"), 200, &json!([]));
        let new = comment(3, "");
        world.forge.set(&format!("POST {comments}"), 201, &new);
        world
            .forge
            .set(&format!("PATCH {REPO}/issues/comments/"), 200, &new);
        world
    }

    fn open(&self, pulls: &[Value]) {
        let list = format!("GET {REPO}/pulls?state=open&base=main&");
        self.forge.set(&list, 200, &json!(pulls));
    }

    /// Sets who gave which label, and who may write.
    fn people(&self, labellings: &[(&str, &str)], writers: &[&str]) {
        let events = labellings.iter().map(|(by, event)| {
            json!({"event": event, "actor": {"login": by}, "label": {"name": "plan"}})
        });
        let events: Vec<Value> = events.collect();
        self.forge
            .set(&format!("GET {REPO}/issues/7/events"), 200, &json!(events));
        for name in ["ann", "bob", "eve"] {
            let word = if writers.contains(&name) {
                "write"
            } else {
                "read"
            };
            let right = json!({"permission": word, "user": {"login": name}});
            let path = format!("GET {REPO}/collaborators/{name}/permission");
            self.forge.set(&path, 200, &right);
        }
    }

    /// One round: where which text was written.
    async fn round(&mut self) -> Vec<(String, String)> {
        self.previewing
            .round(&Round::All, &mut self.memory)
            .await
            .unwrap();
        let asked = self.forge.asked().into_iter();
        let writes = asked.filter(|(line, _)| !line.starts_with("GET "));
        let text = |body: &Value| {
            let text = body["body"].as_str().or(body["content"]["raw"].as_str());
            text.unwrap_or_default().to_owned()
        };
        writes.map(|(line, body)| (line, text(&body))).collect()
    }

    fn plans(&self) -> Vec<PreviewRequest> {
        std::mem::take(&mut self.agents.asked.lock())
    }
}

#[tokio::test]
async fn one_comment_says_what_each_head_would_change() {
    let mut world = World::new("label: plan").await;
    let written = world.round().await;
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(written[0].0, format!("POST {REPO}/issues/7/comments"));
    let text = &written[0].1;
    let beginning = "<!-- flotilla:plan:prod -->\n**Flotilla plan for prod feature/x";
    assert!(
        text.starts_with(beginning) && text.contains("aaaaaaa"),
        "{text}"
    );
    let plans = world.plans();
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0].revision.branch.as_str(), "feature/x");
    assert_eq!(plans[0].revision.commit.as_str(), "a".repeat(40));
    assert_eq!(plans[0].why, "pull request 7 (https://x/7), asked by ann");

    assert_eq!(world.round().await, [], "once for each head");
    assert_eq!(world.plans(), []);
    world.open(&[pull("b", &["plan"])]);
    let written = world.round().await;
    assert_eq!(written[0].0, format!("PATCH {REPO}/issues/comments/3"));
    assert!(written[0].1.contains("bbbbbbb"));
    assert_eq!(world.plans().len(), 1);

    // A restarted hub finds its comment; a deleted one is written again.
    world.memory = Memory::default();
    let own = comment(5, &written[0].1);
    let other = comment(4, "> <!-- flotilla:plan:prod -->");
    let comments = format!("GET {REPO}/issues/7/comments");
    world.forge.set(&comments, 200, &json!([other, own]));
    let written = world.round().await;
    assert_eq!(written[0].0, format!("PATCH {REPO}/issues/comments/5"));
    world.forge.set(&comments, 200, &json!([]));
    let gone = format!("PATCH {REPO}/issues/comments/5");
    world
        .forge
        .set(&gone, 404, &json!({"message": "Not Found"}));
    world.open(&[pull("c", &["plan"])]);
    let written = world.round().await;
    let lines: Vec<&str> = written.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, [gone, format!("POST {REPO}/issues/7/comments")]);
}

#[tokio::test]
async fn who_may_not_ask_causes_no_work() {
    // Without the label only the list is read.
    let mut world = World::new("label: plan, role: write").await;
    world.open(&[pull("a", &["docs"])]);
    assert_eq!(world.round().await, []);
    assert_eq!(world.plans(), []);

    // The label is from a person without the role: refused once, and no agent plans.
    world.open(&[pull("a", &["plan"])]);
    world.people(
        &[("ann", "labeled"), ("ann", "unlabeled"), ("eve", "labeled")],
        &["ann"],
    );
    let written = world.round().await;
    assert_eq!(written.len(), 1);
    assert!(
        written[0]
            .1
            .contains("added by eve, who may not request plans"),
        "{written:?}"
    );
    assert_eq!(world.plans(), []);
    assert_eq!(world.round().await, []);
    // The label is removed, and set again by a person with the role.
    world.open(&[pull("a", &[])]);
    assert_eq!(world.round().await, []);
    world.open(&[pull("a", &["plan"])]);
    world.people(
        &[("eve", "labeled"), ("eve", "unlabeled"), ("ann", "labeled")],
        &["ann"],
    );
    assert_eq!(world.round().await.len(), 1);
    let plans = world.plans();
    assert_eq!(plans.len(), 1);
    assert!(plans[0].why.ends_with("asked by ann"));

    // With a role alone the author requests the plan; an author without it gets no answer.
    let mut world = World::new("role: write").await;
    world.people(&[], &["bob"]);
    assert_eq!(world.round().await, []);
    assert_eq!(world.plans(), []);
    let mut world = World::new("role: write").await;
    world.people(&[], &["ann"]);
    assert_eq!(world.round().await.len(), 1);
    assert_eq!(world.plans().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_planned_is_said_and_what_waits_is_asked_again() {
    let mut world = World::new("label: plan").await;
    let mut fork = pull("a", &["plan"]);
    fork["head"]["repo"]["full_name"] = json!("eve/fleet");
    world.open(&[fork]);
    let written = world.round().await;
    assert!(written[0].1.contains("comes from a fork"), "{written:?}");
    assert_eq!(world.plans(), []);

    world.open(&[pull("b", &["plan"])]);
    *world.agents.busy.lock() = Some(PlanFailure::Later);
    assert_eq!(world.round().await, []);
    *world.agents.busy.lock() = None;
    assert_eq!(world.round().await.len(), 1, "there is room again");
    world.open(&[pull("c", &["plan"])]);
    *world.agents.busy.lock() = Some(PlanFailure::Never("no such <b>branch</b>".to_owned()));
    let written = world.round().await;
    assert!(written[0].1.contains("no such &lt;b&gt;"), "{written:?}");
    assert_eq!(world.round().await, []);
}

#[tokio::test]
async fn a_forge_that_is_unwell_is_left_alone_for_a_while() {
    let limited = "x-ratelimit-remaining: 0\r\nretry-after: 120\r\n";
    let calls: BTreeMap<&str, bool> = [
        ("GET /repos/acme/fleet/pulls?state=open&base=main&", true),
        ("GET /repos/acme/fleet/issues/7/events", false),
        ("GET /repos/acme/fleet/collaborators/ann/permission", false),
        ("GET /repos/acme/fleet/issues/7/comments", false),
        ("POST /repos/acme/fleet/issues/7/comments", false),
    ]
    .into();
    let mut world = World::new("label: plan, role: write").await;
    for (call, is_list) in calls {
        for (status, headers, body) in [
            (401, "", "{}"),
            (403, "", "{}"),
            (403, limited, "{}"),
            (409, "", "{}"),
            (422, "", "{}"),
            (500, "", "<html>oops</html>"),
            (200, "", "<html>login</html>"),
            (302, "location: http://evil.example\r\n", ""),
        ] {
            world.people(&[("ann", "labeled")], &["ann"]);
            world.open(&[pull("a", &["plan"])]);
            let comments = format!("{REPO}/issues/7/comments");
            world.forge.set(&format!("GET {comments}"), 200, &json!([]));
            world
                .forge
                .set(&format!("POST {comments}"), 201, &comment(3, ""));
            world.memory = Memory::default();
            world.previewing.sender = Arc::new(Sender::new(Metrics::new()).unwrap());
            world.forge.put(call, status, headers, body);
            let written = world.round().await;
            assert!(written.len() <= 1, "{call} {status}: {written:?}");
            let asked_before = world.plans().len();
            assert!(asked_before <= 1);
            world.round().await;
            assert_eq!(world.plans(), [], "{call} {status}: nobody works again");
            // A failure of one pull request does not delay the others.
            let passes = status >= 500 || status == 200 || !headers.is_empty() && status == 403;
            let key = (
                "prod".parse().unwrap(),
                "fleet".parse().unwrap(),
                "main".parse().unwrap(),
            );
            let waits = world.memory.waits.holds(&key, Instant::now());
            assert_eq!(waits, is_list || passes, "{call} {status}");
        }
    }
}

mod forges;
