//! Join tokens: single-use, expiring, kept as hashes.

use std::collections::BTreeMap;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ClusterName, EnvironmentName};
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Error, Store};

/// A token to be made.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// The only name it may be redeemed for; none: any.
    pub cluster: Option<ClusterName>,
    /// Where the cluster will belong.
    pub environment: Option<EnvironmentName>,
    /// The cluster's labels.
    pub labels: BTreeMap<String, String>,
    /// End of its use.
    pub expires_at: Timestamp,
    /// No second step by a person.
    pub auto_accept: bool,
    /// Who asked for it.
    pub created_by: String,
}

/// A token as it is kept: without its secret.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its public part.
    pub id: String,
    /// What was asked for.
    pub token: NewToken,
    /// When it was redeemed; none: not yet.
    pub redeemed_at: Option<Timestamp>,
    /// For which cluster.
    pub redeemed_by: Option<String>,
}

/// A token that is good for a key.
#[derive(Debug, Clone)]
pub struct Redeemed {
    /// What it allows.
    pub token: NewToken,
    /// Whether this call was the one that used it up.
    pub first: bool,
}

/// A token is not good. One error for all causes, so that a guesser learns nothing.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Unknown, expired, revoked, used by another key, or for another cluster.
    #[error(
        "the join token is not valid for this cluster: create a new one with `flotilla token create`"
    )]
    Invalid,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Text form: `flt_<id>_<secret>`, both hexadecimal.
const PREFIX: &str = "flt_";

impl Store {
    /// Makes a token and returns its text, which is kept nowhere.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn create_token(&self, new: &NewToken) -> Result<(String, Token), Error> {
        let id = random_hex(6);
        let secret = random_hex(32);
        sqlx::query(
            "INSERT INTO tokens (id, hash, cluster, environment, labels, expires_at, auto_accept, \
             created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id.clone())
        .bind(Digest::of(secret.as_bytes()).to_string())
        .bind(new.cluster.as_ref().map(ToString::to_string))
        .bind(new.environment.as_ref().map(ToString::to_string))
        .bind(serde_json::to_string(&new.labels).unwrap_or_default())
        .bind(new.expires_at.as_millisecond())
        .bind(i64::from(new.auto_accept))
        .bind(new.created_by.clone())
        .execute(&self.pool)
        .await
        .map_err(self.error())?;
        let token = Token {
            id: id.clone(),
            token: new.clone(),
            redeemed_at: None,
            redeemed_by: None,
        };
        Ok((format!("{PREFIX}{id}_{secret}"), token))
    }

    /// All tokens that are still kept.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        let rows = self
            .rows("SELECT * FROM tokens ORDER BY expires_at")
            .await?;
        rows.iter().map(|row| self.token(row)).collect()
    }

    /// Forgets a token; says whether it was there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke_token(&self, id: &str) -> Result<bool, Error> {
        let result = sqlx::query("DELETE FROM tokens WHERE id = $1")
            .bind(id.to_owned())
            .execute(&self.pool)
            .await
            .map_err(self.error())?;
        Ok(result.rows_affected() > 0)
    }

    /// Redeems a token for a key: the first key to come binds it, and only that key may repeat.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] for every way in which it is not good.
    pub async fn redeem(
        &self,
        text: &str,
        cluster: &ClusterName,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Redeemed, TokenError> {
        let (id, secret) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .ok_or(TokenError::Invalid)?;
        let hash = Digest::of(secret.as_bytes()).to_string();
        // One statement decides, so that of fifty clients at once exactly one is first (E2).
        let taken = sqlx::query(
            "UPDATE tokens SET redeemed_at = $1, redeemed_by = $2, redeemed_key = $3 WHERE id = $4 \
             AND hash = $5 AND redeemed_key IS NULL AND expires_at > $1 \
             AND (cluster IS NULL OR cluster = $2)",
        )
        .bind(now.as_millisecond())
        .bind(cluster.to_string())
        .bind(fingerprint.to_owned())
        .bind(id.to_owned())
        .bind(hash.clone())
        .execute(&self.pool)
        .await
        .map_err(self.error())?;
        let row = sqlx::query(
            "SELECT * FROM tokens WHERE id = $1 AND hash = $2 AND redeemed_key = $3 \
             AND redeemed_by = $4",
        )
        .bind(id.to_owned())
        .bind(hash)
        .bind(fingerprint.to_owned())
        .bind(cluster.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.error())?
        .ok_or(TokenError::Invalid)?;
        Ok(Redeemed {
            token: self.token(&row)?.token,
            first: taken.rows_affected() == 1,
        })
    }

    fn token(&self, row: &AnyRow) -> Result<Token, Error> {
        let text = |key: &'static str| row.try_get::<String, _>(key).map_err(self.error());
        let optional =
            |key: &'static str| row.try_get::<Option<String>, _>(key).map_err(self.error());
        let id = text("id")?;
        let damaged = || self.damaged(&format!("token {id}"));
        let time = |ms: i64| Timestamp::from_millisecond(ms).map_err(|_| damaged());
        let number = |key: &'static str| row.try_get::<i64, _>(key).map_err(self.error());
        let redeemed_at: Option<i64> = row.try_get("redeemed_at").map_err(self.error())?;
        Ok(Token {
            token: NewToken {
                cluster: optional("cluster")?
                    .map(|c| c.parse())
                    .transpose()
                    .map_err(|_| damaged())?,
                environment: optional("environment")?
                    .map(|e| e.parse())
                    .transpose()
                    .map_err(|_| damaged())?,
                labels: serde_json::from_str(&text("labels")?).map_err(|_| damaged())?,
                expires_at: time(number("expires_at")?)?,
                auto_accept: number("auto_accept")? != 0,
                created_by: text("created_by")?,
            },
            redeemed_at: redeemed_at.map(time).transpose()?,
            redeemed_by: optional("redeemed_by")?,
            id,
        })
    }
}

pub(super) fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0u8; bytes];
    rand::Rng::fill(&mut rand::rng(), buffer.as_mut_slice());
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}
