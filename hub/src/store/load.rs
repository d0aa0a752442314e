//! Reads everything back at start-up.

use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ClusterName, Epoch};
use flotilla_shared::wire::{decode_assignment, decode_report};
use jiff::Timestamp;
use prost::Message as _;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Error, Store};
use crate::fleet::rollout::Rollout;
use crate::fleet::{ClusterRecord, Event, Head, StoredAssignment, StoredCluster};

impl Store {
    /// Returns everything that was stored, as the fleet's first event.
    ///
    /// # Errors
    /// When a row cannot be read back: serving from incomplete data would be worse than not serving.
    pub async fn load(&self) -> Result<Event, Error> {
        self.remember_end().await?;
        let mut heads = Vec::new();
        for row in self
            .rows("SELECT repository, branch, commit_id, seen_at, moved FROM heads")
            .await?
        {
            let damaged = || self.damaged("a branch head");
            let text = |index: usize| row.try_get::<String, _>(index).map_err(self.error());
            let commit: Option<String> = row.try_get(2).map_err(self.error())?;
            let seen_at: Option<i64> = row.try_get(3).map_err(self.error())?;
            let moved: i64 = row.try_get(4).map_err(self.error())?;
            let head = Head {
                moved: moved != 0,
                commit: commit
                    .map(|c| c.parse())
                    .transpose()
                    .map_err(|_| damaged())?,
                seen_at: seen_at.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
                ..Head::default()
            };
            let key = (
                text(0)?.parse().map_err(|_| damaged())?,
                text(1)?.parse().map_err(|_| damaged())?,
            );
            heads.push((key, head));
        }
        let mut clusters = Vec::new();
        for row in self
            .rows(
                "SELECT c.name, c.environment, c.labels, c.created_at, c.cluster_uid, c.pending, \
                 c.certificate_expires_at, a.content, r.content, c.pin, c.credential, r.current_since, c.suspended, c.let_go FROM clusters c \
                 LEFT JOIN assignments a ON a.cluster = c.name \
                 LEFT JOIN reports r ON r.cluster = c.name",
            )
            .await?
        {
            clusters.push(self.cluster(&row)?);
        }
        let mut environments = Vec::new();
        for row in self.rows("SELECT name, content FROM environments").await? {
            let name: String = row.try_get(0).map_err(self.error())?;
            let content: String = row.try_get(1).map_err(self.error())?;
            let damaged = || self.damaged(&format!("environment {name}"));
            let state = serde_json::from_str(&content).map_err(|_| damaged())?;
            environments.push((name.parse().map_err(|_| damaged())?, state));
        }
        Ok(Event::Restored {
            heads,
            clusters,
            environments,
            rollouts: self.last_rollouts().await?,
            retired: self.retired().await?,
            specifications: self.specifications().await?,
        })
    }

    /// Returns the last certificate number of each released name.
    async fn retired(&self) -> Result<Vec<(ClusterName, u64)>, Error> {
        let rows = self.rows("SELECT name, counter FROM retired").await?;
        rows.iter()
            .map(|row| {
                let name: String = row.try_get(0).map_err(self.error())?;
                let counter: i64 = row.try_get(1).map_err(self.error())?;
                let damaged = || self.damaged(&format!("the former cluster {name}"));
                Ok((
                    name.parse().map_err(|_| damaged())?,
                    u64::try_from(counter).map_err(|_| damaged())?,
                ))
            })
            .collect()
    }

    /// Returns the last rollout of each environment, with its clusters.
    async fn last_rollouts(&self) -> Result<Vec<Rollout>, Error> {
        // A rollout that was not over when the next one began counts as over, whatever its row says.
        let rows = self
            .rows(
                "SELECT content FROM rollouts WHERE number = (SELECT MAX(o.number) FROM rollouts o \
                 WHERE o.environment = rollouts.environment)",
            )
            .await?;
        let mut rollouts: Vec<Rollout> = Vec::new();
        for row in &rows {
            let content: String = row.try_get(0).map_err(self.error())?;
            let rollout = serde_json::from_str(&content);
            rollouts.push(rollout.map_err(|_| self.damaged("a rollout"))?);
        }
        for rollout in &mut rollouts {
            rollout.clusters = self.progress(&rollout.id).await?;
        }
        Ok(rollouts)
    }

    fn cluster(&self, row: &AnyRow) -> Result<StoredCluster, Error> {
        let name: String = row.try_get(0).map_err(self.error())?;
        let damaged = || self.damaged(&format!("cluster {name}"));
        let environment: Option<String> = row.try_get(1).map_err(self.error())?;
        let labels: String = row.try_get(2).map_err(self.error())?;
        let created_at: i64 = row.try_get(3).map_err(self.error())?;
        let expires_at: Option<i64> = row.try_get(6).map_err(self.error())?;
        let pin: Option<String> = row.try_get(9).map_err(self.error())?;
        let credential: Option<String> = row.try_get(10).map_err(self.error())?;
        let suspended: Option<String> = row.try_get(12).map_err(self.error())?;
        let let_go: Option<i64> = row.try_get(13).map_err(self.error())?;
        let record = ClusterRecord {
            suspended: suspended
                .map(|mark| serde_json::from_str(&mark))
                .transpose()
                .map_err(|_| damaged())?,
            environment: environment
                .map(|e| e.parse())
                .transpose()
                .map_err(|_| damaged())?,
            labels: serde_json::from_str(&labels).map_err(|_| damaged())?,
            created_at: Timestamp::from_millisecond(created_at).map_err(|_| damaged())?,
            cluster_uid: row.try_get(4).map_err(self.error())?,
            pending: row.try_get(5).map_err(self.error())?,
            certificate_expires_at: expires_at.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            pin: pin
                .map(|pin| serde_json::from_str(&pin))
                .transpose()
                .map_err(|_| damaged())?,
            credential: credential
                .map(|credential| serde_json::from_str(&credential))
                .transpose()
                .map_err(|_| damaged())?
                .unwrap_or_default(),
            let_go: let_go
                .and_then(|epoch| u64::try_from(epoch).ok())
                .map(Epoch),
        };
        let assignment: Option<Vec<u8>> = row.try_get(7).map_err(self.error())?;
        let assignment = assignment
            .map(|content| {
                let digest = Digest::of(&content).as_bytes().to_vec();
                decode_assignment(&v1::Assignment {
                    content: content.into(),
                    digest,
                })
            })
            .transpose()
            .map_err(|_| damaged())?
            .map(|decoded| StoredAssignment {
                decoded: Arc::new(decoded),
            });
        let report: Option<Vec<u8>> = row.try_get(8).map_err(self.error())?;
        // The agent sends its report again, so a damaged one is dropped.
        let report = report
            .and_then(|content| v1::Report::decode(content.as_slice()).ok())
            .and_then(|wire| decode_report(&wire).ok());
        let current_since: Option<i64> = row.try_get(11).map_err(self.error())?;
        Ok(StoredCluster {
            current_since: current_since.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            name: name.parse().map_err(|_| damaged())?,
            record,
            assignment,
            report,
        })
    }
}
