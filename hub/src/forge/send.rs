//! The one sender of this program: a thin shell around calls that others built and others read. A
//! credential goes to the host that was named and to no other.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flotilla_forge::{
    Answer, AppKey, AppToken, Call, CommitStatus, Credential, Error, MAX_ANSWER, Method, Pace,
    Repository, Secret,
};
use flotilla_shared::report::plain_line;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::config::{Access, App, Place};
use crate::metrics::Metrics;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Largest credential file.
const MAX_SECRET: u64 = 64 << 10;
/// Headers that answers are read by.
const HEADERS: [&str; 6] = [
    "retry-after",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-total-count",
];

/// See the module.
pub struct Sender {
    client: reqwest::Client,
    metrics: Metrics,
    /// By API: each limits its callers by itself.
    paces: BTreeMap<String, Pace>,
    /// Tokens of Apps, by App, API and repository.
    tokens: BTreeMap<(String, String, String), AppToken>,
}

impl Sender {
    /// One that has sent nothing.
    ///
    /// # Errors
    /// When there is no TLS.
    pub fn new(metrics: Metrics) -> Result<Self, reqwest::Error> {
        Self::within(TIMEOUT, metrics)
    }

    fn within(timeout: Duration, metrics: Metrics) -> Result<Self, reqwest::Error> {
        flotilla_shared::tls::install_provider();
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("flotilla-hub/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            metrics,
            paces: BTreeMap::new(),
            tokens: BTreeMap::new(),
        })
    }

    /// Sets a commit's status.
    ///
    /// # Errors
    /// When the forge cannot be asked, or refuses.
    pub async fn status(
        &mut self,
        place: &Place,
        commit: &Commit,
        status: &CommitStatus,
    ) -> Result<(), Error> {
        let credential = self.credential(place).await?;
        let call = place.at.set_status(commit, status);
        self.send(&place.at, &call, &credential).await
    }

    /// What lets us in now.
    async fn credential(&mut self, place: &Place) -> Result<Credential, Error> {
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

    async fn app_token(&mut self, at: &Repository, app: &App) -> Result<Credential, Error> {
        let key = (app.id.clone(), at.api().to_owned(), at.full_name());
        let now = Timestamp::now();
        if let Some(token) = self.tokens.get(&key).filter(|token| token.holds(now)) {
            return Ok(Credential::Token(token.token.clone()));
        }
        let pem = secret(&app.private_key_file).await?;
        let own = AppKey::read(&app.id, &pem).and_then(|key| key.token(now));
        let own = own.map_err(|error| Error::NoAnswer(error.to_string()))?;
        let installation = self.send(at, &at.installation(), &own).await?;
        let token = self
            .send(at, &at.installation_token(installation), &own)
            .await?;
        let credential = Credential::Token(token.token.clone());
        self.tokens.insert(key, token);
        Ok(credential)
    }

    /// Sends a call and reads its answer.
    ///
    /// # Errors
    /// See [`Error`]; also when the forge asked to wait and the time is not over.
    pub async fn send<T>(
        &mut self,
        at: &Repository,
        call: &Call<T>,
        credential: &Credential,
    ) -> Result<T, Error> {
        let now = Timestamp::now();
        let pace = self.paces.entry(at.api().to_owned()).or_default();
        let wait = pace.wait(now);
        if wait.is_positive() {
            return Err(Error::RateLimited { wait });
        }
        let result = match ask(&self.client, call, credential).await {
            Ok(answer) => {
                pace.answered(&answer);
                call.read(&answer)
            }
            Err(error) => Err(error),
        };
        let outcome = result.as_ref().err().map_or("ok", Error::word);
        self.metrics.forge_asked(at.host(), call.name, outcome);
        result
    }
}

async fn ask<T>(
    client: &reqwest::Client,
    call: &Call<T>,
    credential: &Credential,
) -> Result<Answer, Error> {
    let no_answer = |error: reqwest::Error| {
        let text = match error.is_timeout() {
            true => "it took too long".to_owned(),
            false => plain_line(&error.without_url().to_string(), 200),
        };
        Error::NoAnswer(text)
    };
    let method = match call.request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
    };
    let mut request = client.request(method, &call.request.url);
    for (name, value) in call.request.headers(credential) {
        request = request.header(name, value.expose());
    }
    if let Some(body) = &call.request.body {
        request = request.body(body.to_string());
    }
    let mut response = request.send().await.map_err(no_answer)?;
    let headers = HEADERS
        .iter()
        .filter_map(|name| {
            let value = response.headers().get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), plain_line(value, 200)))
        })
        .collect();
    let mut answer = Answer {
        status: response.status().as_u16(),
        headers,
        body: Vec::new(),
        at: Timestamp::now(),
    };
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        let room = MAX_ANSWER.saturating_sub(answer.body.len());
        answer
            .body
            .extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if answer.body.len() >= MAX_ANSWER {
            return Err(Error::TooLarge);
        }
    }
    Ok(answer)
}

/// A credential's file, which may be changed at any time.
async fn secret(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |why: &str| Error::NoAnswer(format!("{}: {why}", path.display()));
    let metadata = tokio::fs::metadata(path).await;
    let metadata = metadata.map_err(|error| failed(&error.to_string()))?;
    if metadata.len() > MAX_SECRET {
        return Err(failed("it is too large for a credential"));
    }
    let content = tokio::fs::read(path).await;
    let content = content.map_err(|error| failed(&error.to_string()))?;
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(failed("it is empty"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests;
