//! HTTP answers, and documents that are not objects.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::Body;
use crate::schema::builtin;
use crate::status::Failure;
use crate::{ApiServer, discovery, openapi};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

pub(super) fn whole(code: u16, value: &Value) -> Response<Body> {
    typed(code, value, "application/json")
}

fn typed(code: u16, value: &Value, content_type: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let value = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

/// Adds warnings (RFC 9111, in the format of kube-apiserver).
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = header::HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

pub(super) fn refused(failure: &Failure) -> Response<Body> {
    let mut response = whole(failure.code, &failure.body);
    if let Some(seconds) = failure.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    warn(&mut response, &failure.warnings);
    response
}

/// Whether any kind of the path's group is served.
pub(super) fn is_served(server: &ApiServer, path: &str) -> bool {
    let kinds = Arc::clone(&server.inner.store.lock().kinds);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let group = match parts.as_slice() {
        ["api", ..] => "",
        ["apis", group, ..] => *group,
        _ => return false,
    };
    kinds.iter().any(|kind| kind.group == group)
}

/// The answer of the API server for unknown paths.
pub(super) fn nothing() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The aggregator's answer for an API server that is unavailable; none if it is available.
pub(super) fn away(server: &ApiServer, group: &str, version: &str) -> Option<Response<Body>> {
    server
        .is_away(group, version)
        .then(|| plain(StatusCode::SERVICE_UNAVAILABLE, "service unavailable\n"))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// Paths that are not objects; none for all others.
pub(super) fn fixed(server: &ApiServer, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let kinds = Arc::clone(&server.inner.store.lock().kinds);
    let aggregated = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("g=apidiscovery.k8s.io"));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let value = match parts.as_slice() {
        ["healthz" | "readyz" | "livez", ..] => json!("ok"),
        ["version"] => {
            let (major, minor) = builtin().version.split_once('.').unwrap_or_default();
            json!({
                "major": major, "minor": minor, "platform": "embedded",
                "gitVersion": format!("v{}.0+embedded", builtin().version),
                "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "",
            })
        }
        ["api" | "apis"] if aggregated => {
            let away = server.inner.away.lock();
            let core = parts == ["api"];
            let document = discovery::aggregated(&kinds, core, &away);
            return Some(typed(200, &document, AGGREGATED));
        }
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
        }),
        ["apis"] => discovery::groups(&kinds),
        ["apis", group] => discovery::one_group(&kinds, group)?,
        ["api", version] => discovery::resources(&kinds, "", version)?,
        ["apis", group, version] => match away(server, group, version) {
            Some(response) => return Some(response),
            None => discovery::resources(&kinds, group, version)?,
        },
        ["openapi", "v3"] => openapi::index(&kinds),
        ["openapi", "v3", "api", version] => openapi::document(&kinds, "", version)?,
        ["openapi", "v3", "apis", group, version] => openapi::document(&kinds, group, version)?,
        _ => return None,
    };
    Some(whole(200, &value))
}
