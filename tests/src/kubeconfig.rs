//! A client for a kubeconfig file.

use std::path::Path;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

/// A client for a kubeconfig file.
///
/// # Errors
/// When the file cannot be used.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<kube::Client> {
    let read = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("{} cannot be read", kubeconfig.display()))?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(read, &options).await?;
    // Tests assert on single answers, and retries would hide errors.
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}

/// A request to an API server; with null as body, none is sent.
///
/// # Errors
/// When method or path are invalid.
pub fn request<B: From<Vec<u8>>>(
    method: &str,
    path: &str,
    kind: &str,
    body: &Value,
) -> http::Result<http::Request<B>> {
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(B::from(text.into_bytes()))
}
