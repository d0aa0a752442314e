//! Calls that wait through a takeover: while another replica of the hub comes to decide, nobody answers
//! for some seconds. What cannot do any harm when it is asked twice is asked again for as long as the
//! call may take; what changes something only where the hub says that it was not even passed on.

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

/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A channel whose calls wait.
#[derive(Clone)]
pub(crate) struct Patient {
    channel: Channel,
    patience: Duration,
}

impl Patient {
    /// Each call may take so long.
    pub(crate) fn new(channel: Channel, patience: Duration) -> Self {
        Self { channel, patience }
    }
}

impl Service<Request<Body>> for Patient {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Each try asks the channel anew.
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
    // Requests are small and whole: of a stream nobody knows what was heard.
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

/// Whether a call changes nothing, as its name says.
fn only_asks(method: &str) -> bool {
    ["Get", "List", "Explain", "Verify", "Compare", "Preview"]
        .iter()
        .any(|verb| method.starts_with(verb))
}

/// Whether an answer says that nobody was there to answer. Of a call that changes something only what was
/// not passed on is tried again; of any other one, all that is unavailable.
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
