//! The audit log: append-only, with each entry's hash over its own content and the hash before it, so that changed,
//! removed or moved entries are found (S13).

use flotilla_shared::digest::Digest;
use flotilla_status::AuditAction;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::{Error, Store};
use crate::fleet::AuditEntry;

/// Number of entries that are read at a time while the chain is verified.
const PAGE: i64 = 1000;
/// Highest number of clusters that an entry names; the rest is counted.
const MAX_CLUSTERS: usize = 200;

/// An entry with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Position: 1, 2, 3 and so on, without a gap.
    pub seq: i64,
    /// The entry.
    pub entry: AuditEntry,
    /// Hash over this entry and the one before.
    pub hash: String,
}

/// The first position where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {seq} {why}")]
pub struct BrokenChain {
    pub seq: i64,
    /// Description of the problem.
    pub why: String,
}

/// The end of the chain, known within a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tail {
    seq: i64,
    hash: String,
}

fn hash(before: &str, seq: i64, entry: &AuditEntry, clusters: &str) -> String {
    let numbers = format!("{seq} {}", entry.at.as_millisecond());
    Digest::of_parts([
        before.as_bytes(),
        numbers.as_bytes(),
        entry.actor.as_bytes(),
        entry.action.as_str().as_bytes(),
        entry.environment.as_bytes(),
        clusters.as_bytes(),
        entry.commit.as_bytes(),
        entry.reason.as_bytes(),
        entry.detail.as_bytes(),
    ])
    .to_string()
}

fn clusters(entry: &AuditEntry) -> String {
    let mut text = entry
        .clusters
        .iter()
        .take(MAX_CLUSTERS)
        .cloned()
        .collect::<Vec<_>>()
        .join(" ");
    if entry.clusters.len() > MAX_CLUSTERS {
        text.push_str(&format!(" +{}", entry.clusters.len() - MAX_CLUSTERS));
    }
    text
}

impl Store {
    /// Adds one entry, in a transaction of its own: for changes that are made in the store directly.
    ///
    /// # Errors
    /// When the store fails, or another process decides.
    pub async fn record(&self, entry: &AuditEntry) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        self.fence(&mut transaction, &super::tokens::random_hex(12))
            .await?;
        let mut tail = None;
        self.append(&mut transaction, &mut tail, entry).await?;
        transaction.commit().await.map_err(self.error())?;
        self.remember(tail);
        Ok(())
    }

    /// Remembers the end of the log, once that is on disk.
    pub(super) fn remember(&self, tail: Option<Tail>) {
        let Some(tail) = tail else { return };
        let mut known = self.tail.lock();
        if known.as_ref().is_none_or(|known| known.seq < tail.seq) {
            *known = Some(tail);
        }
    }

    /// Remembers the end of the log as it is found at the start.
    pub(super) async fn remember_end(&self) -> Result<(), Error> {
        let end = self.audit_end().await?;
        if end.entries > 0 {
            self.remember(Some(Tail {
                seq: end.entries,
                hash: end.hash,
            }));
        }
        Ok(())
    }

    pub(super) async fn append(
        &self,
        transaction: &mut Transaction<'_, Any>,
        tail: &mut Option<Tail>,
        entry: &AuditEntry,
    ) -> Result<(), Error> {
        let before = match tail.take() {
            Some(tail) => tail,
            None => {
                let row = sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
                    .fetch_optional(&mut **transaction)
                    .await
                    .map_err(self.error())?;
                match row {
                    Some(row) => Tail {
                        seq: row.try_get(0).map_err(self.error())?,
                        hash: row.try_get(1).map_err(self.error())?,
                    },
                    None => Tail {
                        seq: 0,
                        hash: String::new(),
                    },
                }
            }
        };
        let seq = before.seq + 1;
        let clusters = clusters(entry);
        let hash = hash(&before.hash, seq, entry, &clusters);
        sqlx::query(
            "INSERT INTO audit (seq, happened_at, actor, action, environment, clusters, commits, \
             reason, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(seq)
        .bind(entry.at.as_millisecond())
        .bind(entry.actor.clone())
        .bind(entry.action.as_str().to_owned())
        .bind(entry.environment.clone())
        .bind(clusters)
        .bind(entry.commit.clone())
        .bind(entry.reason.clone())
        .bind(entry.detail.clone())
        .bind(hash.clone())
        .execute(&mut **transaction)
        .await
        .map_err(self.error())?;
        *tail = Some(Tail { seq, hash });
        Ok(())
    }

    /// Returns entries after a position, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn audit_after(
        &self,
        seq: i64,
        environment: &str,
        limit: i64,
    ) -> Result<Vec<AuditRow>, Error> {
        let query = sqlx::query(
            "SELECT seq, happened_at, actor, action, environment, clusters, commits, reason, detail, \
             hash FROM audit WHERE seq > $1 AND ($2 = '' OR environment = $2) ORDER BY seq LIMIT $3",
        )
        .bind(seq)
        .bind(environment.to_owned())
        .bind(limit);
        let rows = self.rows_of(query).await?;
        rows.iter().map(|row| self.audit_row(row)).collect()
    }

    /// Returns the newest entries, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn audit_newest(
        &self,
        environment: &str,
        limit: i64,
    ) -> Result<Vec<AuditRow>, Error> {
        let query = sqlx::query(
            "SELECT seq, happened_at, actor, action, environment, clusters, commits, reason, detail, \
             hash FROM audit WHERE ($1 = '' OR environment = $1) ORDER BY seq DESC LIMIT $2",
        )
        .bind(environment.to_owned())
        .bind(limit);
        let rows = self.rows_of(query).await?;
        rows.iter().rev().map(|row| self.audit_row(row)).collect()
    }

    fn audit_row(&self, row: &AnyRow) -> Result<AuditRow, Error> {
        let text = |index: usize| row.try_get::<String, _>(index).map_err(self.error());
        let number = |index: usize| row.try_get::<i64, _>(index).map_err(self.error());
        let seq = number(0)?;
        Ok(AuditRow {
            seq,
            entry: AuditEntry {
                at: Timestamp::from_millisecond(number(1)?)
                    .map_err(|_| self.damaged(&format!("audit entry {seq}")))?,
                actor: text(2)?,
                action: AuditAction::kept(text(3)?),
                environment: text(4)?,
                clusters: text(5)?.split_whitespace().map(ToOwned::to_owned).collect(),
                commit: text(6)?,
                reason: text(7)?,
                detail: text(8)?,
                rollout: None,
            },
            hash: text(9)?,
        })
    }

    /// Verifies the whole chain, also against what this process has seen of it. Returns the number of verified entries
    /// and the hash of the last one, which operators record elsewhere.
    ///
    /// # Errors
    /// When the log cannot be read; the inner error is the first position where the chain is broken.
    pub async fn verify_audit(&self) -> Result<Result<(i64, String), BrokenChain>, Error> {
        let (mut seq, mut last) = (0i64, String::new());
        // A chain that was rewritten as a whole is consistent, so the end that this process wrote is compared, too.
        let known = self.tail.lock().clone();
        loop {
            let rows = self.audit_after(seq, "", PAGE).await?;
            if rows.is_empty() {
                return Ok(match known {
                    Some(known) if known.seq > seq => Err(BrokenChain {
                        seq: known.seq,
                        why: format!("is missing, but this hub has seen it: only {seq} are left"),
                    }),
                    _ => Ok((seq, last)),
                });
            }
            for row in rows {
                let broken = |why: &str| {
                    Ok(Err(BrokenChain {
                        seq: row.seq,
                        why: why.to_owned(),
                    }))
                };
                if row.seq != seq + 1 {
                    return broken("follows a gap: entries before it were removed");
                }
                let clusters = row.entry.clusters.join(" ");
                if hash(&last, row.seq, &row.entry, &clusters) != row.hash {
                    return broken("was changed, or the one before it was");
                }
                if known
                    .as_ref()
                    .is_some_and(|known| known.seq == row.seq && known.hash != row.hash)
                {
                    return broken(
                        "differs from the one that this hub has seen: the log was rewritten",
                    );
                }
                seq = row.seq;
                last = row.hash;
            }
        }
    }
}
