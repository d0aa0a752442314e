//! The outbox against crashes and against targets that behave badly.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use flotilla_notify::{Event, Kind, parse};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::fleet::Effect;

/// A target that records its messages and answers with one status.
pub(crate) struct Hook {
    pub(crate) address: String,
    told: Arc<Mutex<Vec<(String, Value)>>>,
    status: Arc<AtomicU16>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Hook {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let told = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(204));
        let (all, answer) = (Arc::clone(&told), Arc::clone(&status));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (head, body) = request(&mut stream).await;
                let status = answer.load(Ordering::Acquire);
                if status < 300 {
                    all.lock().push((head, body));
                }
                let text = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Self {
            address,
            told,
            status,
            _task: tokio_util::task::AbortOnDropHandle::new(task),
        }
    }

    /// Sets the status of later answers.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }

    /// Returns the messages.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.told
            .lock()
            .iter()
            .map(|(_, body)| body.clone())
            .collect()
    }

    /// Returns the ids, and whether each is marked as a possible repetition.
    fn ids(&self) -> Vec<(String, bool)> {
        let told = self.told.lock();
        told.iter()
            .map(|(_, body)| {
                let id = body["id"].as_str().unwrap().to_owned();
                (id, body["repeated"] == true)
            })
            .collect()
    }
}

async fn request(stream: &mut tokio::net::TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length
                .and_then(|text| text.parse().ok())
                .unwrap_or_default();
            if body.len() >= length {
                return (head, serde_json::from_str(body).unwrap_or(Value::Null));
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return (String::new(), Value::Null),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

struct World {
    directory: tempfile::TempDir,
    store: Store,
    config: Config,
}

impl World {
    async fn new(hooks: &[(&str, &Hook)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "key\n").unwrap();
        let targets: Vec<String> = hooks
            .iter()
            .map(|(name, hook)| {
                format!(
                    "{{name: {name}, type: webhook, url: 'http://{}/x', secretFile: '{}'}}",
                    hook.address,
                    secret.display()
                )
            })
            .collect();
        let text = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Notifications\ntargets: [{}]\n",
            targets.join(", ")
        );
        let store = open(directory.path()).await;
        Self {
            config: parse("n", &text).unwrap(),
            directory,
            store,
        }
    }

    /// A new process, which knows only what is stored.
    fn process(&self) -> Deliveries {
        let sender = Sender::within(Duration::from_secs(5)).unwrap();
        Deliveries::new(self.store.clone(), Arc::new(sender), Metrics::new())
    }

    async fn happens(&self, number: usize) {
        self.store.put_event(&event(number)).await.unwrap();
    }
}

async fn open(directory: &Path) -> Store {
    Store::open(&directory.join("data")).await.unwrap()
}

fn now() -> Timestamp {
    "2026-11-27T07:00:00Z".parse().unwrap()
}

fn event(number: usize) -> Event {
    Event {
        kind: Kind::OverrideUsed,
        at: now(),
        environment: "prod".to_owned(),
        rollout: String::new(),
        commit: String::new(),
        clusters: Vec::new(),
        count: 0,
        actor: "ann".to_owned(),
        reason: format!("number {number}"),
    }
}

fn once(ids: &[i64]) -> Vec<(String, bool)> {
    ids.iter().map(|id| (id.to_string(), false)).collect()
}

#[tokio::test]
async fn everything_is_told_once_and_in_order_over_restarts() {
    let hook = Hook::new().await;
    let mut world = World::new(&[("a", &hook)]).await;
    // A new target does not get earlier events.
    world.happens(0).await;
    let mut process = world.process();
    process.step(&world.config, now()).await;
    assert!(hook.ids().is_empty());
    for number in 1..4 {
        world.happens(number).await;
    }
    process.step(&world.config, now()).await;
    process.step(&world.config, now()).await;
    assert_eq!(hook.ids(), once(&[2, 3, 4]));
    drop(process);
    world.store.close().await;
    world.store = open(world.directory.path()).await;
    world.happens(4).await;
    world.process().step(&world.config, now()).await;
    assert_eq!(hook.ids(), once(&[2, 3, 4, 5]));
    // Signed with the secret, over the exact body.
    let head = hook.told.lock()[0].0.clone();
    assert!(head.contains("x-signature: sha256="), "{head}");
    world.store.close().await;
}

/// Nothing is lost, and a possible repetition is marked as such.
#[tokio::test]
async fn a_crash_at_any_point_loses_nothing_and_marks_what_may_be_repeated() {
    for (crash, told_before, sending) in [
        ("before it was noted", false, None),
        ("after it was noted, before it was sent", false, Some(2)),
        ("after it was sent, before that was noted", true, Some(2)),
    ] {
        let hook = Hook::new().await;
        let world = World::new(&[("a", &hook)]).await;
        world.happens(0).await;
        let mut place = world.store.place("a").await.unwrap();
        assert_eq!(place.cursor, 1);
        world.happens(1).await;
        world.happens(2).await;
        if told_before {
            hook.told
                .lock()
                .push((String::new(), serde_json::json!({"id": "2"})));
        }
        place.sending = sending;
        world.store.put_place("a", &place).await.unwrap();
        let mut process = world.process();
        process.step(&world.config, now()).await;
        process.step(&world.config, now()).await;
        let mut expected = once(&[2, 3]);
        if sending.is_some() {
            expected[0].1 = true;
        }
        if told_before {
            expected.insert(0, ("2".to_owned(), false));
        }
        assert_eq!(hook.ids(), expected, "{crash}");
        world.store.close().await;
    }
}

#[tokio::test]
async fn a_target_that_is_away_holds_up_no_other_and_is_told_all_of_it_later() {
    let (good, bad) = (Hook::new().await, Hook::new().await);
    let world = World::new(&[("bad", &bad), ("good", &good)]).await;
    let mut process = world.process();
    process.step(&world.config, now()).await;
    bad.status.store(503, Ordering::Release);
    for number in 0..3 {
        world.happens(number).await;
    }
    process.step(&world.config, now()).await;
    assert_eq!(good.ids(), once(&[1, 2, 3]));
    assert!(bad.ids().is_empty());
    let line = process.lines.get_mut("bad").unwrap();
    assert!(line.wait.is_some(), "it is not asked again at once");
    line.wait = None;
    bad.status.store(204, Ordering::Release);
    process.step(&world.config, now()).await;
    assert_eq!(bad.ids(), once(&[1, 2, 3]));
    world.store.close().await;
}

#[tokio::test]
async fn what_is_refused_is_given_up_with_an_entry_and_the_next_goes_on() {
    let hook = Hook::new().await;
    let world = World::new(&[("a", &hook)]).await;
    let mut process = world.process();
    process.step(&world.config, now()).await;
    world.happens(0).await;
    hook.status.store(404, Ordering::Release);
    process.step(&world.config, now()).await;
    // Then a target that is unreachable for a day.
    world.happens(1).await;
    hook.status.store(500, Ordering::Release);
    process.step(&world.config, now()).await;
    process.lines.get_mut("a").unwrap().wait = None;
    let tomorrow = now() + SignedDuration::from_hours(25);
    process.step(&world.config, tomorrow).await;
    hook.status.store(204, Ordering::Release);
    world.happens(2).await;
    process.step(&world.config, tomorrow).await;
    assert_eq!(hook.ids(), once(&[3]));
    let place = world.store.place("a").await.unwrap();
    assert_eq!((place.dead, place.last_fault.as_str()), (2, "HTTP 500"));
    let entries = world.store.audit_newest("", 10).await.unwrap();
    let given_up = entries
        .iter()
        .filter(|row| row.entry.action == AuditAction::NotificationGivenUp);
    assert_eq!(given_up.count(), 2);
    world.store.close().await;
}

#[tokio::test]
async fn an_event_is_written_with_its_audit_entry_or_not_at_all() {
    let hook = Hook::new().await;
    let world = World::new(&[("a", &hook)]).await;
    let entry = |action: AuditAction| {
        Effect::Audit(AuditEntry {
            at: now(),
            actor: HUB_ACTOR.to_owned(),
            action,
            environment: "prod".to_owned(),
            detail: "prod-7 to aaaaaaa, wave 1 of 2".to_owned(),
            rollout: Some("prod-7".to_owned()),
            ..AuditEntry::default()
        })
    };
    let effects = [
        entry(AuditAction::RolloutStarted),
        entry(AuditAction::RolloutSoaks),
        entry(AuditAction::RolloutHalted),
    ];
    let store = &world.store;
    store.apply("one", &effects, now()).await.unwrap();
    // A batch whose answer was lost is not stored again, and neither are its events.
    store.apply("one", &effects, now()).await.unwrap();
    let events = store.events_after(0, 10).await.unwrap();
    let kinds: Vec<Kind> = events
        .iter()
        .map(|(_, event)| event.as_ref().unwrap().kind)
        .collect();
    assert_eq!(kinds, [Kind::RolloutStarted, Kind::RolloutHalted]);
    for (_, event) in &events {
        assert_eq!(event.as_ref().unwrap().rollout, "prod-7");
    }
    store
        .retain(now() + SignedDuration::from_hours(24 * 30))
        .await
        .unwrap();
    assert_eq!(
        store.events_after(0, 10).await.unwrap().len(),
        1,
        "numbers only grow"
    );
    world.store.close().await;
}
