//! Sends calls to forges, which `flotilla-forge` builds and reads.

use flotilla_forge::{Answer, Call, Credential, Error, MAX_ANSWER, Method};
use flotilla_shared::report::plain_line;
use jiff::Timestamp;

use crate::{BodyError, body};

/// Headers that the readers of answers need.
const HEADERS: [&str; 8] = [
    "retry-after",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-total-count",
    "x-next-page",
    "location",
];

/// Sends a call and returns the answer, which [`Call::read`] reads.
///
/// # Errors
/// When no answer arrived, or one that is too large.
pub async fn ask<T>(
    client: &reqwest::Client,
    call: &Call<T>,
    credential: &Credential,
) -> Result<Answer, Error> {
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
    let mut response = request.send().await.map_err(|error| no_answer(&error))?;
    let headers = HEADERS
        .iter()
        .filter_map(|name| {
            let value = response.headers().get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), plain_line(value, 200)))
        })
        .collect();
    let at = Timestamp::now();
    // An `Answer` with a body of `MAX_ANSWER` bytes counts as cut.
    let body = match body(&mut response, MAX_ANSWER - 1).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => return Err(Error::TooLarge),
        Err(BodyError::Broken(error)) => return Err(no_answer(&error)),
    };
    Ok(Answer {
        status: response.status().as_u16(),
        headers,
        body,
        at,
    })
}

/// Returns the error without the URL, which may contain secrets.
fn no_answer(error: &reqwest::Error) -> Error {
    Error::NoAnswer(crate::why(error))
}
