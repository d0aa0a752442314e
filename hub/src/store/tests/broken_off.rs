//! Transactions that SQLite rolled back by itself.

use sqlx::Executor as _;

use super::*;

/// A full disk: a write fails and SQLite rolls back by itself, so that the driver's own rollback finds no transaction;
/// the next attempt fails on its commit. Nothing that is acknowledged later may be in a transaction that these left
/// open.
#[tokio::test]
async fn s01_what_is_acknowledged_after_failed_commits_is_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    store.apply("first", &[audit("kept")], now()).await.unwrap();
    let mut failed = store.pool.begin().await.unwrap();
    failed.execute("ROLLBACK").await.unwrap();
    drop(failed);
    let mut failed = store.pool.begin().await.unwrap();
    failed.execute("SELECT COUNT(*) FROM audit").await.unwrap();
    drop(failed);
    store.apply("next", &[audit("said")], now()).await.unwrap();
    // As after a power failure: another process sees what is on disk.
    let copy = tempfile::tempdir().unwrap();
    for name in ["hub.db", "hub.db-wal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let found = Store::open(copy.path()).await.unwrap();
    let entries = found.audit_newest("", 100).await.unwrap();
    assert_eq!(entries.len(), 2, "{entries:?}");
}
