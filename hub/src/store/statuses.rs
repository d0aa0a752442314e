//! The last statuses sent to forges, so that they need not be listed and nothing is sent twice.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Error, Store};
use crate::forge::status::{Key, SentStatus};

/// Number of rows that are kept: far more than commits that still matter.
const KEPT: i64 = 5_000;

impl Store {
    /// Returns the last status on each commit.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn statuses(&self) -> Result<BTreeMap<Key, SentStatus>, Error> {
        let rows = self
            .rows(
                "SELECT environment, repository, commit_id, change, sent_at FROM commit_statuses \
                 ORDER BY sent_at DESC LIMIT 5000",
            )
            .await?;
        let mut all = BTreeMap::new();
        for row in rows {
            let text = |index: usize| row.try_get::<String, _>(index).map_err(self.error());
            let damaged = || self.damaged("a commit's status");
            let key = Key {
                environment: text(0)?.parse().map_err(|_| damaged())?,
                repository: text(1)?.parse().map_err(|_| damaged())?,
                commit: text(2)?.parse().map_err(|_| damaged())?,
            };
            let at: i64 = row.try_get(4).map_err(self.error())?;
            let sent = SentStatus {
                change: text(3)?,
                at: Timestamp::from_millisecond(at).map_err(|_| damaged())?,
            };
            all.insert(key, sent);
        }
        Ok(all)
    }

    /// Stores a status that was sent.
    ///
    /// # Errors
    /// When it cannot be stored, or another process decides now.
    pub async fn put_status(&self, key: &Key, sent: &SentStatus) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        self.fence(&mut transaction, &super::tokens::random_hex(12))
            .await?;
        sqlx::query(
            "INSERT INTO commit_statuses (environment, repository, commit_id, change, sent_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, repository, commit_id) DO UPDATE \
             SET change = excluded.change, sent_at = excluded.sent_at",
        )
        .bind(key.environment.to_string())
        .bind(key.repository.to_string())
        .bind(key.commit.to_string())
        .bind(sent.change.clone())
        .bind(sent.at.as_millisecond())
        .execute(&mut *transaction)
        .await
        .map_err(self.error())?;
        sqlx::query(
            "DELETE FROM commit_statuses WHERE sent_at < (SELECT MIN(sent_at) FROM (SELECT sent_at \
             FROM commit_statuses ORDER BY sent_at DESC LIMIT $1) AS newest)",
        )
        .bind(KEPT)
        .execute(&mut *transaction)
        .await
        .map_err(self.error())?;
        transaction.commit().await.map_err(self.error())
    }
}
