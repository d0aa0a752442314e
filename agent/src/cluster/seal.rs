//! Proof that the agent itself wrote its records: a seal over each of them, made with a key that is
//! stored apart from them. A record that was changed by hand lacks a valid one.

use flotilla_shared::digest::Digest;
use flotilla_shared::reason::Reason;
use http::Method;
use serde_json::json;

use super::Cluster;
use crate::api::Error;

/// The Secret in the agent's namespace that stores the key.
const SECRET: &str = "flotilla-agent-seal";
const ENTRY: &str = "key";

/// The key of this cluster's records.
#[derive(Clone)]
pub(super) struct SealKey(Digest);

impl SealKey {
    fn parse(text: &str) -> Option<Self> {
        Digest::from_hex(text.trim()).map(Self)
    }

    /// The seal of a record. Keyed twice (NMAC), so that nothing can be appended to the sealed content.
    pub(super) fn seal<'a>(&'a self, parts: impl IntoIterator<Item = &'a [u8]>) -> String {
        let key = self.0.as_bytes().as_slice();
        let inner = Digest::of_parts(std::iter::once(key).chain(parts));
        Digest::of_parts([key, inner.as_bytes().as_slice()]).to_string()
    }
}

impl Cluster {
    /// The key. None: there is none yet, so that nothing can be sealed with it.
    pub(super) async fn seal_key(&self) -> Result<Option<SealKey>, Error> {
        let mut known = self.seal.lock().await;
        if known.is_none() {
            *known = self.read_seal_key().await?;
        }
        Ok(known.clone())
    }

    /// The key; created if it is missing.
    pub(super) async fn make_seal_key(&self) -> Result<SealKey, Error> {
        if let Some(key) = self.seal_key().await? {
            return Ok(key);
        }
        let random: [u8; 32] = rand::random();
        let key = Digest::of(&random);
        let path = format!("/api/v1/namespaces/{}/secrets", self.options.namespace);
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": self.options.namespace},
            "type": "Opaque",
            "stringData": {ENTRY: key.to_string()},
        });
        match self
            .api
            .send(Method::POST, &path, "application/json", Some(&body))
            .await
        {
            // Another pod, or an earlier request whose answer was lost, created it first: read the existing
            // one.
            Err(error) if error.code != 409 => return Err(error),
            _ => {}
        }
        self.seal_key().await?.ok_or_else(|| {
            Error::new(
                0,
                Reason::InventoryUnavailable,
                format!("Secret {SECRET} holds no key; delete it, and the agent creates a new one"),
            )
        })
    }

    async fn read_seal_key(&self) -> Result<Option<SealKey>, Error> {
        let entries = self.read_secret(SECRET).await?.unwrap_or_default();
        Ok(entries.get(ENTRY).and_then(|text| SealKey::parse(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_of_one_key_and_one_content() {
        let key = SealKey(Digest::of(b"a"));
        let seal = key.seal([b"one".as_slice(), b"two"]);
        assert_eq!(seal, key.seal([b"one".as_slice(), b"two"]));
        assert_ne!(seal, key.seal([b"onet".as_slice(), b"wo"]));
        assert_ne!(
            seal,
            SealKey(Digest::of(b"b")).seal([b"one".as_slice(), b"two"])
        );
    }
}
