//! The schema's versions. Each is one transaction; a hub never opens a store newer than itself.

use sqlx::Row as _;

use super::{Error, Store};

/// Statements that bring a store from version `index` to `index + 1`.
const MIGRATIONS: &[&[&str]] = &[&[
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT INTO meta (key, value) VALUES ('epoch', 1)",
    "CREATE TABLE heads (repository TEXT NOT NULL, branch TEXT NOT NULL, commit_id TEXT, \
     seen_at INTEGER, PRIMARY KEY (repository, branch))",
    "CREATE TABLE clusters (name TEXT PRIMARY KEY, environment TEXT, labels TEXT NOT NULL, \
     created_at INTEGER NOT NULL, cluster_uid TEXT NOT NULL, pending TEXT, \
     certificate_expires_at INTEGER)",
    "CREATE TABLE assignments (cluster TEXT PRIMARY KEY, content BLOB NOT NULL)",
    "CREATE TABLE reports (cluster TEXT PRIMARY KEY, content BLOB NOT NULL, \
     received_at INTEGER NOT NULL)",
    "CREATE TABLE tokens (id TEXT PRIMARY KEY, hash TEXT NOT NULL, cluster TEXT, environment TEXT, \
     labels TEXT NOT NULL, expires_at INTEGER NOT NULL, auto_accept INTEGER NOT NULL, \
     created_by TEXT NOT NULL, redeemed_at INTEGER, redeemed_by TEXT, redeemed_key TEXT)",
]];

impl Store {
    /// Brings the schema up to date.
    pub(super) async fn migrate(&self) -> Result<(), Error> {
        let row = sqlx::query("PRAGMA user_version")
            .fetch_one(&self.pool)
            .await
            .map_err(self.error())?;
        let found: i64 = row.get(0);
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if found > known {
            return Err(Error::NewerSchema {
                path: self.path.clone(),
                found,
                known,
            });
        }
        for (version, statements) in (1i64..).zip(MIGRATIONS) {
            if version <= found {
                continue;
            }
            let mut transaction = self.pool.begin().await.map_err(self.error())?;
            for statement in *statements {
                sqlx::query(*statement)
                    .execute(&mut *transaction)
                    .await
                    .map_err(self.error())?;
            }
            // Part of the same transaction: a migration is there whole or not at all (S5).
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "PRAGMA user_version = {version}"
            )))
            .execute(&mut *transaction)
            .await
            .map_err(self.error())?;
            transaction.commit().await.map_err(self.error())?;
        }
        Ok(())
    }
}
