//! The schema's versions. Each upgrade is one transaction; a hub never opens a store newer than itself.

use sqlx::Row as _;

use super::{Engine, Error, Store};

/// Statements that bring a store from version `index` to `index + 1`, in SQLite's words.
const MIGRATIONS: &[&[&str]] = &[
    &[
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
    ],
    &[
        "ALTER TABLE clusters ADD COLUMN pin TEXT",
        "CREATE TABLE environments (name TEXT PRIMARY KEY, content TEXT NOT NULL)",
        "CREATE TABLE rollouts (id TEXT PRIMARY KEY, environment TEXT NOT NULL, state TEXT NOT NULL, \
         created_at INTEGER NOT NULL, ended_at INTEGER, content TEXT NOT NULL)",
        "CREATE INDEX rollouts_by_environment ON rollouts (environment, created_at)",
        "CREATE TABLE progress (rollout TEXT NOT NULL, cluster TEXT NOT NULL, content TEXT NOT NULL, \
         PRIMARY KEY (rollout, cluster))",
        "CREATE TABLE audit (seq INTEGER PRIMARY KEY, happened_at INTEGER NOT NULL, \
         actor TEXT NOT NULL, action TEXT NOT NULL, environment TEXT NOT NULL, \
         clusters TEXT NOT NULL, commits TEXT NOT NULL, reason TEXT NOT NULL, \
         detail TEXT NOT NULL, hash TEXT NOT NULL)",
        "CREATE TABLE operators (name TEXT PRIMARY KEY, role TEXT NOT NULL, \
         environments TEXT NOT NULL, changed_by TEXT NOT NULL, changed_at INTEGER NOT NULL)",
        "CREATE TABLE decider (id INTEGER PRIMARY KEY, holder TEXT NOT NULL, term INTEGER NOT NULL, \
         address TEXT NOT NULL, expires_at INTEGER NOT NULL, last_batch TEXT NOT NULL)",
        "INSERT INTO decider (id, holder, term, address, expires_at, last_batch) \
         VALUES (1, '', 0, '', 0, '')",
    ],
    &["ALTER TABLE clusters ADD COLUMN credential TEXT"],
    &["ALTER TABLE reports ADD COLUMN current_since INTEGER"],
    &[
        "ALTER TABLE tokens ADD COLUMN revoked_at INTEGER",
        "CREATE TABLE retired (name TEXT PRIMARY KEY, counter INTEGER NOT NULL)",
        "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ],
    &[
        "CREATE TABLE sessions (hash TEXT PRIMARY KEY, person TEXT NOT NULL, sealed BLOB NOT NULL, \
         version INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL)",
    ],
    &["ALTER TABLE heads ADD COLUMN moved INTEGER NOT NULL DEFAULT 0"],
    &["CREATE TABLE specifications (revision TEXT PRIMARY KEY, content TEXT NOT NULL)"],
    &[
        "CREATE TABLE commit_statuses (environment TEXT NOT NULL, repository TEXT NOT NULL, \
         commit_id TEXT NOT NULL, change TEXT NOT NULL, sent_at INTEGER NOT NULL, \
         PRIMARY KEY (environment, repository, commit_id))",
        "CREATE TABLE outbox (id INTEGER PRIMARY KEY, happened_at INTEGER NOT NULL, \
         event TEXT NOT NULL)",
        "CREATE TABLE told (target TEXT PRIMARY KEY, state TEXT NOT NULL)",
    ],
    &["ALTER TABLE clusters ADD COLUMN suspended TEXT"],
    // The last rollout is the one that was decided last: clocks may go back.
    &[
        "ALTER TABLE rollouts ADD COLUMN number INTEGER NOT NULL DEFAULT 0",
        "UPDATE rollouts SET number = CAST(SUBSTR(id, LENGTH(environment) + 2) AS INTEGER)",
        "DROP INDEX rollouts_by_environment",
        "CREATE INDEX rollouts_by_number ON rollouts (environment, number)",
        "ALTER TABLE clusters ADD COLUMN let_go INTEGER",
    ],
];

/// Returns the version that this hub supports.
pub(super) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

impl Store {
    /// Returns the version of the store.
    pub(super) async fn schema(&self) -> Result<i64, Error> {
        let sql = match self.engine {
            Engine::Sqlite => "SELECT CAST(user_version AS INTEGER) FROM pragma_user_version",
            Engine::Postgres => {
                sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
                    .execute(&self.pool)
                    .await
                    .map_err(self.error())?;
                "SELECT COALESCE(MAX(version), 0) FROM schema_version"
            }
        };
        let row = self.row(sql).await?;
        row.try_get(0).map_err(self.error())
    }

    /// Brings the schema up to date.
    pub(super) async fn migrate(&self) -> Result<(), Error> {
        let found = self.schema().await?;
        let known = known();
        if found > known {
            return Err(Error::NewerSchema {
                store: self.name.to_string(),
                found,
                known,
            });
        }
        for (version, statements) in (1i64..).zip(MIGRATIONS) {
            if version <= found {
                continue;
            }
            let mut transaction = self.pool.begin().await.map_err(self.error())?;
            if self.engine == Engine::Postgres {
                // Of replicas that start together one migrates; the others wait and then find it done.
                sqlx::query("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
                    .execute(&mut *transaction)
                    .await
                    .map_err(self.error())?;
                let row = sqlx::query("SELECT COALESCE(MAX(version), 0) FROM schema_version")
                    .fetch_one(&mut *transaction)
                    .await
                    .map_err(self.error())?;
                let present: i64 = row.try_get(0).map_err(self.error())?;
                if present >= version {
                    continue;
                }
            }
            // In the same transaction, so that a migration is applied whole or not at all (S5).
            let mark = match self.engine {
                Engine::Sqlite => format!("PRAGMA user_version = {version}"),
                Engine::Postgres => {
                    format!("INSERT INTO schema_version (version) VALUES ({version})")
                }
            };
            let all = statements.iter().map(|statement| self.dialect(statement));
            for statement in all.chain(std::iter::once(mark)) {
                sqlx::query(sqlx::AssertSqlSafe(statement))
                    .execute(&mut *transaction)
                    .await
                    .map_err(self.error())?;
            }
            transaction.commit().await.map_err(self.error())?;
        }
        Ok(())
    }

    /// Translates a statement's types for the engine: SQLite's INTEGER has 64 bits, PostgreSQL's 32.
    fn dialect(&self, statement: &str) -> String {
        match self.engine {
            Engine::Sqlite => statement.to_owned(),
            Engine::Postgres => statement
                .replace("INTEGER", "BIGINT")
                .replace("BLOB", "BYTEA"),
        }
    }
}
