//! The authority that a store belongs to. A hub process with another certificate authority could take the lease, would
//! refuse every agent and operator, and let its own operators read the fleet.

use flotilla_status::AuditAction;
use jiff::Timestamp;
use sqlx::Row as _;

use super::epoch::HOST;
use super::{Error, Store};
use crate::fleet::AuditEntry;

const KEY: &str = "authority";

impl Store {
    /// Proves that this process has the store's authority, by a root that both have; a store without an authority is
    /// bound to this one.
    ///
    /// # Errors
    /// [`Error::OtherAuthority`] when the store belongs to another authority.
    pub async fn prove_authority(&self, roots: &[String]) -> Result<(), Error> {
        sqlx::query("INSERT INTO facts (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
            .bind(KEY)
            .bind(roots.join("\n"))
            .execute(&self.pool)
            .await
            .map_err(self.error())?;
        let row = self
            .row("SELECT value FROM facts WHERE key = 'authority'")
            .await?;
        let named: String = row.try_get(0).map_err(self.error())?;
        if named
            .lines()
            .any(|root| roots.iter().any(|own| own == root))
        {
            return Ok(());
        }
        Err(Error::OtherAuthority {
            store: self.name.to_string(),
            named: named.replace('\n', ", "),
            own: roots.join(", "),
        })
    }

    /// Records the authority's present roots, during a rotation.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn name_authority(&self, roots: &[String]) -> Result<(), Error> {
        sqlx::query("UPDATE facts SET value = $1 WHERE key = $2 AND value <> $1")
            .bind(roots.join("\n"))
            .bind(KEY)
            .execute(&self.pool)
            .await
            .map_err(self.error())?;
        Ok(())
    }

    /// Binds the store to another authority: an operator's decision, after the old one was lost.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn adopt_authority(&self, roots: &[String], now: Timestamp) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await.map_err(self.error())?;
        self.end_term(&mut transaction).await?;
        sqlx::query(
            "INSERT INTO facts (key, value) VALUES ($1, $2) ON CONFLICT (key) \
             DO UPDATE SET value = excluded.value",
        )
        .bind(KEY)
        .bind(roots.join("\n"))
        .execute(&mut *transaction)
        .await
        .map_err(self.error())?;
        let entry = AuditEntry {
            at: now,
            actor: HOST.to_owned(),
            action: AuditAction::AuthorityAdopt,
            detail: format!("roots {}", roots.join(", ")),
            ..AuditEntry::default()
        };
        self.append(&mut transaction, &mut None, &entry).await?;
        transaction.commit().await.map_err(self.error())
    }
}
