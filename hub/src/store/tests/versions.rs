//! Schemas of other versions: a newer one is not touched, and a migration is applied whole or not at all.

use super::*;

#[tokio::test]
async fn s05_a_newer_schema_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    sqlx::query("PRAGMA user_version = 99")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    drop(store);
    let error = Store::open(directory.path()).await.err().unwrap();
    assert!(
        matches!(error, Error::NewerSchema { found: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn s05_a_migration_that_was_cut_short_is_not_there_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    // As the first version left it, with a cluster in it.
    for sql in [
        "INSERT INTO clusters (name, labels, created_at, cluster_uid) VALUES ('old', '{}', 0, '')",
        "ALTER TABLE clusters DROP COLUMN pin",
        "ALTER TABLE clusters DROP COLUMN suspended",
        "ALTER TABLE clusters DROP COLUMN credential",
        "ALTER TABLE clusters DROP COLUMN let_go",
        "ALTER TABLE tokens DROP COLUMN revoked_at",
        "DROP TABLE retired",
        "DROP TABLE facts",
        "DROP TABLE sessions",
        "ALTER TABLE heads DROP COLUMN moved",
        "DROP TABLE specifications",
        "ALTER TABLE reports DROP COLUMN current_since",
        "DROP TABLE environments",
        "DROP TABLE rollouts",
        "DROP TABLE progress",
        "DROP TABLE audit",
        "DROP TABLE operators",
        "DROP TABLE decider",
        "DROP TABLE commit_statuses",
        "DROP TABLE outbox",
        "DROP TABLE told",
        "PRAGMA user_version = 1",
    ] {
        sqlx::query(sql).execute(&store.pool).await.unwrap();
    }
    // A conflict stops the migration's last statements, as a crash would.
    sqlx::query("CREATE TABLE decider (id INTEGER)")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    drop(store);
    assert!(Store::open(directory.path()).await.is_err());
    let path = directory.path().join("hub.db");
    let half = Store::sqlite(&path, None).await.unwrap();
    assert_eq!(half.schema().await.unwrap(), 1);
    assert!(
        half.row("SELECT COUNT(*) FROM rollouts").await.is_err(),
        "none of it is there"
    );
    sqlx::query("DROP TABLE decider")
        .execute(&half.pool)
        .await
        .unwrap();
    half.close().await;
    let store = Store::open(directory.path()).await.unwrap();
    let mut fleet = Fleet::new(Epoch(1));
    fleet.step(store.load().await.unwrap(), now());
    assert_eq!(fleet.clusters().len(), 1, "what was there is there");
}
