//! HTTP on loopback, and the same as an in-process service for kube's client.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::ApiServer;
use crate::discovery;
use crate::faults::{self, FaultKind};
use crate::request::{Target, query};
use crate::status::{Failure, bad_request, failure, no_such_path};
use crate::verbs::Call;

/// The API server's own limit on a request.
const MAX_REQUEST: usize = 3 << 20;

/// An answer's body: whole, or a watch's lines.
pub type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A server that listens; it stops when dropped.
pub struct Serving {
    /// Where.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Serving {
    /// A kubeconfig for it.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        flotilla_yaml::to_string(&json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "embedded", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "admin", "user": {}}],
            "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "admin"}}],
            "current-context": "embedded",
        }))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn whole(code: u16, value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn refused(failure: &Failure) -> Response<Body> {
    let mut response = whole(failure.code, &failure.body);
    if let Some(seconds) = failure.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    response
}

impl ApiServer {
    /// Listens on loopback at `address` (port 0 takes a free one).
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(&self, address: &str) -> std::io::Result<Serving> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let server = self.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let service = Service(server.clone());
                connections.spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let server = service.0.clone();
                        async move { Ok::<_, std::convert::Infallible>(server.handle(request).await) }
                    });
                    // A client that goes away is no news.
                    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Serving { address, task })
    }

    /// The same without sockets, for `kube::Client::new(server.service(), "default")`.
    #[must_use]
    pub fn service(&self) -> Service {
        Service(self.clone())
    }

    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if let Some(response) = self.fixed(path, &parts.headers) {
            *self
                .inner
                .requests
                .lock()
                .entry("discovery".to_owned())
                .or_default() += 1;
            let fault = faults::take(&mut self.inner.faults.lock(), "discovery", "");
            return match fault {
                Some(kind) => self.fail(kind).await.unwrap_or(response),
                None => response,
            };
        }
        let Some(target) = Target::parse(path) else {
            return refused(&no_such_path());
        };
        let query = query(parts.uri.query().unwrap_or_default());
        let watches = query
            .get("watch")
            .is_some_and(|watch| watch == "true" || watch == "1");
        let verb = match (&parts.method, target.name.is_empty()) {
            (&Method::GET, true) if watches => "watch",
            (&Method::GET, true) => "list",
            (&Method::GET, false) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, _) => "delete",
            _ => {
                return refused(&failure(
                    405,
                    "MethodNotAllowed",
                    "the method is not allowed",
                ));
            }
        };
        *self
            .inner
            .requests
            .lock()
            .entry(verb.to_owned())
            .or_default() += 1;
        let Ok(bytes) = Limited::new(body, MAX_REQUEST).collect().await else {
            return refused(&failure(
                413,
                "RequestEntityTooLarge",
                format!("Request entity too large: limit is {MAX_REQUEST}"),
            ));
        };
        let bytes = bytes.to_bytes();
        let content_type = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("application/json")
            .to_owned();
        let body = match self.read_body(&bytes) {
            Ok(body) => body,
            Err(failure) => return refused(&failure),
        };
        let call = Call {
            verb,
            target,
            query,
            content_type,
            body,
        };
        let fault = faults::take(&mut self.inner.faults.lock(), verb, &call.target.plural);
        match fault {
            None => {}
            Some(FaultKind::AnswerLost) => {
                let _ = self.execute(&call);
                return refused(&failure(504, "Timeout", "the answer was lost"));
            }
            Some(kind) => {
                if let Some(response) = self.fail(kind).await {
                    return response;
                }
            }
        }
        if verb == "watch" {
            return match self.watch(&call) {
                Ok(lines) => {
                    let frames = futures::StreamExt::map(lines, |line| line.map(Frame::data));
                    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
                    let json = header::HeaderValue::from_static("application/json");
                    response.headers_mut().insert(header::CONTENT_TYPE, json);
                    response
                }
                Err(failure) => refused(&failure),
            };
        }
        match self.execute(&call) {
            Ok(done) => whole(done.code, &done.value),
            Err(failure) => refused(&failure),
        }
    }

    #[expect(clippy::unused_self, reason = "reads like the other steps of handle")]
    fn read_body(&self, bytes: &[u8]) -> Result<Value, Failure> {
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        if let Ok(value) = serde_json::from_slice(bytes) {
            return Ok(value);
        }
        // Apply patches are YAML by their content type.
        let documents =
            flotilla_yaml::parse_documents_bytes(bytes, &flotilla_yaml::Limits::default())
                .map_err(|error| bad_request(format!("error decoding: {error}")))?;
        Ok(documents
            .into_iter()
            .next()
            .map_or(Value::Null, |document| document.value))
    }

    /// What a fault answers; none where the request goes on after all.
    async fn fail(&self, kind: FaultKind) -> Option<Response<Body>> {
        match kind {
            FaultKind::Status(code) => {
                Some(refused(&failure(code, "InternalError", "injected failure")))
            }
            FaultKind::Throttle(seconds) => {
                let mut failure = failure(429, "TooManyRequests", "please try again later");
                failure.retry_after = Some(seconds);
                if let Value::Object(body) = &mut failure.body {
                    body.insert(
                        "details".to_owned(),
                        json!({ "retryAfterSeconds": seconds }),
                    );
                }
                Some(refused(&failure))
            }
            FaultKind::Hang(time) => {
                tokio::time::sleep(time).await;
                None
            }
            FaultKind::AnswerLost => None,
        }
    }

    /// Paths that are no objects.
    fn fixed(&self, path: &str, headers: &http::HeaderMap) -> Option<Response<Body>> {
        let kinds = || self.inner.store.lock().kinds.clone();
        let aggregated = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("g=apidiscovery.k8s.io"));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let value = match parts.as_slice() {
            ["healthz" | "readyz" | "livez"] => json!("ok"),
            ["version"] => json!({
                "major": "1", "minor": "33", "gitVersion": "v1.33.0+embedded", "platform": "embedded",
            }),
            ["api"] if aggregated => discovery::aggregated(&kinds(), true),
            ["apis"] if aggregated => discovery::aggregated(&kinds(), false),
            ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"] }),
            ["apis"] => discovery::groups(&kinds()),
            ["api", version] => discovery::resources(&kinds(), "", version)?,
            ["apis", group, version] => discovery::resources(&kinds(), group, version)?,
            _ => return None,
        };
        Some(whole(200, &value))
    }
}

/// The server as a tower service.
#[derive(Clone)]
pub struct Service(ApiServer);

impl<B> tower::Service<Request<B>> for Service
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move { Ok(server.handle(request).await) })
    }
}
