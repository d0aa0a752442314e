//! Writing a batch: one transaction, and one statement for many rows of a table. Ten thousand assignments are then
//! forty statements; each as its own takes four times as long.

use std::collections::BTreeMap;

use flotilla_shared::id::ClusterName;
use flotilla_shared::report::Report;
use flotilla_shared::wire::encode_report;
use jiff::Timestamp;
use prost::Message as _;
use sqlx::{Any, Transaction};

use super::audit::Tail;
use super::{Engine, Error, STATEMENT_TIMEOUT, Store, lease};
use crate::fleet::rollout::Progress;
use crate::fleet::{ClusterRecord, Effect, StoredAssignment};

/// Rows of one statement: far below the 32,766 parameters that SQLite supports, and enough that the cost of a statement
/// does not matter.
const ROWS: usize = 256;

/// A row's value.
enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Bytes(Vec<u8>),
}

/// A table whose rows are written many at a time.
struct Table {
    insert: &'static str,
    columns: usize,
    conflict: &'static str,
}

const CLUSTERS: Table = Table {
    insert: "INSERT INTO clusters (name, environment, labels, created_at, cluster_uid, pending, \
             certificate_expires_at, pin, credential, suspended, let_go) VALUES ",
    columns: 11,
    conflict: " ON CONFLICT (name) DO UPDATE SET environment = excluded.environment, \
               labels = excluded.labels, cluster_uid = excluded.cluster_uid, \
               pending = excluded.pending, \
               certificate_expires_at = excluded.certificate_expires_at, pin = excluded.pin, \
               credential = excluded.credential, suspended = excluded.suspended, \
               let_go = excluded.let_go",
};

const ASSIGNMENTS: Table = Table {
    insert: "INSERT INTO assignments (cluster, content) VALUES ",
    columns: 2,
    conflict: " ON CONFLICT (cluster) DO UPDATE SET content = excluded.content",
};

const REPORTS: Table = Table {
    insert: "INSERT INTO reports (cluster, content, received_at, current_since) VALUES ",
    columns: 4,
    conflict: " ON CONFLICT (cluster) DO UPDATE SET content = excluded.content, \
               received_at = excluded.received_at, current_since = excluded.current_since",
};

const PROGRESS: Table = Table {
    insert: "INSERT INTO progress (rollout, cluster, content) VALUES ",
    columns: 3,
    conflict: " ON CONFLICT (rollout, cluster) DO UPDATE SET content = excluded.content",
};

impl Table {
    /// SQLite's driver looks each parameter up by its name, through all of them; those without a name need no lookup.
    /// PostgreSQL requires numbers.
    fn statement(&self, rows: usize, engine: Engine) -> String {
        let mut text = self.insert.to_owned();
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..self.columns {
                let separator = if column == 0 { "" } else { ", " };
                text.push_str(separator);
                match engine {
                    Engine::Sqlite => text.push('?'),
                    Engine::Postgres => {
                        text.push_str(&format!("${}", row * self.columns + column + 1));
                    }
                }
            }
            text.push(')');
        }
        text.push_str(self.conflict);
        text
    }
}

/// Rows that wait to be written together. Of several for one key only the newest counts, which a single statement
/// requires, too; sorted by key, so that neighbours share pages.
#[derive(Default)]
struct PendingRows<'a> {
    clusters: BTreeMap<&'a ClusterName, &'a ClusterRecord>,
    assignments: BTreeMap<&'a ClusterName, &'a StoredAssignment>,
    reports: BTreeMap<&'a ClusterName, (&'a Report, Option<Timestamp>)>,
    progress: BTreeMap<(&'a str, &'a ClusterName), &'a Progress>,
}

impl Store {
    /// Stores the storable effects of a batch, all or none, durably. `batch` is its id: where the outcome of an earlier
    /// try is not known, a batch that was stored is not written twice (S7).
    ///
    /// # Errors
    /// When they could not be stored; then none of the batch's sends may happen. [`Error::Fenced`] when another process
    /// decides now.
    pub async fn apply(
        &self,
        batch: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<(), Error> {
        if !effects.iter().any(Effect::is_stored) {
            return Ok(());
        }
        tokio::time::timeout(STATEMENT_TIMEOUT, self.write_all(batch, effects, now))
            .await
            .unwrap_or_else(|_| Err(Error::Timeout(self.name.to_string())))
    }

    async fn write_all(
        &self,
        batch: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        if self.fence(&mut transaction, batch).await? == lease::Fence::AlreadyWritten {
            return Ok(());
        }
        let chain = self.put_all(&mut transaction, effects, now).await?;
        transaction.commit().await.map_err(self.error())?;
        self.remember(chain);
        Ok(())
    }

    /// Writes the storable ones of these effects into a transaction. Returns the new end of the audit log; none:
    /// nothing was added to it.
    pub(super) async fn put_all(
        &self,
        transaction: &mut Transaction<'_, Any>,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<Option<Tail>, Error> {
        let mut chain = None;
        let mut waiting = PendingRows::default();
        for effect in effects {
            match effect {
                Effect::Audit(entry) => {
                    self.append(transaction, &mut chain, entry).await?;
                    if let Some(event) = crate::notify::entry::of_entry(entry) {
                        self.push_event(transaction, &event).await?;
                    }
                }
                Effect::StoreCluster(name, record) => {
                    waiting.clusters.insert(name, record);
                }
                Effect::StoreAssignment(name, assignment) => {
                    waiting.assignments.insert(name, assignment);
                }
                Effect::StoreReport(name, report, since) => {
                    waiting.reports.insert(name, (report, *since));
                }
                Effect::StoreProgress(rollout, cluster, progress) => {
                    waiting.progress.insert((rollout, cluster), progress);
                }
                Effect::DeleteCluster(..) | Effect::DeleteProgress(..) => {
                    // A delete covers the rows before it in the batch, and not those after it.
                    let before = std::mem::take(&mut waiting);
                    self.flush(transaction, before, now).await?;
                    self.write(transaction, effect).await?;
                }
                effect => self.write(transaction, effect).await?,
            }
        }
        self.flush(transaction, waiting, now).await?;
        Ok(chain)
    }

    async fn flush(
        &self,
        transaction: &mut Transaction<'_, Any>,
        waiting: PendingRows<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let clusters = waiting
            .clusters
            .into_iter()
            .map(|(name, record)| cluster_row(name, record));
        self.upsert(transaction, &CLUSTERS, clusters).await?;
        let assignments = waiting.assignments.into_iter().map(|(name, assignment)| {
            let content = assignment.decoded.content.to_vec();
            Ok(vec![text(name), Value::Bytes(content)])
        });
        self.upsert(transaction, &ASSIGNMENTS, assignments).await?;
        let reports = waiting.reports.into_iter().map(|(name, (report, since))| {
            Ok(vec![
                text(name),
                Value::Bytes(encode_report(report).encode_to_vec()),
                Value::Number(Some(now.as_millisecond())),
                Value::Number(since.map(Timestamp::as_millisecond)),
            ])
        });
        self.upsert(transaction, &REPORTS, reports).await?;
        let progress = waiting
            .progress
            .into_iter()
            .map(|((rollout, cluster), progress)| {
                Ok(vec![
                    text(rollout),
                    text(cluster),
                    Value::Text(Some(json(progress)?)),
                ])
            });
        self.upsert(transaction, &PROGRESS, progress).await
    }

    async fn upsert(
        &self,
        transaction: &mut Transaction<'_, Any>,
        table: &Table,
        rows: impl ExactSizeIterator<Item = Result<Vec<Value>, Error>> + Send,
    ) -> Result<(), Error> {
        let mut left = rows.len();
        let mut rows = rows;
        while left > 0 {
            // Batch sizes are powers of two, so that there are few prepared statements.
            let count = ROWS.min(1 << left.ilog2());
            let mut query = sqlx::query(sqlx::AssertSqlSafe(table.statement(count, self.engine)));
            for row in rows.by_ref().take(count) {
                for value in row? {
                    query = match value {
                        Value::Text(text) => query.bind(text),
                        Value::Number(number) => query.bind(number),
                        Value::Bytes(bytes) => query.bind(bytes),
                    };
                }
            }
            query
                .execute(&mut **transaction)
                .await
                .map_err(self.error())?;
            left -= count;
        }
        Ok(())
    }

    async fn write(
        &self,
        transaction: &mut Transaction<'_, Any>,
        effect: &Effect,
    ) -> Result<(), Error> {
        let query = match effect {
            Effect::Send(..)
            | Effect::RequestReport(..)
            | Effect::AskJobs(..)
            | Effect::RequestRenewal(..)
            | Effect::Close(..)
            | Effect::Measure(..)
            | Effect::Audit(_)
            | Effect::StoreCluster(..)
            | Effect::StoreAssignment(..)
            | Effect::StoreReport(..)
            | Effect::StoreProgress(..) => return Ok(()),
            Effect::StoreHead(repository, branch, head) => sqlx::query(
                "INSERT INTO heads (repository, branch, commit_id, seen_at, moved) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (repository, branch) DO UPDATE SET \
                 commit_id = excluded.commit_id, seen_at = excluded.seen_at, moved = excluded.moved",
            )
            .bind(repository.to_string())
            .bind(branch.to_string())
            .bind(head.commit.as_ref().map(ToString::to_string))
            .bind(head.seen_at.map(Timestamp::as_millisecond))
            .bind(i64::from(head.moved)),
            Effect::DeleteCluster(name) => {
                for sql in [
                    "DELETE FROM assignments WHERE cluster = $1",
                    "DELETE FROM reports WHERE cluster = $1",
                ] {
                    sqlx::query(sql)
                        .bind(name.to_string())
                        .execute(&mut **transaction)
                        .await
                        .map_err(self.error())?;
                }
                sqlx::query("DELETE FROM clusters WHERE name = $1").bind(name.to_string())
            }
            Effect::StoreEnvironment(name, state) => sqlx::query(
                "INSERT INTO environments (name, content) VALUES ($1, $2) ON CONFLICT (name) \
                 DO UPDATE SET content = excluded.content",
            )
            .bind(name.to_string())
            .bind(json(state)?),
            Effect::StoreSpecification(revision, specification) => sqlx::query(
                "INSERT INTO specifications (revision, content) VALUES ($1, $2) \
                 ON CONFLICT (revision) DO NOTHING",
            )
            .bind(revision.to_string())
            .bind(json(&**specification)?),
            Effect::DeleteSpecification(revision) => {
                sqlx::query("DELETE FROM specifications WHERE revision = $1")
                    .bind(revision.to_string())
            }
            Effect::StoreRollout(rollout) => sqlx::query(
                "INSERT INTO rollouts (id, environment, state, created_at, ended_at, content, number) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET \
                 state = excluded.state, ended_at = excluded.ended_at, content = excluded.content",
            )
            .bind(rollout.id.clone())
            .bind(rollout.environment.to_string())
            .bind(rollout.state.as_str())
            .bind(rollout.created_at.as_millisecond())
            .bind(rollout.ended_at.map(Timestamp::as_millisecond))
            .bind(json(rollout)?)
            .bind(i64::try_from(rollout.number()).unwrap_or(i64::MAX)),
            Effect::RedeemToken(id, by) => sqlx::query(
                "UPDATE tokens SET redeemed_at = $1, redeemed_by = $2, redeemed_key = $3 \
                 WHERE id = $4",
            )
            .bind(by.at.as_millisecond())
            .bind(by.cluster.to_string())
            .bind(by.key.clone())
            .bind(id.clone()),
            Effect::RevokeToken(id, at) => {
                sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE id = $2")
                    .bind(at.as_millisecond())
                    .bind(id.clone())
            }
            Effect::Retire(name, counter) => sqlx::query(
                "INSERT INTO retired (name, counter) VALUES ($1, $2) ON CONFLICT (name) \
                 DO UPDATE SET counter = excluded.counter",
            )
            .bind(name.to_string())
            .bind(i64::try_from(*counter).unwrap_or(i64::MAX)),
            Effect::DeleteProgress(rollout, cluster) => {
                sqlx::query("DELETE FROM progress WHERE rollout = $1 AND cluster = $2")
                    .bind(rollout.clone())
                    .bind(cluster.to_string())
            }
        };
        query
            .execute(&mut **transaction)
            .await
            .map_err(self.error())?;
        Ok(())
    }
}

fn text(value: &(impl ToString + ?Sized)) -> Value {
    Value::Text(Some(value.to_string()))
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(error.to_string()))
}

fn cluster_row(name: &ClusterName, record: &ClusterRecord) -> Result<Vec<Value>, Error> {
    Ok(vec![
        text(name),
        Value::Text(record.environment.as_ref().map(ToString::to_string)),
        Value::Text(Some(json(&record.labels)?)),
        Value::Number(Some(record.created_at.as_millisecond())),
        text(&record.cluster_uid),
        Value::Text(record.pending.clone()),
        Value::Number(record.certificate_expires_at.map(Timestamp::as_millisecond)),
        Value::Text(record.pin.as_ref().map(json).transpose()?),
        Value::Text(Some(json(&record.credential)?)),
        Value::Text(record.suspended.as_ref().map(json).transpose()?),
        Value::Number(record.let_go.and_then(|epoch| i64::try_from(epoch.0).ok())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_a_parameter_for_each_value_of_each_row() {
        assert_eq!(
            ASSIGNMENTS.statement(2, Engine::Postgres),
            "INSERT INTO assignments (cluster, content) VALUES ($1, $2), ($3, $4) \
             ON CONFLICT (cluster) DO UPDATE SET content = excluded.content"
        );
        let text = REPORTS.statement(2, Engine::Sqlite);
        assert!(
            text.contains(" VALUES (?, ?, ?, ?), (?, ?, ?, ?) ON"),
            "{text}"
        );
    }
}
