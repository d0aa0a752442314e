//! The client of the API server: requests with time-outs, retries of transient failures and
//! classified errors. Below it are the connection, discovery, watch streams, the request rate and the
//! owner's freeze switch.

pub mod access;
mod answer;
pub mod discovery;
pub mod freeze;
mod kubeconfig;
mod rate;
pub mod stream;

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::backoff::Backoff;
use flotilla_shared::reason::Reason;
use http::{Method, Request};
use serde_json::Value;

use crate::fence::Fence;
use crate::metrics::Metrics;

use rate::Rate;

/// Longest single request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Number of attempts for a transient failure before it is reported.
const ATTEMPTS: u32 = 4;
/// Longest wait that a server's Retry-After is obeyed for within a pass.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// A request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// HTTP status; 0 where there was no answer.
    pub code: u16,
    /// The bounded code.
    pub reason: Reason,
    /// The server's own words, in one line.
    pub message: String,
    /// Seconds that the server asks to wait.
    pub retry_after: Option<u64>,
    /// The other field managers of a conflict.
    pub managers: Vec<String>,
    /// Whether the same request may succeed a moment later.
    pub retry: bool,
    /// Fields (`spec.ports[1].name`) whose value another item of the same list already has.
    pub duplicates: Vec<String>,
}

impl Error {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.retry
    }

    /// Whether the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// The API server did not answer.
    pub(crate) fn unavailable(message: &str) -> Self {
        Self::new(0, Reason::ClusterUnavailable, message)
    }

    /// Creates an error of the agent itself.
    pub(crate) fn new(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            retry_after: None,
            managers: Vec::new(),
            retry: code == 0 && reason == Reason::ClusterUnavailable,
            duplicates: Vec::new(),
        }
    }

    pub(crate) fn from_kube(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            let message = flotilla_shared::report::plain_line(&text, 300);
            return Self::new(0, Reason::ClusterUnavailable, message);
        };
        let meaning = answer::read(status);
        let details = status.details.as_ref();
        Self {
            code: status.code,
            reason: meaning.reason,
            retry: meaning.retry,
            message: meaning.message,
            retry_after: details
                .map(|details| u64::from(details.retry_after_seconds))
                .filter(|seconds| *seconds > 0),
            managers: managers(&status.message),
            duplicates: meaning.duplicates,
        }
    }
}

/// The managers that a conflict names: `conflict with "kubectl-edit" using v1: .data.a`, or
/// `conflicts with "kubectl-edit" using v1:` and a list of fields.
fn managers(message: &str) -> Vec<String> {
    let mut found: Vec<String> = ["conflict with \"", "conflicts with \""]
        .iter()
        .flat_map(|words| message.split(words).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The API server.
#[derive(Clone)]
pub(crate) struct Api {
    client: kube::Client,
    rate: Arc<Rate>,
    fence: Fence,
    metrics: Metrics,
    /// `namespace/name` of the impersonated service account; none: the agent's own account.
    account: Option<Arc<str>>,
}

impl Api {
    pub(crate) fn new(client: kube::Client, rate: u32, fence: Fence, metrics: Metrics) -> Self {
        Self {
            client,
            rate: Arc::new(Rate::new(rate)),
            fence,
            metrics,
            account: None,
        }
    }

    pub(crate) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Returns the same API server, impersonating a service account; none: the agent's own account.
    pub(crate) fn as_account(&self, account: Option<Arc<str>>) -> Self {
        Self {
            account,
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.send(Method::GET, path, "application/json", None).await
    }

    /// Without retries, for callers that can do without an answer.
    pub(crate) async fn get_once(&self, path: &str) -> Result<Value, Error> {
        self.once(&Method::GET, path, "application/json", &[]).await
    }

    /// None if there is no such object.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>, Error> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let bytes = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| internal(&error))?,
            None => Vec::new(),
        };
        self.send_bytes(method, path, content_type, &bytes).await
    }

    pub(crate) async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Value, Error> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            let error = match self.once(&method, path, content_type, body).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // Every write of the agent is idempotent (apply, delete by UID), so an unknown outcome may be
            // tried again (A6).
            if !error.is_transient() || backoff.attempts() + 1 >= ATTEMPTS {
                return Err(error);
            }
            let delay = backoff.next_delay(&mut rand::rng());
            let asked = error
                .retry_after
                .map(Duration::from_secs)
                .unwrap_or_default();
            if asked > MAX_RETRY_AFTER {
                return Err(error);
            }
            tokio::time::sleep(delay.max(asked)).await;
        }
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Value, Error> {
        self.rate.wait().await;
        // Checked after the wait, so that a pod that lost its lease or was stopped meanwhile writes nothing
        // more.
        if method != Method::GET && !self.fence.is_held() {
            let text = match self.fence.why().as_str() {
                "" => "this pod is no longer the leader; nothing was written".to_owned(),
                why => format!("nothing was written: the lease cannot be renewed: {why}"),
            };
            return Err(Error::new(0, Reason::NotLeader, text));
        }
        let request = self
            .request(method, path, content_type)
            .body(body.to_vec())
            .map_err(|error| internal(&error))?;
        let started = tokio::time::Instant::now();
        let answer =
            match tokio::time::timeout(TIMEOUT, self.client.request::<Value>(request)).await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(Error::from_kube(&error)),
                Err(_) => Err(Error::unavailable(&format!(
                    "the API server did not answer {path} within 30 seconds"
                ))),
            };
        let code = answer.as_ref().map_or_else(|error| error.code, |_| 200);
        self.metrics.request(method, code, started.elapsed());
        answer
    }

    /// The same API server, for the one writer that does not need the lease: the election itself.
    pub(crate) fn unfenced(&self) -> Self {
        Self {
            fence: Fence::open(),
            ..self.clone()
        }
    }

    /// A request's head, with the account that it is made as.
    pub(crate) fn request(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
    ) -> http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::ACCEPT, accept(path))
            .header(http::header::CONTENT_TYPE, content_type);
        let names = self.account.as_deref().and_then(|a| a.split_once('/'));
        if let Some((namespace, name)) = names {
            request = request
                .header(
                    "Impersonate-User",
                    format!("system:serviceaccount:{namespace}:{name}"),
                )
                .header("Impersonate-Group", "system:serviceaccounts")
                .header(
                    "Impersonate-Group",
                    format!("system:serviceaccounts:{namespace}"),
                )
                .header("Impersonate-Group", "system:authenticated");
        }
        request
    }
}

fn internal(error: &dyn std::fmt::Display) -> Error {
    Error::new(0, Reason::ApplyFailed, error.to_string())
}

/// The two discovery documents are asked for in their aggregated form.
fn accept(path: &str) -> &'static str {
    match path {
        "/api" | "/apis" => {
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        }
        _ => "application/json",
    }
}
