//! Join tokens: single-use, expiring, kept as hashes.

use flotilla_shared::digest::Digest;
use flotilla_shared::hex;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Error, Store};
use crate::enrolment::{NewToken, Redeemer, Token};

/// Text form: `flt_<id>_<secret>`, both hexadecimal.
const PREFIX: &str = "flt_";

impl Store {
    /// Makes a token and returns its text, which is not stored.
    ///
    /// # Errors
    /// When it cannot be stored.
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
            new: new.clone(),
            redeemed: None,
            revoked_at: None,
        };
        Ok((format!("{PREFIX}{id}_{secret}"), token))
    }

    /// Returns all kept tokens that were not revoked.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        let rows = self
            .rows("SELECT * FROM tokens WHERE revoked_at IS NULL ORDER BY expires_at")
            .await?;
        rows.iter().map(|row| self.token(row)).collect()
    }

    /// Returns the token with this secret; none: it does not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_of(&self, text: &str) -> Result<Option<Token>, Error> {
        let Some((id, secret)) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
        else {
            return Ok(None);
        };
        let row = sqlx::query("SELECT * FROM tokens WHERE id = $1 AND hash = $2")
            .bind(id.to_owned())
            .bind(Digest::of(secret.as_bytes()).to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(self.error())?;
        row.map(|row| self.token(&row)).transpose()
    }

    fn token(&self, row: &AnyRow) -> Result<Token, Error> {
        let text = |key: &'static str| row.try_get::<String, _>(key).map_err(self.error());
        let optional =
            |key: &'static str| row.try_get::<Option<String>, _>(key).map_err(self.error());
        let id = text("id")?;
        let damaged = || self.damaged(&format!("token {id}"));
        let time = |ms: i64| Timestamp::from_millisecond(ms).map_err(|_| damaged());
        let number = |key: &'static str| row.try_get::<i64, _>(key).map_err(self.error());
        let moment = |key: &'static str| row.try_get::<Option<i64>, _>(key).map_err(self.error());
        let redeemed = match (
            moment("redeemed_at")?,
            optional("redeemed_by")?,
            optional("redeemed_key")?,
        ) {
            (Some(at), Some(by), Some(key)) => Some(Redeemer {
                at: time(at)?,
                cluster: by.parse().map_err(|_| damaged())?,
                key,
            }),
            _ => None,
        };
        Ok(Token {
            new: NewToken {
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
            redeemed,
            revoked_at: moment("revoked_at")?.map(time).transpose()?,
            id,
        })
    }
}

pub(super) fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0u8; bytes];
    rand::Rng::fill(&mut rand::rng(), buffer.as_mut_slice());
    hex::encode(&buffer)
}
