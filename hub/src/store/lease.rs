//! The lease of the deciding process; the others forward calls.
//!
//! The lease is a row, its clock the database's. The actual protection is the term: every write transaction first
//! touches the row of its own term, so that a process that lost the lease without noticing (a pause, a partition) can
//! no longer write (S10), whatever any clock says (S11).

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{Any, Row as _, Transaction};

use super::{Engine, Error, STATEMENT_TIMEOUT, Store};

/// Life of a lease without a renewal. A takeover takes at most this and one poll.
pub const LEASE: Duration = Duration::from_secs(6);

/// Milliseconds since the epoch, by the database's clock.
const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// Number of bytes that have to fit on the disk before it counts as having room.
const ROOM: usize = 1 << 20;

/// Tests whether a file of some size can be written; its bytes cannot be compressed.
fn has_room(path: &Path) -> std::io::Result<()> {
    let mut bytes = vec![0; ROOM];
    rand::fill(&mut bytes[..]);
    let written = flotilla_disk::replace(path, &bytes);
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

/// A lease that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Term, which grows with each change of the deciding process.
    pub term: i64,
}

/// The deciding process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// `host:port` of the deciding process; empty: none.
    pub address: String,
    pub term: i64,
}

/// Result of the fence for a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// The batch may be written.
    Open,
    /// The batch was written already: the answer to an earlier try was lost.
    AlreadyWritten,
}

impl Store {
    /// Takes the right to decide at once: for a store that only one process can open.
    pub(super) async fn take_over(&self) -> Result<(), Error> {
        sqlx::query("UPDATE decider SET term = term + 1 WHERE id = 1")
            .execute(&self.pool)
            .await
            .map_err(self.error())?;
        let row = self.row("SELECT term FROM decider WHERE id = 1").await?;
        let term: i64 = row.try_get(0).map_err(self.error())?;
        self.term.store(term, Ordering::Release);
        Ok(())
    }

    /// Takes the lease if it is free; none: it is held. One that ends later than any lease lasts is from before the
    /// database's clock was set back, and must not block for as long as that was (S11); its holder is fenced by the new
    /// term.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acquire(&self, holder: &str, address: &str) -> Result<Option<Lease>, Error> {
        let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE decider SET holder = $1, address = $2, term = term + 1, \
             expires_at = {NOW} + $3 WHERE id = 1 AND (expires_at < {NOW} \
             OR expires_at > {NOW} + 2 * $3) RETURNING term"
        )))
        .bind(holder.to_owned())
        .bind(address.to_owned())
        .bind(lease)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.error())?;
        let Some(row) = row else { return Ok(None) };
        let term: i64 = row.try_get(0).map_err(self.error())?;
        self.term.store(term, Ordering::Release);
        self.hint().await;
        Ok(Some(Lease { term }))
    }

    /// Renews the lease; false: it is lost, and this process no longer decides.
    ///
    /// # Errors
    /// When the store fails; the lease may still be held.
    pub async fn renew(&self, lease: Lease) -> Result<bool, Error> {
        let length = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let result = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE decider SET expires_at = {NOW} + $1 WHERE id = 1 AND term = $2"
        )))
        .bind(length)
        .bind(lease.term)
        .execute(&self.pool)
        .await
        .map_err(self.error())?;
        Ok(result.rows_affected() == 1)
    }

    /// Releases the lease, so that another process takes over without waiting for its end.
    ///
    /// # Errors
    /// When the store fails; the lease then expires by itself.
    pub async fn release(&self) -> Result<(), Error> {
        let term = self.term.swap(-1, Ordering::AcqRel);
        if self.engine == Engine::Postgres && term >= 0 {
            sqlx::query("UPDATE decider SET expires_at = 0 WHERE id = 1 AND term = $1")
                .bind(term)
                .execute(&self.pool)
                .await
                .map_err(self.error())?;
            self.hint().await;
        }
        Ok(())
    }

    /// Writes something that changes nothing, to test whether writes succeed. SQLite writes the same bytes again and
    /// again, even where there is no room for more: so there, a file beside it has to be written, too.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn prove(&self) -> Result<(), Error> {
        if self.engine == Engine::Sqlite {
            let beside = Path::new(&*self.name).with_extension("room");
            let room = tokio::task::spawn_blocking(move || has_room(&beside)).await;
            let room = room.map_err(std::io::Error::other).and_then(|room| room);
            room.map_err(|error| self.error()(sqlx::Error::Io(error)))?;
        }
        let write = sqlx::query("UPDATE decider SET expires_at = expires_at WHERE id = 1")
            .execute(&self.pool);
        match tokio::time::timeout(STATEMENT_TIMEOUT, write).await {
            Ok(written) => written.map_err(self.error())?,
            Err(_) => return Err(Error::Timeout(self.name.to_string())),
        };
        self.health.proven();
        Ok(())
    }

    /// Returns the holder of the lease: the deciding replica.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn standing(&self) -> Result<LeaseHolder, Error> {
        let row = self
            .row("SELECT address, term FROM decider WHERE id = 1")
            .await?;
        Ok(LeaseHolder {
            address: row.try_get(0).map_err(self.error())?,
            term: row.try_get(1).map_err(self.error())?,
        })
    }

    /// Proves, within the transaction, that this process still decides.
    pub(super) async fn fence(
        &self,
        transaction: &mut Transaction<'_, Any>,
        batch: &str,
    ) -> Result<Fence, Error> {
        let term = self.term.load(Ordering::Acquire);
        let touched = sqlx::query(
            "UPDATE decider SET last_batch = $1 WHERE id = 1 AND term = $2 AND last_batch <> $1",
        )
        .bind(batch.to_owned())
        .bind(term)
        .execute(&mut **transaction)
        .await
        .map_err(self.error())?;
        if touched.rows_affected() == 1 {
            return Ok(Fence::Open);
        }
        let row = sqlx::query("SELECT term, last_batch FROM decider WHERE id = 1")
            .fetch_one(&mut **transaction)
            .await
            .map_err(self.error())?;
        let present: i64 = row.try_get(0).map_err(self.error())?;
        if present == term {
            return Ok(Fence::AlreadyWritten);
        }
        self.term.store(-1, Ordering::Release);
        Err(Error::Fenced { term })
    }
}
