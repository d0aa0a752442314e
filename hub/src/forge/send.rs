//! The one sender of this program: a thin shell around calls that others built and others read. A
//! credential goes to the host that was named and to no other.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flotilla_forge::{
    AppKey, AppToken, Call, CommitStatus, Credential, Error, Pace, Repository, Secret,
};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::config::{Access, App, Place};
use crate::metrics::Metrics;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// See the module.
pub struct Sender {
    client: reqwest::Client,
    metrics: Metrics,
    /// By API: each limits its callers by itself.
    paces: Mutex<BTreeMap<String, Pace>>,
    /// Tokens of Apps, by App, API and repository.
    tokens: Mutex<BTreeMap<(String, String, String), AppToken>>,
}

impl Sender {
    /// One that has sent nothing.
    ///
    /// # Errors
    /// When there is no TLS.
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
    /// When the forge cannot be asked, or refuses.
    pub async fn status(
        &self,
        place: &Place,
        commit: &Commit,
        status: &CommitStatus,
    ) -> Result<(), Error> {
        self.ask(place, &place.at.set_status(commit, status)).await
    }

    /// Sends a call with what lets us in there.
    ///
    /// # Errors
    /// When the forge cannot be asked, or refuses.
    pub async fn ask<T>(&self, place: &Place, call: &Call<T>) -> Result<T, Error> {
        let credential = self.credential(place).await?;
        self.send(&place.at, call, &credential).await
    }

    /// What lets us in now.
    async fn credential(&self, place: &Place) -> Result<Credential, Error> {
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
    /// See [`Error`]; also when the forge asked to wait and the time is not over.
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

/// A credential's file.
async fn secret(path: &Path) -> Result<Vec<u8>, Error> {
    let content = crate::secret::read(path).await;
    content.map_err(|error| Error::NoAnswer(error.to_string()))
}

#[cfg(test)]
mod tests;
