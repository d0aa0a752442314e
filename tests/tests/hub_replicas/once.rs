//! What is written once, over lost answers, hanging servers and many who ask at the same time.

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
    // As after a COMMIT whose answer never came: the same batch is tried again.
    store.apply("batch-1", &[entry("once")], now).await.unwrap();
    // And over a crash of the server.
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
