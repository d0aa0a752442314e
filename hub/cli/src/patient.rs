//! Retries of calls during a takeover: until another replica of the hub decides, calls fail for some seconds. Calls
//! that only read are retried within their time limit; calls that change something only where the hub says that the
//! call was not forwarded.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use flotilla_shared::backoff::Backoff;
use flotilla_shared::dial::NOT_PASSED_ON;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

type Answer = Result<Response<Body>, tonic::transport::Error>;

/// First and longest delay of retries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A channel that retries calls.
#[derive(Clone)]
pub(crate) struct Patient {
    channel: Channel,
    patience: Duration,
}

impl Patient {
    /// Time limit of each call.
    pub(crate) fn new(channel: Channel, patience: Duration) -> Self {
        Self { channel, patience }
    }
}

impl Service<Request<Body>> for Patient {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Each attempt uses the channel again, so this is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(ask(self.channel.clone(), self.patience, request))
    }
}

async fn ask(channel: Channel, patience: Duration, request: Request<Body>) -> Answer {
    let end = Instant::now() + patience;
    let (head, body) = request.into_parts();
    let method = head
        .uri
        .path()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    // Requests are small and complete. A failed stream is not retried: how much of it arrived is not known.
    let Ok(body) = body.collect().await else {
        return once(channel, Request::from_parts(head, Body::empty())).await;
    };
    let body = body.to_bytes();
    let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
    loop {
        let mut request = Request::new(Body::new(Full::new(body.clone())));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers.clone();
        *request.extensions_mut() = head.extensions.clone();
        let answer = once(channel.clone(), request).await;
        let again = match &answer {
            Ok(answer) => is_worth_another_try(&method, answer.headers()),
            Err(_) => only_asks(&method),
        };
        let pause = backoff.next_delay(&mut rand::rng());
        if !again || Instant::now() + pause >= end {
            return answer;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn once(mut channel: Channel, request: Request<Body>) -> Answer {
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
    channel.call(request).await
}

/// Whether a call only reads, by its name.
fn only_asks(method: &str) -> bool {
    ["Get", "List", "Explain", "Verify", "Compare", "Preview"]
        .iter()
        .any(|verb| method.starts_with(verb))
}

/// Whether to retry after this answer: a call that changes something only if it was not forwarded, any other call if
/// the hub is unavailable.
fn is_worth_another_try(method: &str, headers: &HeaderMap) -> bool {
    let unavailable = headers.get("grpc-status").is_some_and(|code| code == "14");
    unavailable && (only_asks(method) || headers.contains_key(NOT_PASSED_ON))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(code: &'static str, marked: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", http::HeaderValue::from_static(code));
        if marked {
            headers.insert(NOT_PASSED_ON, http::HeaderValue::from_static("1"));
        }
        headers
    }

    #[test]
    fn only_what_does_no_harm_twice_is_asked_again() {
        for (method, code, marked, again) in [
            ("ListClusters", "14", false, true),
            ("GetHub", "14", true, true),
            ("ListClusters", "7", false, false),
            ("Pin", "14", false, false),
            ("Pin", "14", true, true),
            ("Pin", "9", true, false),
            ("Rollback", "14", false, false),
        ] {
            let headers = headers(code, marked);
            assert_eq!(
                is_worth_another_try(method, &headers),
                again,
                "{method} {code}"
            );
        }
        assert!(
            !is_worth_another_try("GetHub", &HeaderMap::new()),
            "it went well"
        );
    }
}
