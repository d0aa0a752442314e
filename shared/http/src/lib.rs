//! HTTP requests of hub and command line: a credential goes only to the host that was named, every wait is bounded, and
//! no answer is larger than its reader allows.

pub mod forge;

use std::time::Duration;

use flotilla_shared::report::plain_line;
use flotilla_shared::words::without_numbers;

/// Returns a client that follows no redirects. `timeout` is for one answer as a whole.
pub fn client(timeout: Duration) -> reqwest::ClientBuilder {
    flotilla_shared::tls::install_provider();
    reqwest::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
}

/// Longest error text, bytes.
const MAX_WHY: usize = 200;

/// Returns why there is no answer, in the words of the innermost cause, which is the most specific (nothing listens, no
/// such host, an untrusted certificate). The URL is left out, since it may be a credential.
#[must_use]
pub fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it timed out".to_owned();
    }
    if let Some(status) = error.status() {
        return format!("HTTP {}", status.as_u16());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if std::ptr::addr_eq(cause, error) {
        return "the request failed".to_owned();
    }
    let text = cause.to_string();
    if text.contains("InvalidContentType") {
        // rustls reports an answer in plain text with this error.
        return "it does not answer with TLS".to_owned();
    }
    plain_line(&without_numbers(&text), MAX_WHY)
}

/// Reason for an incomplete answer.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than the reader accepts.
    #[error("the answer is too large")]
    TooLarge,
    /// It broke off; see [`why`].
    #[error("{}", why(.0))]
    Broken(#[from] reqwest::Error),
}

/// Reads the body of an answer, of at most `limit` bytes.
///
/// # Errors
/// See [`BodyError`].
pub async fn body(answer: &mut reqwest::Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            return Err(BodyError::TooLarge);
        }
    }
    Ok(body)
}
