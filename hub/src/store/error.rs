//! Errors of the store.

use std::path::PathBuf;

/// Error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("store {store}: {}{source}", advice(.source))]
    Sql {
        store: String,
        /// Error of the engine.
        source: sqlx::Error,
    },
    /// The store is from a newer hub.
    #[error(
        "store {store} has schema {found}, this hub supports {known}: run the hub that wrote \
         it, or a newer one"
    )]
    NewerSchema {
        store: String,
        found: i64,
        known: i64,
    },
    /// Another hub process uses it.
    #[error("store {0} is in use by another hub process")]
    InUse(PathBuf),
    /// Another process has taken over.
    #[error(
        "another hub process took over (term {term} has ended); this one makes no more changes"
    )]
    Fenced {
        /// The term that has ended.
        term: i64,
    },
    /// It belongs to another authority.
    #[error(
        "store {store} belongs to another certificate authority (root {named}); this process has {own}. \
         Give every replica the same authority: copy ca.crt and ca.key, do not run `flotilla-hub init` \
         for each. If the old authority is lost for good: flotilla-hub ca adopt"
    )]
    OtherAuthority {
        store: String,
        /// SHA-256 of its authority's roots.
        named: String,
        /// SHA-256 of the roots of this process's authority.
        own: String,
    },
    #[error("store {0} did not answer in time")]
    Timeout(String),
    /// The linked SQLite has a known bug.
    #[error("SQLite {0} is linked; 3.51.3 or newer is needed")]
    OldSqlite(String),
    /// Stored data cannot be read.
    #[error("store {store}: {what} is damaged; restore a backup with `flotilla-hub restore`")]
    Damaged {
        store: String,
        /// What is damaged.
        what: String,
    },
    /// A value has no JSON form.
    #[error("cannot encode a value for the store: {0}")]
    Encode(String),
    /// It is not known whether its file exists.
    #[error("store {path}: {cause}")]
    Unseen {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A backup cannot be made or used.
    #[error("backup {path}: {why}")]
    Backup { path: PathBuf, why: String },
}

/// Returns SQLite's primary error code, without the extension.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}

/// Returns whether the store failed, and not the statement.
pub(super) fn is_of_the_store(error: &sqlx::Error) -> bool {
    use sqlx::error::ErrorKind;
    match error {
        sqlx::Error::Database(error) => matches!(error.kind(), ErrorKind::Other),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Returns what an operator can do about it, where that is clear; SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL and
/// SQLITE_CANTOPEN (<https://sqlite.org/rescode.html>).
fn advice(error: &sqlx::Error) -> &'static str {
    let full = "no space is left on its disk: free at least 16 MiB there, and the hub continues by itself (a hub \
                that is starting has to be restarted); ";
    let is_full = |cause: &std::io::Error| {
        use std::io::ErrorKind;
        matches!(
            cause.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded
        )
    };
    match (error, code(error)) {
        (sqlx::Error::Io(cause), _) if is_full(cause) => full,
        (_, Some(13)) => full,
        (_, Some(10)) => {
            "its file cannot be read or written: check that the disk is healthy and has at \
             least 16 MiB left; "
        }
        (_, Some(8 | 14)) => {
            "its file or its directory cannot be written: check owner, mode and mount options; "
        }
        _ => "",
    }
}

impl Error {
    /// Returns a function that makes errors of one store.
    pub(super) fn at(store: &str) -> impl Fn(sqlx::Error) -> Self + '_ {
        |source| Self::Sql {
            store: store.to_owned(),
            source,
        }
    }
}
