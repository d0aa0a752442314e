//! One HTTPS request to a webhook.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Maximum size of a webhook's answer.
const MAX_ANSWER: usize = 3 << 20;

fn connector(bundle: &str) -> Result<TlsConnector, String> {
    let pem = base64::engine::general_purpose::STANDARD
        .decode(bundle)
        .map_err(|error| error.to_string())?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Posts a review and reads the answer. Errors are worded as in Go, because the API server passes them on.
pub(super) async fn ask(
    url: &str,
    bundle: &str,
    review: &Value,
    timeout: Duration,
) -> Result<Value, String> {
    let failed = |why: &str| format!("Post \"{url}\": {why}");
    match tokio::time::timeout(timeout, post(url, bundle, review)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(why)) => Err(failed(&why)),
        Err(_) => Err(failed("context deadline exceeded")),
    }
}

async fn post(url: &str, bundle: &str, review: &Value) -> Result<Value, String> {
    let uri: Uri = url.parse().map_err(|_| "invalid URL".to_owned())?;
    let host = uri.host().unwrap_or_default().to_owned();
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(443));
    let stream = TcpStream::connect(&address)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                format!("dial tcp {address}: connect: connection refused")
            }
            _ => format!("dial tcp {address}: {error}"),
        })?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| error.to_string())?;
    let stream = connector(bundle)?
        .connect(name, stream)
        .await
        .map_err(|error| format!("tls: failed to verify certificate: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = http::Request::post(path)
        .header(http::header::HOST, &address)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(review.to_string())))
        .map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let code = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    driver.abort();
    if !code.is_success() {
        return Err(format!("the server responded with {code}"));
    }
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}
