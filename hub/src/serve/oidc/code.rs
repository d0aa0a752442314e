//! The authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636) and refresh tokens (section 6), as a public
//! client: the same one as `flotilla login`. Tokens go to the issuer and nowhere else.

use std::sync::Arc;

use flotilla_shared::percent;
use serde::Deserialize;

use super::error::IssuerError;
use super::{Oidc, whole};

/// URLs of the issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// URL for the person's browser.
    pub authorization: String,
    pub token: String,
}

/// Tokens from the issuer.
#[derive(Clone, Deserialize, PartialEq, Eq)]
pub struct Tokens {
    /// The ID token, which names the person.
    #[serde(default)]
    pub id_token: String,
    /// The refresh token; empty: none.
    #[serde(default)]
    pub refresh_token: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The issuer refused: the code or the login has expired.
    #[error("the issuer rejected the request: {0}")]
    Refused(String),
    /// The issuer did not give a usable answer.
    #[error("the issuer is not available: {0}")]
    Unreachable(String),
}

impl Oidc {
    /// Returns the issuer's URLs; none: the issuer has not been reached yet, or does not support logins by browser.
    #[must_use]
    pub fn endpoints(&self) -> Option<Arc<Endpoints>> {
        let endpoints = self.endpoints.load_full();
        if endpoints.authorization.is_empty() {
            self.asked.notify_one();
            return None;
        }
        Some(endpoints)
    }

    /// Exchanges a code for tokens.
    ///
    /// # Errors
    /// When there are no tokens.
    pub async fn redeem(&self, code: &str, verifier: &str, back: &str) -> Result<Tokens, Failure> {
        let client = self.config().client_id.clone();
        self.ask(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", back),
            ("client_id", &client),
            ("code_verifier", verifier),
        ])
        .await
    }

    /// Exchanges a refresh token for new tokens.
    ///
    /// # Errors
    /// When there are no tokens.
    pub async fn refresh(&self, token: &str) -> Result<Tokens, Failure> {
        let client = self.config().client_id.clone();
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", &client),
        ];
        let fresh = self.ask(&form).await?;
        Ok(Tokens {
            // An issuer that rotates refresh tokens returns a new one.
            refresh_token: match fresh.refresh_token.is_empty() {
                true => token.to_owned(),
                false => fresh.refresh_token,
            },
            id_token: fresh.id_token,
        })
    }

    async fn ask(&self, form: &[(&str, &str)]) -> Result<Tokens, Failure> {
        #[derive(Deserialize)]
        struct Trouble {
            error: String,
            #[serde(default)]
            error_description: String,
        }
        let endpoints = self
            .endpoints()
            .ok_or_else(|| Failure::Unreachable("it has not been reached yet".to_owned()))?;
        let unreachable = |error: IssuerError| Failure::Unreachable(error.to_string());
        let client = Self::client(&self.config()).map_err(unreachable)?;
        let answer = client
            .post(&endpoints.token)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(percent::form(form))
            .send()
            .await
            .map_err(|error| Failure::Unreachable(error.to_string()))?;
        let status = answer.status();
        let body = whole(answer, &endpoints.token).await.map_err(unreachable)?;
        if let Ok(trouble) = serde_json::from_slice::<Trouble>(&body)
            && status.is_client_error()
        {
            let text = format!("{} {}", trouble.error, trouble.error_description);
            let text = flotilla_shared::report::plain_line(text.trim(), 300);
            return Err(Failure::Refused(text));
        }
        if !status.is_success() {
            let text = format!("it answered with HTTP {}", status.as_u16());
            return Err(Failure::Unreachable(text));
        }
        match serde_json::from_slice::<Tokens>(&body) {
            Ok(tokens) if !tokens.id_token.is_empty() => Ok(tokens),
            _ => Err(Failure::Refused(
                "it returned no ID token; is the scope openid requested?".to_owned(),
            )),
        }
    }
}
