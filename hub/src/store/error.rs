//! What can be wrong with a store.

use std::path::PathBuf;

/// The store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("store {store}: {}{source}", advice(.source))]
    Sql {
        store: String,
        /// What the engine said.
        source: sqlx::Error,
    },
    /// Made by a newer hub.
    #[error(
        "store {store} has schema {found}, this hub knows {known}: run the hub that wrote it, or a newer one"
    )]
    NewerSchema {
        store: String,
        found: i64,
        known: i64,
    },
    /// Another hub has it.
    #[error("store {0} is in use by another hub process")]
    InUse(PathBuf),
    /// Another process decides now.
    #[error(
        "another hub process took over deciding (term {term} is over); this one changes nothing more"
    )]
    Fenced {
        /// The term that is over.
        term: i64,
    },
    /// It belongs to somebody else.
    #[error(
        "store {store} belongs to another certificate authority (root {named}); this process has {own}. \
         Give every replica the same authority: copy ca.crt and ca.key, do not run `flotilla-hub init` \
         for each. If the old authority is lost for good: flotilla-hub ca adopt"
    )]
    OtherAuthority {
        store: String,
        /// SHA-256 of its authority's roots.
        named: String,
        /// SHA-256 of ours.
        own: String,
    },
    #[error("store {0} did not answer in time")]
    Timeout(String),
    /// The linked SQLite has a known bug.
    #[error("SQLite {0} is linked; 3.51.3 or newer is needed")]
    OldSqlite(String),
    /// Something cannot be read back.
    #[error("store {store}: {what} is damaged; restore a backup with `flotilla-hub restore`")]
    Damaged {
        store: String,
        /// What of it.
        what: String,
    },
    /// A value has no JSON form.
    #[error("cannot encode a value for the store: {0}")]
    Encode(String),
    /// Nobody can say whether its file is there.
    #[error("store {path}: {cause}")]
    Unseen {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A backup cannot be made or used.
    #[error("backup {path}: {why}")]
    Backup { path: PathBuf, why: String },
}

/// SQLite's own number of an error, without what its extended ones add.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}

/// Whether it is the store that failed, and not what it was asked.
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

/// What a person does about it, where that is plain; SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL and
/// SQLITE_CANTOPEN (<https://sqlite.org/rescode.html>).
fn advice(error: &sqlx::Error) -> &'static str {
    let full = "no space is left on the disk that holds it: free at least 16 MiB there, and it goes on by \
                itself (a hub that is starting has to be started again); ";
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
            "its file cannot be read or written: see that the disk has at least 16 MiB left and is sound; "
        }
        (_, Some(8 | 14)) => {
            "its file, or the directory that it is in, cannot be written: see owner, mode and how the disk \
             is mounted; "
        }
        _ => "",
    }
}

impl Error {
    /// Makes errors of one store.
    pub(super) fn at(store: &str) -> impl Fn(sqlx::Error) -> Self + '_ {
        |source| Self::Sql {
            store: store.to_owned(),
            source,
        }
    }
}
