//! Roles of operators. Kept here and not in certificates, so that they can be removed at once.

use std::collections::BTreeSet;

use flotilla_shared::id::{EnvironmentName, OperatorName};
pub use flotilla_shared::role::Role;
use jiff::Timestamp;
use sqlx::Row as _;

use super::{Error, Store};

/// The role of an operator, and its environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub name: OperatorName,
    pub role: Role,
    /// Environments of the role; empty: all.
    pub environments: BTreeSet<EnvironmentName>,
    /// Who granted it.
    pub changed_by: String,
    pub changed_at: Timestamp,
}

impl Grant {
    /// Makes an admin's grant, for all environments.
    #[must_use]
    pub fn admin(name: &OperatorName, now: Timestamp) -> Self {
        Self {
            name: name.clone(),
            role: Role::Admin,
            environments: BTreeSet::new(),
            changed_by: name.to_string(),
            changed_at: now,
        }
    }
}

impl Store {
    /// Returns the grants of all operators.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn grants(&self) -> Result<Vec<Grant>, Error> {
        let rows = self
            .rows("SELECT name, role, environments, changed_by, changed_at FROM operators ORDER BY name")
            .await?;
        rows.iter()
            .map(|row| {
                let text = |index: usize| row.try_get::<String, _>(index).map_err(self.error());
                let name = text(0)?;
                let damaged = || self.damaged(&format!("operator {name}"));
                let changed_at: i64 = row.try_get(4).map_err(self.error())?;
                Ok(Grant {
                    name: name.parse().map_err(|_| damaged())?,
                    role: text(1)?.parse().map_err(|_| damaged())?,
                    environments: serde_json::from_str(&text(2)?).map_err(|_| damaged())?,
                    changed_by: text(3)?,
                    changed_at: Timestamp::from_millisecond(changed_at).map_err(|_| damaged())?,
                })
            })
            .collect()
    }

    /// Sets the role of an operator.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn grant(&self, grant: &Grant) -> Result<(), Error> {
        let environments = serde_json::to_string(&grant.environments)
            .map_err(|error| Error::Encode(error.to_string()))?;
        sqlx::query(
            "INSERT INTO operators (name, role, environments, changed_by, changed_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET role = excluded.role, \
             environments = excluded.environments, changed_by = excluded.changed_by, \
             changed_at = excluded.changed_at",
        )
        .bind(grant.name.to_string())
        .bind(grant.role.as_str())
        .bind(environments)
        .bind(grant.changed_by.clone())
        .bind(grant.changed_at.as_millisecond())
        .execute(&self.pool)
        .await
        .map_err(self.error())?;
        Ok(())
    }

    /// Removes all rights of an operator.
    ///
    /// # Errors
    /// When that cannot be stored.
    pub async fn ungrant(&self, operator: &OperatorName) -> Result<(), Error> {
        sqlx::query("DELETE FROM operators WHERE name = $1")
            .bind(operator.to_string())
            .execute(&self.pool)
            .await
            .map_err(self.error())?;
        Ok(())
    }
}
