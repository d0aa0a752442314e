//! How hub and command line ask others over HTTP: a credential goes to the host that was named and to no
//! other, nothing is waited for without end, and no answer is larger than its reader says.

pub mod forge;

use std::time::Duration;

/// A client that follows no redirect. `timeout` is for one answer as a whole.
pub fn client(timeout: Duration) -> reqwest::ClientBuilder {
    flotilla_shared::tls::install_provider();
    reqwest::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
}

/// Why an answer is not there as a whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It goes on after as many bytes as its reader takes.
    #[error("the answer is too large")]
    TooLarge,
    /// It broke off.
    #[error(transparent)]
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
