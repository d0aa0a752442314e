//! Browser sessions: hashes of their cookies, and data that is sealed with a key that only the cookie has, so that
//! reading the store gives access as no one.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Error, Store};

/// Highest number of sessions of one person; the oldest is deleted.
const OF_PERSON: i64 = 16;
/// Highest number of sessions; the oldest is deleted.
const IN_ALL: i64 = 10_000;

/// A stored session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// SHA-256 of the cookie.
    pub hash: String,
    pub person: String,
    /// The person's tokens, sealed.
    pub sealed: Vec<u8>,
    /// Grows with each change.
    pub version: i64,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Store {
    /// Stores a new session. Expired ones are deleted, and the oldest of a person with too many.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn open_session(&self, row: &SessionRow, now: Timestamp) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(now.as_millisecond())
            .execute(&mut *transaction)
            .await
            .map_err(self.error())?;
        sqlx::query(
            "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE person = $1 \
             ORDER BY created_at DESC, hash LIMIT 100000 OFFSET $2)",
        )
        .bind(row.person.clone())
        .bind(OF_PERSON - 1)
        .execute(&mut *transaction)
        .await
        .map_err(self.error())?;
        sqlx::query(
            "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions \
             ORDER BY created_at DESC, hash LIMIT 100000 OFFSET $1)",
        )
        .bind(IN_ALL - 1)
        .execute(&mut *transaction)
        .await
        .map_err(self.error())?;
        sqlx::query(
            "INSERT INTO sessions (hash, person, sealed, version, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(row.hash.clone())
        .bind(row.person.clone())
        .bind(row.sealed.clone())
        .bind(row.version)
        .bind(now.as_millisecond())
        .bind(row.expires_at.as_millisecond())
        .execute(&mut *transaction)
        .await
        .map_err(self.error())?;
        transaction.commit().await.map_err(self.error())
    }

    /// Returns a session that is not over; none: it does not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session(&self, hash: &str, now: Timestamp) -> Result<Option<SessionRow>, Error> {
        let row = sqlx::query(
            "SELECT person, sealed, version, expires_at FROM sessions WHERE hash = $1 \
             AND expires_at > $2",
        )
        .bind(hash.to_owned())
        .bind(now.as_millisecond())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.error())?;
        let Some(row) = row else { return Ok(None) };
        let expires_at: i64 = row.try_get(3).map_err(self.error())?;
        Ok(Some(SessionRow {
            hash: hash.to_owned(),
            person: row.try_get(0).map_err(self.error())?,
            sealed: row.try_get(1).map_err(self.error())?,
            version: row.try_get(2).map_err(self.error())?,
            expires_at: Timestamp::from_millisecond(expires_at)
                .map_err(|_| self.damaged("a session"))?,
        }))
    }

    /// Stores the present content of a session; false: another request changed or ended it first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew_session(&self, row: &SessionRow) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE sessions SET sealed = $1, version = version + 1 WHERE hash = $2 AND version = $3",
        )
        .bind(row.sealed.clone())
        .bind(row.hash.clone())
        .bind(row.version)
        .execute(&self.pool)
        .await
        .map_err(self.error())?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a session, on every replica at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_session(&self, hash: &str) -> Result<(), Error> {
        sqlx::query("DELETE FROM sessions WHERE hash = $1")
            .bind(hash.to_owned())
            .execute(&self.pool)
            .await
            .map_err(self.error())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
