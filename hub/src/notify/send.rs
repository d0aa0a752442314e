//! A thin shell that sends composed posts. Secrets are read from their files each time.

use std::time::Duration;

use flotilla_http::{BodyError, body};
use flotilla_notify::{Format, MessageRef, Post, PostAuth, Target, resolved};
use flotilla_shared::{hex, loopback};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::fault::{SendError, secret};
use super::mail;

/// Time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 1 << 20;

/// See the module.
pub(super) struct Sender {
    client: reqwest::Client,
    timeout: Duration,
}

impl Sender {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        Self::within(TIMEOUT)
    }

    pub(super) fn within(timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = flotilla_http::client(timeout)
            .user_agent(concat!("flotilla-hub/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, timeout })
    }

    /// Sends one post. Returns the target's id of the message, where it has one.
    pub(super) async fn post(
        &self,
        target: &Target,
        post: &Post,
    ) -> Result<Option<MessageRef>, SendError> {
        if let Some(mail) = &target.mail {
            // A mail server asks others while we wait.
            let within = self.timeout.saturating_mul(3);
            return mail::send(mail, post, within).await.map(|()| None);
        }
        let url = format!("{}{}", base(target).await?.trim_end_matches('/'), post.path);
        let token = match &target.token_file {
            Some(path) => Some(secret(path).await?),
            None => None,
        };
        let mut content = post.body.clone();
        if target.format == Format::PagerDuty
            && let Some(key) = &token
        {
            content["routing_key"] = serde_json::Value::String(key.clone());
        }
        let content = content.to_string();
        let method = match post.method {
            "PUT" => reqwest::Method::PUT,
            "PATCH" => reqwest::Method::PATCH,
            _ => reqwest::Method::POST,
        };
        let mut request = self
            .client
            .request(method, &url)
            .header("content-type", post.content_type);
        match (post.sign, &token) {
            (PostAuth::Bearer, Some(token)) => request = request.bearer_auth(token),
            (PostAuth::Hmac, token) => {
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                if let Some(path) = &target.secret_file {
                    let key = secret(path).await?;
                    request = request.header("x-signature", signature(&key, &content)?);
                }
            }
            _ => {}
        }
        let mut response = request
            .body(content)
            .send()
            .await
            .map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let answer = match body(&mut response, MAX_ANSWER).await {
            Ok(answer) => answer,
            Err(BodyError::TooLarge) => return Err(SendError::lasting("the answer is too long")),
            Err(BodyError::Broken(error)) => return Err(no_answer(&error)),
        };
        resolved(target, post, status, &answer)
    }
}

fn no_answer(error: &reqwest::Error) -> SendError {
    SendError::passing(format!("no answer: {}", flotilla_http::why(error)))
}

fn signature(key: &str, body: &str) -> Result<String, SendError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|_| SendError::lasting("the secret cannot be used to sign"))?;
    mac.update(body.as_bytes());
    let sum = mac.finalize().into_bytes();
    Ok(format!("sha256={}", hex::encode(&sum)))
}

/// Returns the URL of a target.
async fn base(target: &Target) -> Result<String, SendError> {
    let url = match (&target.url_file, target.format) {
        (Some(path), _) => secret(path).await?,
        (None, Format::Slack) if target.url.is_empty() => "https://slack.com/api".to_owned(),
        (None, Format::PagerDuty) if target.url.is_empty() => {
            "https://events.pagerduty.com".to_owned()
        }
        (None, _) => target.url.clone(),
    };
    if loopback::is_private(&url) {
        return Ok(url);
    }
    Err(SendError::passing("its URL does not begin with https://"))
}
