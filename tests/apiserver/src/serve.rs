//! HTTP and HTTPS on loopback, and the same as an in-process service for the client of kube.

mod answer;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::ApiServer;
use crate::access::{self, Attributes, User};
use crate::faults::{self, FaultKind};
use crate::request::{Target, query};
use crate::selector::exact_name;
use crate::status::{Failure, bad_request, failure, no_such_path, not_allowed};
use crate::table::View;
use crate::verbs::Call;

pub use tls::Identity;

/// kube-apiserver's own limit on the size of a request.
const MAX_REQUEST: usize = 3 << 20;

/// The body of an answer: a whole document, or the lines of a watch.
pub type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A listening server; it stops when dropped.
pub struct ServerHandle {
    pub address: SocketAddr,
    authority: Option<Arc<tls::Authority>>,
    task: JoinHandle<()>,
}

impl ServerHandle {
    /// A kubeconfig for its administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let user = self
            .authority
            .as_ref()
            .and_then(|authority| authority.identity(&User::admin()).ok())
            .map_or_else(|| json!({}), |identity| identity.kubeconfig_user());
        self.kubeconfig_of(&user)
    }

    /// A kubeconfig with a bearer token.
    #[must_use]
    pub fn kubeconfig_with_token(&self, token: &str) -> String {
        self.kubeconfig_of(&json!({ "token": token }))
    }

    /// A kubeconfig with a client certificate for a user.
    ///
    /// # Errors
    /// When it serves plain HTTP, which has no certificates.
    pub fn kubeconfig_for(&self, user: &User) -> std::io::Result<String> {
        let authority = self.authority.as_ref().ok_or_else(|| {
            std::io::Error::other("plain HTTP knows no client certificates: use serve_tls")
        })?;
        Ok(self.kubeconfig_of(&authority.identity(user)?.kubeconfig_user()))
    }

    fn kubeconfig_of(&self, user: &Value) -> String {
        let cluster = match &self.authority {
            Some(authority) => json!({
                "server": format!("https://{}", self.address),
                "certificate-authority-data": authority.bundle(),
            }),
            None => json!({ "server": format!("http://{}", self.address) }),
        };
        flotilla_yaml::to_string(&json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "embedded", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "user"}}],
            "current-context": "embedded",
        }))
    }

    /// A client certificate for a user, if it serves HTTPS.
    #[must_use]
    pub fn identity(&self, user: &User) -> Option<Identity> {
        self.authority.as_ref()?.identity(user).ok()
    }

    /// Waits until the server ends, which happens only if its listener fails.
    pub async fn wait(mut self) {
        // It does not matter how the task ended.
        let _ = (&mut self.task).await;
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiServer {
    /// Serves plain HTTP on loopback at `address` (port 0: any free port). Every client is the administrator, unless a
    /// bearer token or impersonation headers say otherwise.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(&self, address: &str) -> std::io::Result<ServerHandle> {
        self.listen(address, None).await
    }

    /// Serves HTTPS: clients authenticate with certificates of the server's own authority (stored beside the data
    /// file, if there is one) or bearer tokens; all others are anonymous.
    ///
    /// # Errors
    /// When the address cannot be bound, or the authority cannot be made.
    pub async fn serve_tls(&self, address: &str) -> std::io::Result<ServerHandle> {
        let authority = tls::Authority::open(self.inner.config.data.as_deref())?;
        self.listen(address, Some(Arc::new(authority))).await
    }

    async fn listen(
        &self,
        address: &str,
        authority: Option<Arc<tls::Authority>>,
    ) -> std::io::Result<ServerHandle> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let server = self.clone();
        let acceptor = authority
            .as_ref()
            .map(|authority| authority.acceptor())
            .transpose()?;
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let (server, acceptor) = (server.clone(), acceptor.clone());
                connections.spawn(async move {
                    match acceptor {
                        None => server.connection(stream, Some(User::admin())).await,
                        Some(acceptor) => {
                            // A failed TLS handshake is the client's problem, and the server keeps listening.
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let user = tls::peer(&stream);
                                server.connection(stream, user).await;
                            }
                        }
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(ServerHandle {
            address,
            authority,
            task,
        })
    }

    async fn connection<S>(&self, stream: S, user: Option<User>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = hyper::service::service_fn(move |request| {
            let (server, user) = (self.clone(), user.clone());
            async move { server.answer_or_cut(request, user.as_ref()).await }
        });
        // A client that disconnects is not an error of the server.
        let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    /// The same without sockets, for `kube::Client::new(server.service(), "default")`.
    #[must_use]
    pub fn service(&self) -> Service {
        Service(self.clone())
    }

    /// Answers a request of the administrator, unless its headers say otherwise.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.answer_or_cut(request, Some(&User::admin())).await {
            Ok(response) => response,
            // In process there is no connection to cut; 502 is the closest answer.
            Err(ConnectionCut) => answer::refused(&failure(502, "", "the connection was cut")),
        }
    }

    async fn answer_or_cut<B>(
        &self,
        request: Request<B>,
        peer: Option<&User>,
    ) -> Result<Response<Body>, ConnectionCut>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, MAX_REQUEST).collect().await;
        let result = match body {
            Err(_) => Err(failure(
                413,
                "RequestEntityTooLarge",
                format!("Request entity too large: limit is {MAX_REQUEST}"),
            )),
            Ok(body) => self.respond(&parts, &body.to_bytes(), peer).await?,
        };
        Ok(result.unwrap_or_else(|failure| answer::refused(&failure)))
    }

    /// The authenticated user, or the one that it may and wants to impersonate.
    fn user(&self, headers: &HeaderMap, peer: Option<&User>) -> Result<User, Failure> {
        let user = access::authenticate(headers, peer, &self.inner.tokens.lock())?;
        match access::impersonated(headers)? {
            Some(other) => {
                access::may_impersonate(&self.inner.store.lock(), &user, &other)?;
                Ok(other)
            }
            None => Ok(user),
        }
    }

    async fn respond(
        &self,
        parts: &http::request::Parts,
        bytes: &Bytes,
        peer: Option<&User>,
    ) -> Result<Result<Response<Body>, Failure>, ConnectionCut> {
        let path = parts.uri.path();
        let user = match self.user(&parts.headers, peer) {
            Ok(user) => user,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Some(response) = answer::fixed(self, path, &parts.headers) {
            self.count("discovery");
            let act = non_resource(parts, path);
            let allowed = {
                let store = self.inner.store.lock();
                access::may(&store, &user, &act)
            };
            if !allowed {
                return Ok(Err(act.refusal(&user)));
            }
            let fault = faults::take(&mut self.inner.faults.lock(), "discovery", "");
            return match fault {
                Some(kind) => Ok(Ok(self.fail(kind).await?.unwrap_or(response))),
                None => Ok(Ok(response)),
            };
        }
        if !answer::is_served(self, path) {
            let act = non_resource(parts, path);
            let allowed = access::may(&self.inner.store.lock(), &user, &act);
            return Ok(if allowed {
                Ok(answer::nothing())
            } else {
                Err(act.refusal(&user))
            });
        }
        let call = match self.call(parts, bytes, user) {
            Ok(call) => call,
            Err(failure) => return Ok(Err(failure)),
        };
        self.count(call.verb);
        let target = &call.target;
        if let Some(response) = answer::away(self, &target.group, &target.version) {
            return Ok(Ok(response));
        }
        let fault = faults::take(&mut self.inner.faults.lock(), call.verb, &target.plural);
        match fault {
            None | Some(FaultKind::Pass) => {}
            Some(FaultKind::HangAfter(time)) => {
                let _ = self.execute(&call);
                tokio::time::sleep(time).await;
                return Err(ConnectionCut);
            }
            Some(FaultKind::AnswerLost) => {
                // The request takes effect, and only its answer is lost.
                let _ = self.execute(&call);
                return Ok(Err(failure(504, "Timeout", "the answer was lost")));
            }
            Some(FaultKind::CutAfter) => {
                let _ = self.execute(&call);
                return Err(ConnectionCut);
            }
            Some(kind) => {
                if let Some(response) = self.fail(kind).await? {
                    return Ok(Ok(response));
                }
            }
        }
        let accept = parts
            .headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .unwrap_or_default();
        let view = View::of(accept);
        if call.verb == "watch" {
            return Ok(self.watch(&call, view).map(|lines| {
                let frames = futures::StreamExt::map(lines, |line| line.map(Frame::data));
                let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
                let json = header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }));
        }
        Ok(self
            .execute_admitted(&call)
            .await
            .map(|done| self.shown(&call, view, done)))
    }

    /// Formats an answer as requested, with its warnings.
    fn shown(&self, call: &Call, view: View, done: crate::verbs::Outcome) -> Response<Body> {
        let target = &call.target;
        let mut value = done.value;
        if view != View::Whole {
            let kinds = Arc::clone(&self.inner.store.lock().kinds);
            let kind = kinds
                .iter()
                .find(|kind| kind.group == target.group && kind.plural == target.plural);
            if let Some(kind) = kind {
                let include = call.parameter("includeObject");
                value = view.answer(kind, &target.version, value, include);
            }
        }
        let mut response = answer::whole(done.code, &value);
        answer::warn(&mut response, &done.warnings);
        response
    }

    fn count(&self, verb: &str) {
        let mut requests = self.inner.requests.lock();
        *requests.entry(verb.to_owned()).or_default() += 1;
    }

    /// Parses a request.
    fn call(
        &self,
        parts: &http::request::Parts,
        bytes: &Bytes,
        user: User,
    ) -> Result<Call, Failure> {
        let mut target = Target::parse(parts.uri.path()).ok_or_else(no_such_path)?;
        let query = query(parts.uri.query().unwrap_or_default());
        let watches = query
            .get("watch")
            .is_some_and(|watch| watch == "true" || watch == "1");
        let by_name = query.get("fieldSelector");
        let by_name = by_name.and_then(|selector| exact_name(selector));
        let verb = match (&parts.method, target.name.is_empty()) {
            (&Method::GET, true) if watches => "watch",
            (&Method::GET, false) if watches && target.subresource.is_empty() => "watch",
            (&Method::GET, true) => "list",
            (&Method::GET, false) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, true) => "deletecollection",
            (&Method::DELETE, false) => "delete",
            _ => return Err(not_allowed()),
        };
        // RBAC authorises a list or watch that selects one name by that name (`RequestInfo` of k8s.io/apiserver).
        if matches!(verb, "list" | "watch") && target.name.is_empty() {
            target.name = by_name.unwrap_or_default();
        }
        let text = |name: header::HeaderName| {
            let value = parts.headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let content_type = text(header::CONTENT_TYPE);
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        let agent = text(header::USER_AGENT);
        let agent = agent.split('/').next().unwrap_or_default();
        Ok(Call {
            verb,
            target,
            query,
            content_type: match content_type {
                "" => "application/json".to_owned(),
                given => given.to_owned(),
            },
            body: read_body(bytes, content_type)?,
            user,
            agent: if agent.is_empty() { "unknown" } else { agent }.to_owned(),
            patches: Vec::new(),
            stop: None,
        })
    }

    /// The answer that a fault causes; none if the request continues.
    async fn fail(&self, kind: FaultKind) -> Result<Option<Response<Body>>, ConnectionCut> {
        match kind {
            FaultKind::Status(code) => Ok(Some(answer::refused(&failure(
                code,
                "InternalError",
                "injected failure",
            )))),
            FaultKind::Throttle(seconds) => {
                let mut failure = failure(429, "TooManyRequests", "please try again later")
                    .with("details", json!({ "retryAfterSeconds": seconds }));
                failure.retry_after = Some(seconds);
                Ok(Some(answer::refused(&failure)))
            }
            FaultKind::Hang(time) => {
                tokio::time::sleep(time).await;
                Ok(None)
            }
            FaultKind::Cut | FaultKind::CutAfter => Err(ConnectionCut),
            FaultKind::Pass | FaultKind::HangAfter(_) | FaultKind::AnswerLost => Ok(None),
        }
    }
}

fn non_resource(parts: &http::request::Parts, path: &str) -> Attributes {
    Attributes {
        verb: parts.method.as_str().to_lowercase(),
        path: path.to_owned(),
        ..Attributes::default()
    }
}

fn read_body(bytes: &[u8], content_type: &str) -> Result<Value, Failure> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if content_type.contains("protobuf") || content_type.contains("cbor") {
        return Err(crate::status::unsupported_media_type());
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    // Apply patches are YAML by their content type.
    let documents = flotilla_yaml::parse_documents_bytes(bytes, &flotilla_yaml::Limits::default())
        .map_err(|error| bad_request(format!("error decoding: {error}")))?;
    Ok(documents
        .into_iter()
        .next()
        .map_or(Value::Null, |document| document.value))
}

/// The connection is to be cut without an answer.
#[derive(Debug)]
struct ConnectionCut;

impl std::fmt::Display for ConnectionCut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was cut on request")
    }
}

impl std::error::Error for ConnectionCut {}

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
