//! Disks that are full or cut off: nothing that was acknowledged is lost, and nothing else is shown.

use super::*;

/// A change that could not be stored may be lost in a crash, so it is not shown.
#[tokio::test]
async fn s01_what_is_not_stored_is_not_shown_and_the_hub_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", include_str!("../../../examples/fleet.yaml")).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), now());
    fleet.step(Event::ClusterPut(name(), ClusterRecord::default()), now());
    let health = crate::driver::Health::default();
    let stop = tokio_util::sync::CancellationToken::new();
    let (handle, driver) = crate::driver::spawn(
        fleet,
        store.clone(),
        crate::metrics::Metrics::new(),
        health.clone(),
        stop.clone(),
    );
    let pages = store.row("PRAGMA page_count").await.unwrap();
    let full = |more: i64| {
        let pages: i64 = pages.try_get::<i64, _>(0).unwrap() + more;
        let limit = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(sqlx::AssertSqlSafe(limit)).execute(&store.pool)
    };
    full(0).await.unwrap();
    let label = |text: String| {
        let record = ClusterRecord {
            labels: [("size".to_owned(), text)].into(),
            ..ClusterRecord::default()
        };
        Event::ClusterPut(name(), record)
    };
    let large = "x".repeat(100_000);
    let refused = handle.commit(label(large), AuditEntry::default()).await;
    assert_eq!(refused.unwrap(), Err(crate::driver::Rejection::Store));
    assert!(health.is_failing());
    // A later change is not decided, and its caller is told so: the first one is retried, this one is not.
    let next = handle.commit(label("small".to_owned()), AuditEntry::default());
    let refused = next.await.unwrap().unwrap_err();
    assert_eq!(refused, crate::driver::Rejection::Undecided);
    assert!(refused.to_string().contains("nothing was changed"));
    let shown = || handle.query(|fleet| fleet.labels_of(&name()).contains_key("size"));
    assert!(!shown().await.unwrap(), "it is not stored");
    // There is room again: the decision is stored, and then shown.
    full(1000).await.unwrap();
    while health.is_failing() {
        tokio::task::yield_now().await;
    }
    assert!(shown().await.unwrap());
    let is_first = |fleet: &Fleet| fleet.labels_of(&name())["size"].len() > 1000;
    assert!(handle.query(is_first).await.unwrap());
    stop.cancel();
    drop(handle);
    driver.await.unwrap();
}

#[tokio::test]
async fn s01_a_full_disk_refuses_changes_and_recovers_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    store.apply("first", &[audit("kept")], now()).await.unwrap();
    // From this number of pages on SQLite itself returns SQLITE_FULL, as it does on ENOSPC.
    let row = store.row("PRAGMA page_count").await.unwrap();
    let pages: i64 = row.try_get(0).unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 2);
    sqlx::query(sqlx::AssertSqlSafe(limit))
        .execute(&store.pool)
        .await
        .unwrap();
    let large: Vec<Effect> = (0..50).map(|_| audit(&"x".repeat(2000))).collect();
    let refused = store.apply("large", &large, now()).await;
    assert!(refused.unwrap_err().to_string().contains("full"));
    assert_eq!(
        store.audit_newest("", 100).await.unwrap().len(),
        1,
        "reads go on"
    );
    sqlx::query("PRAGMA max_page_count = 1000000")
        .execute(&store.pool)
        .await
        .unwrap();
    store.apply("large", &large, now()).await.unwrap();
    assert_eq!(store.verify_audit().await.unwrap().unwrap().0, 51);
    let row = store.row("PRAGMA integrity_check").await.unwrap();
    assert_eq!(row.try_get::<String, _>(0).unwrap(), "ok");
}

#[tokio::test]
async fn s02_a_copy_after_each_batch_holds_all_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let copies = tempfile::tempdir().unwrap();
    for acknowledged in 1..=60i64 {
        let batch = format!("{acknowledged}");
        store.apply(&batch, &[audit(&batch)], now()).await.unwrap();
        // The content of a disk after a power failure: the file and its log, without the shared memory.
        let image = copies.path().join(&batch);
        std::fs::create_dir(&image).unwrap();
        for name in ["hub.db", "hub.db-wal"] {
            std::fs::copy(directory.path().join(name), image.join(name)).unwrap();
        }
        let booted = Store::open(&image).await.unwrap();
        let (held, _) = booted.verify_audit().await.unwrap().unwrap();
        assert_eq!(held, acknowledged);
        booted.close().await;
    }
}

/// After a failure that is not retried the hub is not ready until a write succeeds.
#[tokio::test]
async fn s01_after_a_failed_write_the_hub_is_not_ready_until_one_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let health = store.health();
    let pages = store.row("PRAGMA page_count").await.unwrap();
    let pages: i64 = pages.try_get(0).unwrap();
    let limit = format!("PRAGMA max_page_count = {pages}");
    let full = sqlx::query(sqlx::AssertSqlSafe(limit));
    full.execute(&store.pool).await.unwrap();
    assert!(!health.is_failing());
    let mut entry = AuditEntry {
        at: now(),
        detail: "x".repeat(100_000),
        ..AuditEntry::default()
    };
    let error = store.record(&entry).await.unwrap_err();
    assert!(health.is_failing() && health.is_doubted());
    let told = error.to_string();
    let path = directory.path().display().to_string();
    for words in [path.as_str(), "no space is left", "16 MiB"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    store.prove().await.unwrap();
    assert!(!health.is_failing(), "there is room for something");
    // The driver retries by itself, and another successful write does not prove that it can write.
    health.fails();
    store.prove().await.unwrap();
    assert!(health.is_failing());
    health.works();
    // A statement that is wrong says nothing about the store.
    entry.detail.clear();
    let twice = "INSERT INTO decider SELECT * FROM decider";
    let refused = sqlx::query(twice).execute(&store.pool).await.unwrap_err();
    let _ = store.error()(refused);
    assert!(!health.is_failing());
}
