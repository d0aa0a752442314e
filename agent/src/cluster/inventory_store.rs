//! Inventories in the agent's namespace: ConfigMaps of readable JSON, sharded below etcd's limit.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::Cluster;
use super::api::Error;
use crate::inventory::{Entry, Inventory};

/// Entries of one ConfigMap: about 250 bytes each, far below 1 MiB.
const SHARD: usize = 2000;
const LABEL: &str = "flotilla.dev/inventory";

/// What the record of an inventory said.
pub(super) struct Stored {
    pub(super) inventory: Inventory,
    /// False where a shard cannot be read as what we wrote: nothing is pruned from such a record, and
    /// it is written anew (P15).
    pub(super) trusted: bool,
}

impl Cluster {
    fn shard_name(application: &str, index: usize) -> String {
        format!("flotilla-inventory-{application}-{index}")
    }

    fn config_maps(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.options.namespace)
    }

    pub(super) async fn read_inventory(&self, application: &str) -> Result<Stored, Error> {
        let path = format!(
            "{}?labelSelector=flotilla.dev%2Finventory%3D{application}",
            self.config_maps()
        );
        let list = self.api.get(&path).await?;
        let mut entries = Vec::new();
        let mut trusted = true;
        let mut shards = Vec::new();
        let mut total = None;
        for item in list
            .get("items")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
            match text("/data/entries").map(serde_json::from_str::<Vec<Entry>>) {
                Some(Ok(shard)) => entries.extend(shard),
                _ => trusted = false,
            }
            shards.push(text("/metadata/name").unwrap_or_default().to_owned());
            total = text("/data/shards")
                .and_then(|text| text.parse::<usize>().ok())
                .or(total);
        }
        // A shard that somebody deleted took its entries with it; the objects stay.
        if total.unwrap_or(0) != shards.len() {
            trusted = false;
        }
        Ok(Stored {
            inventory: Inventory::new(entries),
            trusted,
        })
    }

    /// Writes an inventory; shards first, then what is too many is deleted.
    pub(super) async fn write_inventory(
        &self,
        application: &str,
        inventory: &Inventory,
        shards_before: usize,
    ) -> Result<(), Error> {
        let entries: Vec<&Entry> = inventory.entries().collect();
        let shards: Vec<&[&Entry]> = match entries.is_empty() {
            true => vec![&[]],
            false => entries.chunks(SHARD).collect(),
        };
        for (index, shard) in shards.iter().enumerate() {
            let name = Self::shard_name(application, index);
            let text = serde_json::to_string(shard).unwrap_or_default();
            let data: BTreeMap<&str, String> =
                [("entries", text), ("shards", shards.len().to_string())].into();
            let body = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": name,
                    "namespace": self.options.namespace,
                    "labels": { LABEL: application },
                },
                "data": data,
            });
            let path = format!(
                "{}/{name}?fieldManager={}&force=true",
                self.config_maps(),
                self.options.field_manager
            );
            self.api
                .send(
                    Method::PATCH,
                    &path,
                    "application/apply-patch+yaml",
                    Some(&body),
                )
                .await?;
        }
        for index in shards.len()..shards_before {
            let path = format!(
                "{}/{}",
                self.config_maps(),
                Self::shard_name(application, index)
            );
            match self
                .api
                .send(Method::DELETE, &path, "application/json", None)
                .await
            {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// How many shards an inventory of this size has.
    pub(super) fn shards(inventory: &Inventory) -> usize {
        inventory.len().div_ceil(SHARD).max(1)
    }
}
