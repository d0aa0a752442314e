//! The sender of calls to forges: a thin shell around prepared calls. A credential is sent only to the configured host.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flotilla_forge::{
    AppKey, AppToken, Call, CommitStatus, Credential, Error, Pace, Repository, Secret,
};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::config::{Access, App, ForgeRepository};
use crate::metrics::Metrics;

/// Time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// See the module.
pub struct Sender {
    client: reqwest::Client,
    metrics: Metrics,
    /// Paces by API: each API limits its callers by itself.
    paces: Mutex<BTreeMap<String, Pace>>,
    /// Tokens of Apps, by App, API and repository.
    tokens: Mutex<BTreeMap<(String, String, String), AppToken>>,
}

impl Sender {
    /// Makes a new sender.
    ///
    /// # Errors
    /// When TLS is not available.
    pub fn new(metrics: Metrics) -> Result<Self, reqwest::Error> {
        Self::within(TIMEOUT, metrics)
    }

    pub(super) fn within(timeout: Duration, metrics: Metrics) -> Result<Self, reqwest::Error> {
        let client = flotilla_http::client(timeout)
            .user_agent(concat!("flotilla-hub/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            metrics,
            paces: Mutex::default(),
            tokens: Mutex::default(),
        })
    }

    /// Sets a commit's status.
    ///
    /// # Errors
    /// When the forge cannot be reached, or refuses.
    pub async fn status(
        &self,
        place: &ForgeRepository,
        commit: &Commit,
        status: &CommitStatus,
    ) -> Result<(), Error> {
        self.ask(place, &place.at.set_status(commit, status)).await
    }

    /// Sends a call with its credential.
    ///
    /// # Errors
    /// When the forge cannot be reached, or refuses.
    pub async fn ask<T>(&self, place: &ForgeRepository, call: &Call<T>) -> Result<T, Error> {
        let credential = self.credential(place).await?;
        self.send(&place.at, call, &credential).await
    }

    /// Returns the current credential.
    async fn credential(&self, place: &ForgeRepository) -> Result<Credential, Error> {
        match &place.access {
            Access::Token(path) => {
                let token = secret(path).await?;
                Ok(Credential::Token(Secret::new(&String::from_utf8_lossy(
                    &token,
                ))))
            }
            Access::App(app) => self.app_token(&place.at, app).await,
        }
    }

    async fn app_token(&self, at: &Repository, app: &App) -> Result<Credential, Error> {
        let key = (app.id.clone(), at.api().to_owned(), at.full_name());
        let now = Timestamp::now();
        let known = self.tokens.lock().get(&key).cloned();
        if let Some(token) = known.filter(|token| token.holds(now)) {
            return Ok(Credential::Token(token.token));
        }
        let pem = secret(&app.private_key_file).await?;
        let own = AppKey::read(&app.id, &pem).and_then(|key| key.token(now));
        let own = own.map_err(|error| Error::NoAnswer(error.to_string()))?;
        let installation = self.send(at, &at.installation(), &own).await?;
        let token = self
            .send(at, &at.installation_token(installation), &own)
            .await?;
        let credential = Credential::Token(token.token.clone());
        self.tokens.lock().insert(key, token);
        Ok(credential)
    }

    /// Sends a call and reads its answer.
    ///
    /// # Errors
    /// See [`Error`]; also when the time that the forge asked to wait is not over.
    async fn send<T>(
        &self,
        at: &Repository,
        call: &Call<T>,
        credential: &Credential,
    ) -> Result<T, Error> {
        let now = Timestamp::now();
        let pace = self.paces.lock().get(at.api()).copied();
        let wait = pace.unwrap_or_default().wait(now);
        if wait.is_positive() {
            return Err(Error::RateLimited { wait });
        }
        let result = match flotilla_http::forge::ask(&self.client, call, credential).await {
            Ok(answer) => {
                let mut paces = self.paces.lock();
                paces
                    .entry(at.api().to_owned())
                    .or_default()
                    .answered(&answer);
                drop(paces);
                call.read(&answer)
            }
            Err(error) => Err(error),
        };
        let outcome = result.as_ref().err().map_or("ok", Error::code);
        self.metrics.forge_asked(at.host(), call.name, outcome);
        result
    }
}

/// Reads a file of a credential.
async fn secret(path: &Path) -> Result<Vec<u8>, Error> {
    let content = crate::secret::read(path).await;
    content.map_err(|error| Error::NoAnswer(error.to_string()))
}

#[cfg(test)]
mod tests;
