//! What must survive a restart, in SQLite (bundled, WAL, synchronous=FULL; one file, one process) or in PostgreSQL
//! (several replicas, one of which decides). One SQL for both.
//!
//! One transaction contains all effects of a batch of steps, so that no partial decision is ever visible; it also
//! proves that this process is still the deciding one (see [`lease`]).

mod audit;
mod authority;
mod backup;
mod epoch;
mod error;
mod health;
mod hint;
mod history;
mod issuers;
mod lease;
mod load;
mod operators;
mod outbox;
mod schema;
mod sessions;
mod specifications;
mod statuses;
mod tokens;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use flotilla_disk::Lock;
use flotilla_shared::percent;
use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Row as _};

pub use audit::{AuditRow, BrokenChain};
pub use backup::{backup, raise_epoch, restore};
pub use error::Error;
pub use health::Health;
pub use hint::{Hints, WaitOutcome};
pub use history::RolloutRow;
pub use issuers::issuers;
pub use lease::{LEASE, Lease, LeaseHolder};
pub use operators::{Grant, Role};
pub use sessions::SessionRow;

/// First SQLite version without the WAL-reset bug (reliability, section 2).
const MIN_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// Size of SQLite's file header. A shorter file is taken for a new one, or for none of SQLite's.
const HEADER: u64 = 100;

/// Time limit of a statement; after a time-out its outcome is determined separately (S7, S9).
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of each connection to SQLite.
const PRAGMAS: &[&str] = &[
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
];

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
    /// URL of PostgreSQL, for connections outside the pool.
    url: Option<Arc<str>>,
    /// Name for messages: the file, or the URL without its password.
    name: Arc<str>,
    /// The end of the audit log as this process wrote or read it.
    tail: Arc<parking_lot::Mutex<Option<audit::Tail>>>,
    /// The term in which this process decides; -1: it does not.
    term: Arc<AtomicI64>,
    /// Whether writes succeed.
    health: Health,
    /// Lock of the store's file, held until the store is closed.
    lock: Option<Arc<Lock>>,
}

/// Returns whether no transaction is open on a connection to SQLite. On some errors (a full disk) SQLite rolls a
/// transaction back by itself, which the driver does not notice: it continues with savepoints, and one that then fails
/// to become the commit stays open below everything that comes after, acknowledged and on no disk. Such a connection is
/// closed, and the next one sees what is stored.
async fn is_clear(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    let begun = connection.execute("BEGIN").await;
    let ended = connection.execute("ROLLBACK").await;
    // Checked last: `BEGIN` made the driver carry out a rollback that it had postponed.
    Ok(begun.is_ok() && ended.is_ok() && !connection.is_in_transaction())
}

impl Store {
    /// Returns the name of the engine.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgresql",
        }
    }

    /// Opens the store in a data directory, brings its schema up to date, and takes the right to decide.
    ///
    /// # Errors
    /// When it is in use, damaged or newer than this hub.
    pub async fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("hub.db");
        let lock = lock(&path)?;
        // Checked before the file is created.
        not_emptied(&path)?;
        backup::for_owner_only(&path)?;
        let store = Self::sqlite(&path, Some(Arc::new(lock))).await?;
        store.check_version().await?;
        store.check_integrity().await?;
        store.migrate().await?;
        store.take_over().await?;
        Ok(store)
    }

    async fn sqlite(path: &Path, lock: Option<Arc<Lock>>) -> Result<Self, Error> {
        not_emptied(path)?;
        sqlx::any::install_default_drivers();
        let name: Arc<str> = path.display().to_string().into();
        let url = format!("sqlite://{}?mode=rwc", escaped(&name));
        // Opened outside the pool, which would retry a damaged file and then report only a time-out (S3).
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
            .before_acquire(|connection, _| Box::pin(is_clear(connection)))
            .connect(&url)
            .await
            .map_err(Error::at(&name))?;
        Ok(Self {
            pool,
            engine: Engine::Sqlite,
            url: None,
            name,
            tail: Arc::default(),
            term: Arc::new(AtomicI64::new(-1)),
            health: Health::default(),
            lock,
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
                    // An acknowledged decision must be on disk (I1), whatever the server's default, and a stuck
                    // statement must not hold the lease's row for long.
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
            url: Some(url.into()),
            name,
            tail: Arc::default(),
            term: Arc::new(AtomicI64::new(-1)),
            health: Health::default(),
            lock: None,
        };
        store.migrate().await?;
        Ok(store)
    }

    /// Returns the health of the store.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Makes errors of this store, and records their failure.
    fn error(&self) -> impl Fn(sqlx::Error) -> Error + '_ {
        |error| {
            if error::is_of_the_store(&error) {
                self.health.doubt();
            }
            Error::at(&self.name)(error)
        }
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

    async fn rows(&self, sql: &'static str) -> Result<Vec<AnyRow>, Error> {
        self.rows_of(sqlx::query(sql)).await
    }

    /// Returns all rows of a query with arguments.
    async fn rows_of(&self, query: Query<'_, Any, AnyArguments>) -> Result<Vec<AnyRow>, Error> {
        query.fetch_all(&self.pool).await.map_err(self.error())
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

    /// Returns whether this process decides, as far as it knows.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.term.load(Ordering::Acquire) >= 0
    }

    /// Closes the store; SQLite's WAL is folded into the file.
    pub async fn close(&self) {
        self.pool.close().await;
        // Tasks that outlive the shutdown hold clones of the store, which can no longer write.
        if let Some(lock) = &self.lock {
            lock.release();
        }
    }
}

/// Converts SQLite's errors of a damaged file (SQLITE_CORRUPT, SQLITE_NOTADB).
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

/// Refuses an empty file beside a log: SQLite would begin a new store in it and discard the log, so that a store in use
/// would be lost without notice (S3).
fn not_emptied(path: &Path) -> Result<(), Error> {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let (file, log) = (length(path), length(Path::new(&log)));
    if file >= HEADER || (file == 0 && log == 0) {
        return Ok(());
    }
    Err(Error::Damaged {
        store: path.display().to_string(),
        what: format!("the file ({file} bytes of it are left, and {log} of its log)"),
    })
}

/// Escapes a path for a URL.
fn escaped(path: &str) -> String {
    percent::encode(path, b"/")
}

/// Returns a URL without its password, for messages.
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

/// Locks the store for this process (catalogue S4).
fn lock(path: &Path) -> Result<Lock, Error> {
    let name = path.display().to_string();
    let error = |source: std::io::Error| Error::at(&name)(sqlx::Error::Io(source));
    if let Some(parent) = path.parent() {
        flotilla_disk::private_directory(parent).map_err(error)?;
    }
    Lock::take(&path.with_extension("lock"))
        .map_err(error)?
        .ok_or_else(|| Error::InUse(PathBuf::from(path)))
}

#[cfg(test)]
mod tests;
