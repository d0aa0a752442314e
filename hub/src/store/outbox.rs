//! Events for notifications, and the position of each target.

use flotilla_notify::Event;
use jiff::{SignedDuration, Timestamp};
use sqlx::{Any, Row as _, Transaction};

use super::{Error, Store};
use crate::notify::OutboxPosition;

/// Time for which events are kept; a target that cannot be reached for longer misses them.
const KEEP: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Store {
    /// Adds an event within a transaction; ids only grow, since the newest is never deleted.
    pub(super) async fn push_event(
        &self,
        transaction: &mut Transaction<'_, Any>,
        event: &Event,
    ) -> Result<(), Error> {
        let text =
            serde_json::to_string(event).map_err(|error| Error::Encode(error.to_string()))?;
        sqlx::query(
            "INSERT INTO outbox (id, happened_at, event) SELECT COALESCE(MAX(id), 0) + 1, $1, $2 \
             FROM outbox",
        )
        .bind(event.at.as_millisecond())
        .bind(text)
        .execute(&mut **transaction)
        .await
        .map_err(self.error())?;
        Ok(())
    }

    /// Adds an event that has no audit entry.
    ///
    /// # Errors
    /// When it cannot be stored, or another process decides now.
    pub async fn put_event(&self, event: &Event) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        self.fence(&mut transaction, &super::tokens::random_hex(12))
            .await?;
        self.push_event(&mut transaction, event).await?;
        transaction.commit().await.map_err(self.error())
    }

    /// Returns events after an id, oldest first; none where a newer hub wrote one that this one cannot read.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events_after(
        &self,
        id: i64,
        limit: i64,
    ) -> Result<Vec<(i64, Option<Event>)>, Error> {
        let query = sqlx::query("SELECT id, event FROM outbox WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(id)
            .bind(limit);
        self.rows_of(query)
            .await?
            .iter()
            .map(|row| {
                let id: i64 = row.try_get(0).map_err(self.error())?;
                let text: String = row.try_get(1).map_err(self.error())?;
                Ok((id, serde_json::from_str(&text).ok()))
            })
            .collect()
    }

    /// Returns the position of a target; a new one begins with the next event.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn place(&self, target: &str) -> Result<OutboxPosition, Error> {
        let row = sqlx::query("SELECT state FROM told WHERE target = $1")
            .bind(target.to_owned())
            .fetch_optional(&self.pool)
            .await
            .map_err(self.error())?;
        if let Some(row) = row {
            let text: String = row.try_get(0).map_err(self.error())?;
            let damaged = || self.damaged(&format!("the position of target {target}"));
            return serde_json::from_str(&text).map_err(|_| damaged());
        }
        let row = self.row("SELECT COALESCE(MAX(id), 0) FROM outbox").await?;
        let place = OutboxPosition {
            cursor: row.try_get(0).map_err(self.error())?,
            ..OutboxPosition::default()
        };
        self.put_place(target, &place).await?;
        Ok(place)
    }

    /// Returns the positions of all targets, by name.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn places(&self) -> Result<Vec<(String, OutboxPosition)>, Error> {
        self.rows("SELECT target, state FROM told ORDER BY target")
            .await?
            .iter()
            .map(|row| {
                let target: String = row.try_get(0).map_err(self.error())?;
                let text: String = row.try_get(1).map_err(self.error())?;
                let damaged = || self.damaged(&format!("the position of target {target}"));
                let place = serde_json::from_str(&text).map_err(|_| damaged())?;
                Ok((target, place))
            })
            .collect()
    }

    /// Stores the position of a target.
    ///
    /// # Errors
    /// When it cannot be stored, or another process decides now.
    pub async fn put_place(&self, target: &str, place: &OutboxPosition) -> Result<(), Error> {
        let text =
            serde_json::to_string(place).map_err(|error| Error::Encode(error.to_string()))?;
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        self.fence(&mut transaction, &super::tokens::random_hex(12))
            .await?;
        sqlx::query(
            "INSERT INTO told (target, state) VALUES ($1, $2) ON CONFLICT (target) DO UPDATE SET \
             state = excluded.state",
        )
        .bind(target.to_owned())
        .bind(text)
        .execute(&mut *transaction)
        .await
        .map_err(self.error())?;
        transaction.commit().await.map_err(self.error())
    }

    /// Deletes old events.
    pub(super) async fn retain_events(
        &self,
        transaction: &mut Transaction<'_, Any>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let before = now
            .checked_sub(KEEP)
            .map_or(i64::MIN, Timestamp::as_millisecond);
        sqlx::query(
            "DELETE FROM outbox WHERE happened_at < $1 AND id < (SELECT MAX(id) FROM outbox)",
        )
        .bind(before)
        .execute(&mut **transaction)
        .await
        .map_err(self.error())?;
        Ok(())
    }
}
