//! Every write takes effect once, despite lost answers, hanging servers and concurrent requests.

use flotilla_hub::driver::{self, Rejection};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn s07_a_batch_whose_answer_was_lost_is_not_written_twice() {
    let Some(mut database) = Postgres::start().unwrap() else {
        return;
    };
    let store = Store::connect(&database.url()).await.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    let now = Timestamp::now();
    store.apply("batch-1", &[entry("once")], now).await.unwrap();
    // The answer to the COMMIT was lost, so the same batch is written again.
    store.apply("batch-1", &[entry("once")], now).await.unwrap();
    // The same across a crash of the server.
    database.kill().unwrap();
    assert!(
        store
            .apply("batch-2", &[entry("twice")], now)
            .await
            .is_err()
    );
    database.resume().unwrap();
    eventually("the server takes it", LIMIT, || async {
        store.apply("batch-2", &[entry("twice")], now).await.ok()
    })
    .await
    .unwrap();
    store
        .apply("batch-2", &[entry("twice")], now)
        .await
        .unwrap();
    let rows = store.audit_newest("", 10).await.unwrap();
    let details: Vec<&str> = rows.iter().map(|row| row.entry.detail.as_str()).collect();
    assert_eq!(details, ["once", "twice"]);
    assert!(store.verify_audit().await.unwrap().is_ok());
}

/// The details of all audit log entries, oldest first.
async fn details(store: &Store) -> Vec<String> {
    assert!(store.verify_audit().await.unwrap().is_ok());
    let rows = store.audit_newest("", 10).await.unwrap();
    rows.into_iter().map(|row| row.entry.detail).collect()
}

/// Retries the same batch until it is acknowledged.
async fn until_taken(store: &Store, batch: &str, text: &str) {
    eventually("the server takes it", LIMIT, || async {
        let again = store.apply(batch, &[entry(text)], Timestamp::now()).await;
        again.ok()
    })
    .await
    .unwrap();
}

/// The connection ends before the COMMIT arrives or after it took effect: the store gets the same error, and finds out
/// which.
#[tokio::test(flavor = "multi_thread")]
async fn s07_a_connection_that_is_cut_in_commit_neither_loses_nor_doubles() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let proxy = Proxy::start(database.address()).await.unwrap();
    let beside = Store::connect(&database.url()).await.unwrap();
    let store = Store::connect(&database.url_at(proxy.address)).await;
    let store = store.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    let now = Timestamp::now();
    let mut expected: Vec<String> = Vec::new();
    for (text, trap, is_there) in [
        ("lost", Trap::Word("COMMIT"), false),
        ("kept", Trap::Answer("COMMIT"), true),
    ] {
        let before = expected.clone();
        expected.push(text.to_owned());
        proxy.set_trap(trap);
        let cut = store.apply(text, &[entry(text)], now).await;
        assert!(cut.is_err(), "{text}: nobody confirmed it");
        assert!(proxy.is_sprung(), "{text}: the trap is what cut it");
        let there = if is_there { &expected } else { &before };
        assert_eq!(details(&beside).await, *there);
        until_taken(&store, text, text).await;
        assert_eq!(details(&beside).await, expected);
    }
}

/// The hub retries a batch, whether it was committed or not, and continues with the next.
#[tokio::test(flavor = "multi_thread")]
async fn s07_a_hub_whose_commit_was_cut_off_finds_out_what_became_of_it() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let proxy = Proxy::start(database.address()).await.unwrap();
    let store = Store::connect(&database.url_at(proxy.address)).await;
    let hub = Hub::over(store.unwrap()).await;
    let mut expected = Vec::new();
    for (text, trap) in [
        ("lost", Trap::Word("COMMIT")),
        ("kept", Trap::Answer("COMMIT")),
    ] {
        proxy.set_trap(trap);
        assert_eq!(hub.decides(text).await, Err(Rejection::Store), "{text}");
        assert!(proxy.is_sprung(), "{text}: the trap is what cut it");
        hub.recovers().await;
        expected.push(text);
        assert_eq!(details(&hub.store).await, expected);
    }
    assert_eq!(hub.decides("next").await, Ok(()));
    expected.push("next");
    assert_eq!(details(&hub.store).await, expected);
    hub.ends().await;
}

/// The deciding part of a hub, over a store.
struct Hub {
    store: Store,
    health: driver::Health,
    handle: driver::Handle,
    task: tokio::task::JoinHandle<()>,
}

impl Hub {
    async fn over(store: Store) -> Self {
        store.acquire("one", "").await.unwrap().unwrap();
        let health = driver::Health::default();
        let (handle, task) = driver::spawn(
            flotilla_hub::fleet::Fleet::new(flotilla_shared::id::Epoch(1)),
            store.clone(),
            flotilla_hub::metrics::Metrics::new(),
            health.clone(),
            tokio_util::sync::CancellationToken::new(),
        );
        Self {
            store,
            health,
            handle,
            task,
        }
    }

    /// An action with one entry in the audit log, and the answer to its caller.
    async fn decides(&self, text: &'static str) -> Result<(), Rejection> {
        let change = self.handle.change(move |_, _| ((), vec![entry(text)]));
        change.await.unwrap()
    }

    async fn recovers(&self) {
        eventually("what was decided is stored", LIMIT, || async {
            (!self.health.is_failing()).then_some(())
        })
        .await
        .unwrap();
    }

    async fn ends(self) {
        drop(self.handle);
        self.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_a_connection_that_is_reset_in_a_batch_leaves_nothing_of_it() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let proxy = Proxy::start(database.address()).await.unwrap();
    let beside = Store::connect(&database.url()).await.unwrap();
    let store = Store::connect(&database.url_at(proxy.address)).await;
    let store = store.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    let now = Timestamp::now();
    let mut expected: Vec<String> = Vec::new();
    // Either the statement in the middle does not arrive, or it arrives and its answer is lost.
    for (batch, text, trap) in [
        ("batch-1", "unheard", Trap::Word("unheard")),
        ("batch-2", "unanswered", Trap::Answer("unanswered")),
    ] {
        proxy.set_trap(trap);
        let whole = [entry("first"), entry(text), entry("last")];
        let reset = store.apply(batch, &whole, now).await;
        assert!(reset.is_err(), "{text}: nobody confirmed it");
        assert!(proxy.is_sprung(), "{text}: the trap is what cut it");
        assert_eq!(details(&beside).await, expected);
        eventually("the server takes it", LIMIT, || async {
            store.apply(batch, &whole, now).await.ok()
        })
        .await
        .unwrap();
        expected.extend(["first", text, "last"].map(str::to_owned));
        assert_eq!(details(&beside).await, expected);
    }
}

/// `serialization_failure` and `deadlock_detected`: the server rolls back and reports it.
#[tokio::test(flavor = "multi_thread")]
async fn s09_what_the_server_takes_back_is_not_acknowledged_and_done_again() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let store = Store::connect(&database.url()).await.unwrap();
    let hub = Hub::over(store).await;
    // A sequence is not rolled back, so it also counts aborted attempts.
    database.sql("CREATE SEQUENCE tries").unwrap();
    let mut expected = Vec::new();
    for (code, text) in [("40001", "not serial"), ("40P01", "a deadlock")] {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION takes_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('tries') < 3 THEN RAISE EXCEPTION 'taken back' USING ERRCODE = '{code}'; \
             END IF; RETURN NEW; END; $$; ALTER SEQUENCE tries RESTART; \
             CREATE OR REPLACE TRIGGER takes_back BEFORE INSERT ON audit FOR EACH ROW \
             EXECUTE FUNCTION takes_back()"
        );
        database.sql(&sql).unwrap();
        assert_eq!(hub.decides(text).await, Err(Rejection::Store), "{code}");
        hub.recovers().await;
        expected.push(text);
        assert_eq!(details(&hub.store).await, expected, "{code}");
        let tries = database.sql("SELECT last_value FROM tries").unwrap();
        assert_eq!(tries, "3", "{code}: twice taken back, and then not");
    }
    hub.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_a_server_that_hangs_acknowledges_nothing_and_is_waited_for() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let store = Store::connect(&database.url()).await.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    database.freeze(true).unwrap();
    let now = Timestamp::now();
    let hung = store.apply("batch-1", &[entry("once")], now).await;
    assert!(
        hung.is_err(),
        "nothing is acknowledged that nobody confirmed"
    );
    database.freeze(false).unwrap();
    eventually("it goes on", LIMIT, || async {
        store.apply("batch-1", &[entry("once")], now).await.ok()
    })
    .await
    .unwrap();
    assert_eq!(store.audit_newest("", 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn e02_of_fifty_that_use_a_token_at_once_one_comes_in_on_a_real_server() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let store = Store::connect(&database.url()).await.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    let hour = jiff::SignedDuration::from_hours(1);
    let new = NewToken {
        expires_at: Timestamp::now().saturating_add(hour).unwrap(),
        ..NewToken::default()
    };
    let (text, _) = store.create_token(&new).await.unwrap();
    let (handle, driver) = flotilla_hub::driver::spawn(
        flotilla_hub::fleet::Fleet::new(flotilla_shared::id::Epoch(1)),
        store.clone(),
        flotilla_hub::metrics::Metrics::new(),
        flotilla_hub::driver::Health::default(),
        tokio_util::sync::CancellationToken::new(),
    );
    let tasks: Vec<_> = (0..50)
        .map(|index| {
            let (store, text, handle) = (store.clone(), text.clone(), handle.clone());
            tokio::spawn(async move {
                let token = store.token_of(&text).await.unwrap();
                let attempt = Attempt {
                    name: format!("c{}", index % 7).parse().unwrap(),
                    key: format!("key{index}"),
                    uid: String::new(),
                };
                let change = handle.change(move |fleet, now| fleet.enrol(&attempt, token, now));
                change.await.unwrap().unwrap().is_ok()
            })
        })
        .collect();
    let mut good = 0;
    for task in tasks {
        good += usize::from(task.await.unwrap());
    }
    assert_eq!(good, 1);
    let tokens = store.tokens().await.unwrap();
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].redeemed.is_some());
    drop(handle);
    driver.await.unwrap();
}
