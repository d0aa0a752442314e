//! Issuers of the clusters' certificates, which decide whether an old root may be removed.

use std::path::Path;

use sqlx::Row as _;

use super::backup::is_there;
use super::{Error, Store};
use crate::fleet::Credential;

/// Like [`Store::issuers`], for a data directory of a hub that may be running.
///
/// # Errors
/// When the store cannot be read.
pub async fn issuers(data_dir: &Path) -> Result<Vec<(String, String)>, Error> {
    let path = data_dir.join("hub.db");
    if !is_there(&path)? {
        return Ok(Vec::new());
    }
    let store = Store::sqlite(&path, None).await?;
    let issuers = store.issuers().await;
    store.close().await;
    issuers
}

impl Store {
    /// Returns each cluster that has a certificate, with SHA-256 of the certificate that signed it; empty: not known.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn issuers(&self) -> Result<Vec<(String, String)>, Error> {
        let rows = self
            .rows(
                "SELECT name, credential FROM clusters WHERE certificate_expires_at IS NOT NULL \
                 ORDER BY name",
            )
            .await?;
        rows.iter()
            .map(|row| {
                let name: String = row.try_get(0).map_err(self.error())?;
                let credential: Option<String> = row.try_get(1).map_err(self.error())?;
                let credential: Credential = match credential {
                    Some(text) => serde_json::from_str(&text)
                        .map_err(|_| self.damaged(&format!("cluster {name}")))?,
                    None => Credential::default(),
                };
                Ok((name, credential.issuer))
            })
            .collect()
    }
}
