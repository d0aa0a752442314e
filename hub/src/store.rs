//! What must survive a restart, in SQLite (bundled, WAL, synchronous=FULL; one file, one process) or
//! in PostgreSQL (several replicas, one of which decides). One SQL for both.
//!
//! One transaction takes all effects of a batch of steps, so that no half of a decision is ever seen;
//! it also proves that this process still is the one that decides (see [`lease`]).

mod audit;
mod backup;
mod error;
mod history;
mod issuers;
mod lease;
mod load;
mod operators;
mod schema;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use flotilla_shared::id::Epoch;
use flotilla_shared::wire::encode_report;
use jiff::Timestamp;
use prost::Message as _;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Row as _, Transaction};

use crate::fleet::Effect;

pub use audit::{AuditRow, BrokenChain};
pub use backup::{backup, restore};
pub use error::Error;
pub use history::RolloutRow;
pub use issuers::issuers;
pub use lease::{LEASE, Lease, Standing};
pub use operators::{Grant, Role};
pub use tokens::{NewToken, Redeemed, Token, TokenError};

/// SQLite's WAL-reset bug is fixed from here on (reliability, section 2).
const MIN_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// A statement that takes longer has failed; its outcome is asked for afterwards (S7, S9).
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How each connection to SQLite is set up.
const PRAGMAS: &[&str] = &[
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
];

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

/// The open store.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    engine: Engine,
    /// For messages: the file, or the URL without its password.
    name: Arc<str>,
    /// The term in which this process decides; -1: it does not.
    term: Arc<AtomicI64>,
    /// Held as long as the store is open; the lock goes with it.
    _lock: Option<Arc<std::fs::File>>,
}

impl Store {
    /// Opens the store in a data directory, brings its schema up to date, and takes the right to
    /// decide.
    ///
    /// # Errors
    /// When it is in use, damaged or newer than this hub.
    pub async fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("hub.db");
        let lock = lock(&path)?;
        let store = Self::sqlite(&path, Some(Arc::new(lock))).await?;
        store.check_version().await?;
        store.check_integrity().await?;
        store.migrate().await?;
        store.take_over().await?;
        Ok(store)
    }

    async fn sqlite(path: &Path, lock: Option<Arc<std::fs::File>>) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let name: Arc<str> = path.display().to_string().into();
        let url = format!("sqlite://{}?mode=rwc", escaped(&name));
        // Asked outside of a pool, which would try a damaged file again and again and then only say
        // that it took too long (S3).
        let mut probe = AnyConnection::connect(&url)
            .await
            .map_err(Error::at(&name))?;
        let sound = async {
            for pragma in PRAGMAS {
                probe.execute(*pragma).await?;
            }
            probe.execute("SELECT COUNT(*) FROM sqlite_schema").await
        };
        let sound = sound.await.map_err(|error| damage(&name, error));
        probe.close().await.map_err(Error::at(&name))?;
        sound?;
        // One connection: SQLite has one writer, and reads are rare (the fleet lives in memory).
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    for pragma in PRAGMAS {
                        connection.execute(*pragma).await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await
            .map_err(Error::at(&name))?;
        Ok(Self {
            pool,
            engine: Engine::Sqlite,
            name,
            term: Arc::new(AtomicI64::new(-1)),
            _lock: lock,
        })
    }

    /// Opens a PostgreSQL store and brings its schema up to date. The right to decide is taken with
    /// [`Store::acquire`].
    ///
    /// # Errors
    /// When it cannot be reached, or is newer than this hub.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let name: Arc<str> = without_password(url).into();
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // A decision that is acknowledged must be on disk (I1), whatever the server's
                    // default; and a stuck statement must not hold the row of the lease for long.
                    for setting in [
                        "SET synchronous_commit = on",
                        "SET statement_timeout = 10000",
                        "SET idle_in_transaction_session_timeout = 10000",
                    ] {
                        connection.execute(setting).await?;
                    }
                    Ok(())
                })
            })
            .connect(url)
            .await
            .map_err(Error::at(&name))?;
        let store = Self {
            pool,
            engine: Engine::Postgres,
            name,
            term: Arc::new(AtomicI64::new(-1)),
            _lock: None,
        };
        store.migrate().await?;
        Ok(store)
    }

    fn error(&self) -> impl Fn(sqlx::Error) -> Error + '_ {
        Error::at(&self.name)
    }

    async fn check_version(&self) -> Result<(), Error> {
        let row = self.row("SELECT sqlite_version()").await?;
        let text: String = row.try_get(0).map_err(self.error())?;
        let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let mut part = || parts.next().unwrap_or(0);
        if (part(), part(), part()) < MIN_SQLITE {
            return Err(Error::OldSqlite(text));
        }
        Ok(())
    }

    /// Finds torn pages before they are served (S3).
    async fn check_integrity(&self) -> Result<(), Error> {
        let damaged = |text: String| Error::Damaged {
            store: self.name.to_string(),
            what: format!("the file ({text})"),
        };
        let row = self
            .row("PRAGMA quick_check(1)")
            .await
            .map_err(|error| damaged(error.to_string()))?;
        let text: String = row.try_get(0).map_err(self.error())?;
        if text == "ok" {
            Ok(())
        } else {
            Err(damaged(text))
        }
    }

    /// The epoch of this store; a restore raises it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn epoch(&self) -> Result<Epoch, Error> {
        let row = self
            .row("SELECT value FROM meta WHERE key = 'epoch'")
            .await?;
        let value: i64 = row.try_get(0).map_err(self.error())?;
        Ok(Epoch(u64::try_from(value).unwrap_or(1)))
    }

    /// Raises the epoch, after something older was restored. Gives the new one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn raise_epoch(&self) -> Result<Epoch, Error> {
        sqlx::query("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
            .execute(&self.pool)
            .await
            .map_err(self.error())?;
        self.epoch().await
    }

    /// Keeps the storable effects of a batch, all or none, durably. `batch` names it: where the
    /// outcome of an earlier try is not known, a batch that arrived is not written twice (S7).
    ///
    /// # Errors
    /// When they could not be kept; then none of the batch's sends may happen. [`Error::Fenced`] when
    /// another process decides now.
    pub async fn apply(
        &self,
        batch: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<(), Error> {
        if !effects.iter().any(Effect::is_stored) {
            return Ok(());
        }
        tokio::time::timeout(STATEMENT_TIMEOUT, self.write_all(batch, effects, now))
            .await
            .unwrap_or_else(|_| Err(Error::Timeout(self.name.to_string())))
    }

    async fn write_all(
        &self,
        batch: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        if self.fence(&mut transaction, batch).await? == lease::Fence::AlreadyWritten {
            return Ok(());
        }
        let mut chain = None;
        for effect in effects {
            match effect {
                Effect::Audit(entry) => {
                    self.append(&mut transaction, &mut chain, entry).await?;
                }
                effect => self.write(&mut transaction, effect, now).await?,
            }
        }
        transaction.commit().await.map_err(self.error())
    }

    async fn write(
        &self,
        transaction: &mut Transaction<'_, Any>,
        effect: &Effect,
        now: Timestamp,
    ) -> Result<(), Error> {
        let json = |value: Result<String, serde_json::Error>| {
            value.map_err(|error| Error::Encode(error.to_string()))
        };
        let query = match effect {
            Effect::Send(..)
            | Effect::RequestReport(..)
            | Effect::RequestRenewal(..)
            | Effect::Close(..)
            | Effect::Measure(..)
            | Effect::Audit(_) => return Ok(()),
            Effect::StoreHead(repository, branch, head) => sqlx::query(
                "INSERT INTO heads (repository, branch, commit_id, seen_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (repository, branch) DO UPDATE SET commit_id = excluded.commit_id, \
                 seen_at = excluded.seen_at",
            )
            .bind(repository.to_string())
            .bind(branch.to_string())
            .bind(head.commit.as_ref().map(ToString::to_string))
            .bind(head.seen_at.map(Timestamp::as_millisecond)),
            Effect::StoreCluster(name, record) => sqlx::query(
                "INSERT INTO clusters (name, environment, labels, created_at, cluster_uid, pending, \
                 certificate_expires_at, pin, credential) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                 ON CONFLICT (name) DO UPDATE SET environment = excluded.environment, \
                 labels = excluded.labels, cluster_uid = excluded.cluster_uid, \
                 pending = excluded.pending, \
                 certificate_expires_at = excluded.certificate_expires_at, pin = excluded.pin, \
                 credential = excluded.credential",
            )
            .bind(name.to_string())
            .bind(record.environment.as_ref().map(ToString::to_string))
            .bind(json(serde_json::to_string(&record.labels))?)
            .bind(record.created_at.as_millisecond())
            .bind(record.cluster_uid.clone())
            .bind(record.pending.clone())
            .bind(record.certificate_expires_at.map(Timestamp::as_millisecond))
            .bind(
                record
                    .pin
                    .as_ref()
                    .map(|pin| json(serde_json::to_string(pin)))
                    .transpose()?,
            )
            .bind(json(serde_json::to_string(&record.credential))?),
            Effect::DeleteCluster(name) => {
                for sql in [
                    "DELETE FROM assignments WHERE cluster = $1",
                    "DELETE FROM reports WHERE cluster = $1",
                ] {
                    sqlx::query(sql)
                        .bind(name.to_string())
                        .execute(&mut **transaction)
                        .await
                        .map_err(self.error())?;
                }
                sqlx::query("DELETE FROM clusters WHERE name = $1").bind(name.to_string())
            }
            Effect::StoreAssignment(name, assignment) => sqlx::query(
                "INSERT INTO assignments (cluster, content) VALUES ($1, $2) ON CONFLICT (cluster) \
                 DO UPDATE SET content = excluded.content",
            )
            .bind(name.to_string())
            .bind(assignment.decoded.content.to_vec()),
            Effect::StoreReport(name, report, since) => sqlx::query(
                "INSERT INTO reports (cluster, content, received_at, current_since) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (cluster) DO UPDATE SET \
                 content = excluded.content, received_at = excluded.received_at, \
                 current_since = excluded.current_since",
            )
            .bind(name.to_string())
            .bind(encode_report(report).encode_to_vec())
            .bind(now.as_millisecond())
            .bind(since.map(Timestamp::as_millisecond)),
            Effect::StoreEnvironment(name, state) => sqlx::query(
                "INSERT INTO environments (name, content) VALUES ($1, $2) ON CONFLICT (name) \
                 DO UPDATE SET content = excluded.content",
            )
            .bind(name.to_string())
            .bind(json(serde_json::to_string(state))?),
            Effect::StoreRollout(rollout) => sqlx::query(
                "INSERT INTO rollouts (id, environment, state, created_at, ended_at, content) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET \
                 state = excluded.state, ended_at = excluded.ended_at, content = excluded.content",
            )
            .bind(rollout.id.clone())
            .bind(rollout.environment.to_string())
            .bind(rollout.state.as_str())
            .bind(rollout.created_at.as_millisecond())
            .bind(rollout.ended_at.map(Timestamp::as_millisecond))
            .bind(json(serde_json::to_string(rollout))?),
            Effect::StoreProgress(rollout, cluster, progress) => sqlx::query(
                "INSERT INTO progress (rollout, cluster, content) VALUES ($1, $2, $3) \
                 ON CONFLICT (rollout, cluster) DO UPDATE SET content = excluded.content",
            )
            .bind(rollout.clone())
            .bind(cluster.to_string())
            .bind(json(serde_json::to_string(progress))?),
            Effect::DeleteProgress(rollout, cluster) => {
                sqlx::query("DELETE FROM progress WHERE rollout = $1 AND cluster = $2")
                    .bind(rollout.clone())
                    .bind(cluster.to_string())
            }
        };
        query
            .execute(&mut **transaction)
            .await
            .map_err(self.error())?;
        Ok(())
    }

    async fn rows(&self, sql: &'static str) -> Result<Vec<AnyRow>, Error> {
        sqlx::query(sql)
            .fetch_all(&self.pool)
            .await
            .map_err(self.error())
    }

    async fn row(&self, sql: &'static str) -> Result<AnyRow, Error> {
        sqlx::query(sql)
            .fetch_one(&self.pool)
            .await
            .map_err(self.error())
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged {
            store: self.name.to_string(),
            what: what.to_owned(),
        }
    }

    /// Whether this process decides, as far as it knows.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.term.load(Ordering::Acquire) >= 0
    }

    /// Closes the store; SQLite's WAL is folded into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// What SQLite says of a file that is not as it wrote it (SQLITE_CORRUPT, SQLITE_NOTADB).
fn damage(name: &str, error: sqlx::Error) -> Error {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .map(|code| code & 0xff);
    match code {
        Some(11 | 26) => Error::Damaged {
            store: name.to_owned(),
            what: format!("the file ({error})"),
        },
        _ => Error::at(name)(error),
    }
}

/// A path as part of a URL.
fn escaped(path: &str) -> String {
    path.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

/// A URL as it may be shown.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "PostgreSQL".to_owned();
    };
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((user, place)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

/// Takes the store for this process (catalogue S4); the kernel lets it go when the process ends.
fn lock(path: &Path) -> Result<std::fs::File, Error> {
    let name = path.display().to_string();
    let error = |source: std::io::Error| Error::at(&name)(sqlx::Error::Io(source));
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
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse(PathBuf::from(path))),
        Err(std::fs::TryLockError::Error(cause)) => Err(error(cause)),
    }
}

#[cfg(test)]
mod tests;
