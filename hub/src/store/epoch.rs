//! The epoch: raised after a restore of older state, so that the older state is never taken for the newer one (P8).
//! Rollouts in progress are ended in the same transaction, and all of it is audited.

use flotilla_shared::id::Epoch;
use flotilla_status::AuditAction;
use jiff::Timestamp;
use sqlx::{Any, Row as _, Transaction};

use super::{Error, Store};
use crate::fleet::rollout::Rollout;
use crate::fleet::{AuditEntry, EnvironmentState, forget_queue, leave_behind};

/// Actor of commands on the hub's own machine, in the audit log.
pub(super) const HOST: &str = "flotilla-hub";

/// The end of a store's audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AuditEnd {
    pub(super) entries: i64,
    pub(super) hash: String,
}

impl std::fmt::Display for AuditEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.entries {
            0 => f.write_str("no audit entries"),
            entries => write!(
                f,
                "{entries} audit entries, the last with hash {}",
                self.hash
            ),
        }
    }
}

impl Store {
    /// Returns the epoch of this store; a restore raises it.
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

    /// Returns when the epoch was raised; none: it is the first, or an older hub raised it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn epoch_since(&self) -> Result<Option<Timestamp>, Error> {
        let rows = self
            .rows("SELECT value FROM meta WHERE key = 'epoch_since'")
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let value: i64 = row.try_get(0).map_err(self.error())?;
        Ok(Timestamp::from_millisecond(value).ok())
    }

    /// Returns the end of the audit log.
    pub(super) async fn audit_end(&self) -> Result<AuditEnd, Error> {
        let rows = self
            .rows("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
            .await?;
        let Some(row) = rows.first() else {
            return Ok(AuditEnd::default());
        };
        Ok(AuditEnd {
            entries: row.try_get(0).map_err(self.error())?,
            hash: row.try_get(1).map_err(self.error())?,
        })
    }

    /// Raises the epoch, after a restore of older state. Returns the new one. A hub that runs on the store finds its
    /// term over, and starts again in the new epoch.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn raise_epoch(&self, reason: &str, now: Timestamp) -> Result<Epoch, Error> {
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        self.end_term(&mut transaction).await?;
        let present = self.epoch_in(&mut transaction).await?;
        let end = self.end_in(&mut transaction).await?;
        let next = present + 1;
        let entry = AuditEntry {
            at: now,
            actor: HOST.to_owned(),
            action: AuditAction::EpochRaise,
            reason: reason.to_owned(),
            detail: format!("epoch {present} to {next}; the store held {end}"),
            ..AuditEntry::default()
        };
        self.begin_epoch(&mut transaction, next, &entry, now)
            .await?;
        transaction.commit().await.map_err(self.error())?;
        Ok(Epoch(u64::try_from(next).unwrap_or(1)))
    }

    /// Ends the term of the deciding process: its next write is refused, and it ends.
    pub(super) async fn end_term(
        &self,
        transaction: &mut Transaction<'_, Any>,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE decider SET term = term + 1, expires_at = 0 WHERE id = 1")
            .execute(&mut **transaction)
            .await
            .map_err(self.error())?;
        Ok(())
    }

    async fn epoch_in(&self, transaction: &mut Transaction<'_, Any>) -> Result<i64, Error> {
        let row = sqlx::query("SELECT value FROM meta WHERE key = 'epoch'")
            .fetch_one(&mut **transaction)
            .await
            .map_err(self.error())?;
        row.try_get(0).map_err(self.error())
    }

    async fn end_in(&self, transaction: &mut Transaction<'_, Any>) -> Result<AuditEnd, Error> {
        let row = sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
            .fetch_optional(&mut **transaction)
            .await
            .map_err(self.error())?;
        let Some(row) = row else {
            return Ok(AuditEnd::default());
        };
        Ok(AuditEnd {
            entries: row.try_get(0).map_err(self.error())?,
            hash: row.try_get(1).map_err(self.error())?,
        })
    }

    /// Begins a new epoch: branches are read again before anything follows from them; rollouts in progress and queued
    /// commits belong to the older state and end.
    pub(super) async fn begin_epoch(
        &self,
        transaction: &mut Transaction<'_, Any>,
        epoch: i64,
        entry: &AuditEntry,
        now: Timestamp,
    ) -> Result<(), Error> {
        let error = || self.error();
        for (key, value) in [("epoch", epoch), ("epoch_since", now.as_millisecond())] {
            sqlx::query(
                "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) \
                 DO UPDATE SET value = excluded.value",
            )
            .bind(key)
            .bind(value)
            .execute(&mut **transaction)
            .await
            .map_err(error())?;
        }
        // Sessions that were ended since the backup must not be valid again.
        for statement in ["DELETE FROM heads", "DELETE FROM sessions"] {
            sqlx::query(statement)
                .execute(&mut **transaction)
                .await
                .map_err(error())?;
        }
        let rows = sqlx::query("SELECT content FROM rollouts WHERE ended_at IS NULL")
            .fetch_all(&mut **transaction)
            .await
            .map_err(error())?;
        for row in rows {
            let content: String = row.try_get(0).map_err(error())?;
            let mut rollout: Rollout =
                serde_json::from_str(&content).map_err(|_| self.damaged("a rollout"))?;
            leave_behind(&mut rollout, now);
            let content = serde_json::to_string(&rollout)
                .map_err(|error| Error::Encode(error.to_string()))?;
            sqlx::query(
                "UPDATE rollouts SET state = $1, ended_at = $2, content = $3 WHERE id = $4",
            )
            .bind(rollout.state.as_str())
            .bind(now.as_millisecond())
            .bind(content)
            .bind(rollout.id.clone())
            .execute(&mut **transaction)
            .await
            .map_err(error())?;
        }
        let rows = sqlx::query("SELECT name, content FROM environments")
            .fetch_all(&mut **transaction)
            .await
            .map_err(error())?;
        for row in rows {
            let name: String = row.try_get(0).map_err(error())?;
            let content: String = row.try_get(1).map_err(error())?;
            let mut state: EnvironmentState = serde_json::from_str(&content)
                .map_err(|_| self.damaged(&format!("environment {name}")))?;
            forget_queue(&mut state);
            let content =
                serde_json::to_string(&state).map_err(|error| Error::Encode(error.to_string()))?;
            sqlx::query("UPDATE environments SET content = $1 WHERE name = $2")
                .bind(content)
                .bind(name)
                .execute(&mut **transaction)
                .await
                .map_err(error())?;
        }
        self.append(transaction, &mut None, entry).await
    }
}
