//! What must survive a restart: SQLite (bundled, WAL, synchronous=FULL), one file, one process.
//!
//! One transaction takes all effects of one step, so that no half of a decision is ever seen.

mod schema;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ClusterName, Epoch};
use flotilla_shared::wire::{decode_assignment, decode_report, encode_report};
use jiff::Timestamp;
use prost::Message as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite, Transaction};

use crate::fleet::{ClusterRecord, Effect, Event, Head, StoredAssignment};

pub use tokens::{NewToken, Redeemed, Token, TokenError};

/// SQLite's WAL-reset bug is fixed from here on (reliability, section 2).
const MIN_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// The store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite.
    #[error("store {path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// Made by a newer hub.
    #[error(
        "store {path} has schema {found}, this hub knows {known}: run the hub that wrote it, or a newer one"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Another hub has it.
    #[error("store {0} is in use by another hub process")]
    InUse(PathBuf),
    /// The linked SQLite has a known bug.
    #[error("SQLite {0} is linked; 3.51.3 or newer is needed")]
    OldSqlite(String),
    /// A row cannot be read back.
    #[error("store {path}: {what} is damaged; restore a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which row.
        what: String,
    },
}

/// The open store.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
    path: PathBuf,
    /// Held as long as the store is open; the lock goes with it.
    _lock: Arc<std::fs::File>,
}

impl Store {
    /// Opens the store in a data directory, and brings its schema up to date.
    ///
    /// # Errors
    /// When it is in use, damaged or newer than this hub.
    pub async fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("hub.db");
        let lock = lock(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        // One connection: SQLite has one writer, and reads are rare (the fleet lives in memory).
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(|source| Error::Sqlite {
                path: path.clone(),
                source,
            })?;
        let store = Self {
            pool,
            path,
            _lock: Arc::new(lock),
        };
        store.check_version().await?;
        store.migrate().await?;
        Ok(store)
    }

    fn error(&self) -> impl Fn(sqlx::Error) -> Error + '_ {
        |source| Error::Sqlite {
            path: self.path.clone(),
            source,
        }
    }

    async fn check_version(&self) -> Result<(), Error> {
        let row = sqlx::query("SELECT sqlite_version()")
            .fetch_one(&self.pool)
            .await
            .map_err(self.error())?;
        let text: String = row.get(0);
        let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let mut part = || parts.next().unwrap_or(0);
        if (part(), part(), part()) < MIN_SQLITE {
            return Err(Error::OldSqlite(text));
        }
        Ok(())
    }

    /// The epoch of this store; a restore raises it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn epoch(&self) -> Result<Epoch, Error> {
        let row = sqlx::query("SELECT value FROM meta WHERE key = 'epoch'")
            .fetch_one(&self.pool)
            .await
            .map_err(self.error())?;
        let value: i64 = row.get(0);
        Ok(Epoch(u64::try_from(value).unwrap_or(1)))
    }

    /// Keeps the storable effects of one step, all or none, durably.
    ///
    /// # Errors
    /// When they could not be kept; then none of the step's sends may happen.
    pub async fn apply(&self, effects: &[Effect], now: Timestamp) -> Result<(), Error> {
        let storable = |effect: &Effect| {
            !matches!(
                effect,
                Effect::Send(..) | Effect::RequestReport(..) | Effect::Close(..)
            )
        };
        if !effects.iter().any(storable) {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        for effect in effects {
            self.write(&mut transaction, effect, now).await?;
        }
        transaction.commit().await.map_err(self.error())
    }

    async fn write(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        effect: &Effect,
        now: Timestamp,
    ) -> Result<(), Error> {
        let query = match effect {
            Effect::Send(..) | Effect::RequestReport(..) | Effect::Close(..) => return Ok(()),
            Effect::StoreHead(repository, branch, head) => sqlx::query(
                "INSERT INTO heads (repository, branch, commit_id, seen_at) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (repository, branch) DO UPDATE SET commit_id = excluded.commit_id, \
                 seen_at = excluded.seen_at",
            )
            .bind(repository.as_str())
            .bind(branch.as_str())
            .bind(head.commit.as_ref().map(ToString::to_string))
            .bind(head.seen_at.map(Timestamp::as_millisecond)),
            Effect::StoreCluster(name, record) => sqlx::query(
                "INSERT INTO clusters (name, environment, labels, created_at, cluster_uid, pending, \
                 certificate_expires_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET \
                 environment = excluded.environment, labels = excluded.labels, \
                 cluster_uid = excluded.cluster_uid, pending = excluded.pending, \
                 certificate_expires_at = excluded.certificate_expires_at",
            )
            .bind(name.as_str())
            .bind(record.environment.as_ref().map(ToString::to_string))
            .bind(serde_json::to_string(&record.labels).unwrap_or_default())
            .bind(record.created_at.as_millisecond())
            .bind(&record.cluster_uid)
            .bind(&record.pending)
            .bind(record.certificate_expires_at.map(Timestamp::as_millisecond)),
            Effect::DeleteCluster(name) => {
                for table in ["assignments", "reports"] {
                    sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE cluster = ?")))
                        .bind(name.as_str())
                        .execute(&mut **transaction)
                        .await
                        .map_err(self.error())?;
                }
                sqlx::query("DELETE FROM clusters WHERE name = ?").bind(name.as_str())
            }
            Effect::StoreAssignment(name, assignment) => sqlx::query(
                "INSERT INTO assignments (cluster, content) VALUES (?, ?) ON CONFLICT (cluster) \
                 DO UPDATE SET content = excluded.content",
            )
            .bind(name.as_str())
            .bind(assignment.decoded.content.to_vec()),
            Effect::StoreReport(name, report) => sqlx::query(
                "INSERT INTO reports (cluster, content, received_at) VALUES (?, ?, ?) \
                 ON CONFLICT (cluster) DO UPDATE SET content = excluded.content, \
                 received_at = excluded.received_at",
            )
            .bind(name.as_str())
            .bind(encode_report(report).encode_to_vec())
            .bind(now.as_millisecond()),
        };
        query
            .execute(&mut **transaction)
            .await
            .map_err(self.error())?;
        Ok(())
    }

    /// Everything that was kept, as the fleet's first event.
    ///
    /// # Errors
    /// When a row cannot be read back: serving from half a memory would be worse than not serving.
    pub async fn load(&self) -> Result<Event, Error> {
        let mut heads = Vec::new();
        for row in self
            .rows("SELECT repository, branch, commit_id, seen_at FROM heads")
            .await?
        {
            let damaged = || self.damaged("a branch head");
            let repository: String = row.get(0);
            let branch: String = row.get(1);
            let commit: Option<String> = row.get(2);
            let seen_at: Option<i64> = row.get(3);
            let head = Head {
                commit: commit
                    .map(|c| c.parse())
                    .transpose()
                    .map_err(|_| damaged())?,
                seen_at: seen_at.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
                ..Head::default()
            };
            let key = (
                repository.parse().map_err(|_| damaged())?,
                branch.parse().map_err(|_| damaged())?,
            );
            heads.push((key, head));
        }
        let mut clusters = Vec::new();
        for row in self
            .rows(
                "SELECT c.name, c.environment, c.labels, c.created_at, c.cluster_uid, c.pending, \
                 c.certificate_expires_at, a.content, r.content FROM clusters c \
                 LEFT JOIN assignments a ON a.cluster = c.name \
                 LEFT JOIN reports r ON r.cluster = c.name",
            )
            .await?
        {
            clusters.push(self.cluster(&row)?);
        }
        Ok(Event::Restored { heads, clusters })
    }

    fn cluster(
        &self,
        row: &SqliteRow,
    ) -> Result<
        (
            ClusterName,
            ClusterRecord,
            Option<StoredAssignment>,
            Option<flotilla_shared::report::Report>,
        ),
        Error,
    > {
        let name: String = row.get(0);
        let damaged = || self.damaged(&format!("cluster {name}"));
        let environment: Option<String> = row.get(1);
        let labels: String = row.get(2);
        let created_at: i64 = row.get(3);
        let expires_at: Option<i64> = row.get(6);
        let record = ClusterRecord {
            environment: environment
                .map(|e| e.parse())
                .transpose()
                .map_err(|_| damaged())?,
            labels: serde_json::from_str(&labels).map_err(|_| damaged())?,
            created_at: Timestamp::from_millisecond(created_at).map_err(|_| damaged())?,
            cluster_uid: row.get(4),
            pending: row.get(5),
            certificate_expires_at: expires_at.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        };
        let assignment: Option<Vec<u8>> = row.get(7);
        let assignment = assignment
            .map(|content| {
                let digest = Digest::of(&content).as_bytes().to_vec();
                decode_assignment(&v1::Assignment {
                    content: content.into(),
                    digest,
                })
            })
            .transpose()
            .map_err(|_| damaged())?
            .map(|decoded| StoredAssignment {
                decoded: Arc::new(decoded),
            });
        let report: Option<Vec<u8>> = row.get(8);
        // A report comes again by itself, so a damaged one is only forgotten.
        let report = report
            .and_then(|content| v1::Report::decode(content.as_slice()).ok())
            .and_then(|wire| decode_report(&wire).ok());
        Ok((
            name.parse().map_err(|_| damaged())?,
            record,
            assignment,
            report,
        ))
    }

    async fn rows(&self, sql: &'static str) -> Result<Vec<SqliteRow>, Error> {
        sqlx::query(sql)
            .fetch_all(&self.pool)
            .await
            .map_err(self.error())
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            what: what.to_owned(),
        }
    }

    /// Closes the store; the WAL is folded into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Takes the store for this process (catalogue S4); the kernel lets it go when the process ends.
fn lock(path: &Path) -> Result<std::fs::File, Error> {
    let error = |source: std::io::Error| Error::Sqlite {
        path: path.to_owned(),
        source: sqlx::Error::Io(source),
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(error)?;
    }
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.with_extension("lock"))
        .map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(cause)) => Err(error(cause)),
    }
}

#[cfg(test)]
mod tests;
