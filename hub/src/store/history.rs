//! Past rollouts, and retention.

use std::collections::BTreeMap;

use flotilla_shared::id::ClusterName;
use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;

use super::{Error, Store};
use crate::fleet::rollout::{Progress, Rollout};

/// Time for which ended rollouts are kept.
const KEEP: SignedDuration = SignedDuration::from_hours(24 * 365);
/// Number of ended rollouts of each environment that are kept at least; ten times that at most.
const KEEP_EACH: i64 = 100;
/// Time for which used, revoked and expired tokens are kept, so that operators can see what happened to them.
const KEEP_TOKENS: SignedDuration = SignedDuration::from_hours(24 * 30);

/// A past or present rollout.
pub type RolloutRow = Rollout;

impl Store {
    /// Returns the newest rollouts, newest first, without their clusters: of one environment by their numbers, of all
    /// environments by time, which is the only order that they have in common.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn rollouts(&self, environment: &str, limit: i64) -> Result<Vec<RolloutRow>, Error> {
        let query = sqlx::query(
            "SELECT content FROM rollouts WHERE ($1 = '' OR environment = $1) \
             ORDER BY CASE WHEN $1 = '' THEN created_at ELSE number END DESC, number DESC, id LIMIT $2",
        )
        .bind(environment.to_owned())
        .bind(limit);
        self.rows_of(query)
            .await?
            .iter()
            .map(|row| {
                let content: String = row.try_get(0).map_err(self.error())?;
                serde_json::from_str(&content).map_err(|_| self.damaged("a rollout"))
            })
            .collect()
    }

    /// Returns a rollout with its clusters.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn rollout(&self, id: &str) -> Result<Option<RolloutRow>, Error> {
        let row = sqlx::query("SELECT content FROM rollouts WHERE id = $1")
            .bind(id.to_owned())
            .fetch_optional(&self.pool)
            .await
            .map_err(self.error())?;
        let Some(row) = row else { return Ok(None) };
        let content: String = row.try_get(0).map_err(self.error())?;
        let mut rollout: Rollout =
            serde_json::from_str(&content).map_err(|_| self.damaged("a rollout"))?;
        rollout.clusters = self.progress(id).await?;
        Ok(Some(rollout))
    }

    pub(super) async fn progress(
        &self,
        rollout: &str,
    ) -> Result<BTreeMap<ClusterName, Progress>, Error> {
        let query = sqlx::query("SELECT cluster, content FROM progress WHERE rollout = $1")
            .bind(rollout.to_owned());
        self.rows_of(query)
            .await?
            .iter()
            .map(|row| {
                let damaged = || self.damaged(&format!("progress of rollout {rollout}"));
                let cluster: String = row.try_get(0).map_err(self.error())?;
                let content: String = row.try_get(1).map_err(self.error())?;
                Ok((
                    cluster.parse().map_err(|_| damaged())?,
                    serde_json::from_str(&content).map_err(|_| damaged())?,
                ))
            })
            .collect()
    }

    /// Deletes old records: ended rollouts and tokens (S14). Never the audit log, never what is in force.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retain(&self, now: Timestamp) -> Result<(), Error> {
        let before = |keep: SignedDuration| {
            now.checked_sub(keep)
                .map_or(i64::MIN, Timestamp::as_millisecond)
        };
        // Counted within each environment, so that busy ones do not push out the history of a quiet one.
        let newer = "(SELECT COUNT(*) FROM rollouts o WHERE o.environment = rollouts.environment \
                     AND o.number > rollouts.number)";
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "DELETE FROM rollouts WHERE ended_at IS NOT NULL AND (({newer} >= $1 AND \
             ended_at < $2) OR {newer} >= $3)"
        )))
        .bind(KEEP_EACH)
        .bind(before(KEEP))
        .bind(KEEP_EACH * 10)
        .execute(&mut *transaction)
        .await
        .map_err(self.error())?;
        sqlx::query("DELETE FROM progress WHERE rollout NOT IN (SELECT id FROM rollouts)")
            .execute(&mut *transaction)
            .await
            .map_err(self.error())?;
        sqlx::query("DELETE FROM tokens WHERE expires_at < $1")
            .bind(before(KEEP_TOKENS))
            .execute(&mut *transaction)
            .await
            .map_err(self.error())?;
        self.retain_events(&mut transaction, now).await?;
        transaction.commit().await.map_err(self.error())
    }
}
