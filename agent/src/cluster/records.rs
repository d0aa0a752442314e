//! The agent's records in its own namespace, from which the next leader on another node continues (one
//! identity for all pods, and a floor for generations that outlives a lost disk: V4, N4).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::Cluster;
use crate::api::Error;

impl Cluster {
    fn record(&self, plural: &str, name: &str) -> String {
        let namespace = &self.options.namespace;
        format!("/api/v1/namespaces/{namespace}/{plural}/{name}")
    }

    /// Bytes that were stored under a name in a ConfigMap. None: there were none.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn read_record(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let found = self.api.find(&self.record("configmaps", name)).await?;
        Ok(found.and_then(|live| {
            let text = live.pointer("/binaryData/content")?.as_str()?.to_owned();
            STANDARD.decode(text).ok()
        }))
    }

    /// Stores bytes under a name, in a ConfigMap.
    ///
    /// # Errors
    /// When the API server does not take them.
    pub async fn write_record(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.options.namespace},
            "binaryData": {"content": STANDARD.encode(content)},
        });
        self.apply_record("configmaps", name, &body).await
    }

    /// The entries of a Secret of the agent's own. None: there is no such Secret.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn read_secret(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let found = self.api.find(&self.record("secrets", name)).await?;
        Ok(found.map(|live| {
            let data = live.get("data").and_then(Value::as_object);
            data.into_iter()
                .flatten()
                .filter_map(|(key, value)| {
                    let bytes = STANDARD.decode(value.as_str()?).ok()?;
                    Some((key.clone(), String::from_utf8(bytes).ok()?))
                })
                .collect()
        }))
    }

    /// Stores entries in a Secret of the agent's own.
    ///
    /// # Errors
    /// When the API server does not take them.
    pub async fn write_secret(
        &self,
        name: &str,
        entries: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let data: BTreeMap<&String, String> = entries
            .iter()
            .map(|(k, v)| (k, STANDARD.encode(v)))
            .collect();
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self.options.namespace},
            "type": "Opaque",
            "data": data,
        });
        self.apply_record("secrets", name, &body).await
    }

    async fn apply_record(&self, plural: &str, name: &str, body: &Value) -> Result<(), Error> {
        let path = format!(
            "{}?fieldManager={}&force=true",
            self.record(plural, name),
            self.options.field_manager
        );
        self.api
            .send(
                Method::PATCH,
                &path,
                "application/apply-patch+yaml",
                Some(body),
            )
            .await
            .map(|_| ())
    }
}
