//! What can be wrong with a store.

use std::path::PathBuf;

/// The store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine.
    #[error("store {store}: {source}")]
    Sql {
        /// Which store.
        store: String,
        /// What the engine said.
        source: sqlx::Error,
    },
    /// Made by a newer hub.
    #[error(
        "store {store} has schema {found}, this hub knows {known}: run the hub that wrote it, or a newer one"
    )]
    NewerSchema {
        /// Which store.
        store: String,
        /// Its schema.
        found: i64,
        /// Ours.
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
        /// Which store.
        store: String,
        /// SHA-256 of its authority's roots.
        named: String,
        /// SHA-256 of ours.
        own: String,
    },
    /// No answer.
    #[error("store {0} did not answer in time")]
    Timeout(String),
    /// The linked SQLite has a known bug.
    #[error("SQLite {0} is linked; 3.51.3 or newer is needed")]
    OldSqlite(String),
    /// Something cannot be read back.
    #[error("store {store}: {what} is damaged; restore a backup with `flotilla-hub restore`")]
    Damaged {
        /// Which store.
        store: String,
        /// What of it.
        what: String,
    },
    /// A value has no JSON form.
    #[error("cannot encode a value for the store: {0}")]
    Encode(String),
    /// A backup cannot be made or used.
    #[error("backup {path}: {why}")]
    Backup {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
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
