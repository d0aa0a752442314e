//! Inventories in the agent's namespace: ConfigMaps of readable JSON, sharded below etcd's limit.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::digest::Digest;
use flotilla_shared::object::ObjectRef;
use http::Method;
use serde_json::{Value, json};

use super::Cluster;
use super::api::Error;
use crate::inventory::{Entry, Inventory};

/// Entries of one ConfigMap: about 300 bytes each, far below 1 MiB.
const SHARD: usize = 1500;
const LABEL: &str = "flotilla.dev/inventory";

/// An inventory as it is recorded.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    pub(super) inventory: Inventory,
    /// False where a shard cannot be read as what we wrote: nothing is pruned from such a record, and
    /// it is written anew (P15).
    pub(super) trusted: bool,
    /// What each shard holds; none: it is not as it should be.
    shards: Vec<Option<Digest>>,
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
        let mut finished_hooks = BTreeSet::new();
        let mut trusted = true;
        let mut found = 0;
        let mut total = None;
        let items = list.get("items").and_then(Value::as_array);
        for item in items.into_iter().flatten() {
            let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
            match text("/data/entries").map(serde_json::from_str::<Vec<Entry>>) {
                Some(Ok(shard)) => entries.extend(shard),
                _ => trusted = false,
            }
            if let Some(text) = text("/data/finishedHooks") {
                match serde_json::from_str::<BTreeSet<ObjectRef>>(text) {
                    Ok(hooks) => finished_hooks = hooks,
                    Err(_) => trusted = false,
                }
            }
            found += 1;
            total = text("/data/shards")
                .and_then(|text| text.parse::<usize>().ok())
                .or(total);
        }
        // A shard that somebody deleted took its entries with it; the objects stay.
        if total.unwrap_or(0) != found {
            trusted = false;
        }
        let mut inventory = Inventory::new(entries);
        inventory.finished_hooks = finished_hooks;
        let shards = match (trusted, found) {
            // Exactly what we would write.
            (true, 1..) => render(&inventory).iter().map(|s| Some(digest(s))).collect(),
            _ => vec![None; found],
        };
        Ok(Stored {
            inventory,
            trusted,
            shards,
        })
    }

    /// Makes the record say what `inventory` says: writes the shards that differ, then takes away what
    /// is too many.
    pub(super) async fn keep(
        &self,
        application: &str,
        inventory: &Inventory,
        stored: &mut Stored,
    ) -> Result<(), Error> {
        let is_same = stored.trusted && stored.inventory == *inventory && !stored.shards.is_empty();
        if is_same || (stored.shards.is_empty() && inventory.is_empty()) {
            return Ok(());
        }
        let shards = render(inventory);
        // The number of shards is in each of them.
        let all = stored.shards.len() != shards.len();
        for (index, data) in shards.iter().enumerate() {
            let next = digest(data);
            if !all && stored.shards.get(index) == Some(&Some(next)) {
                continue;
            }
            let name = Self::shard_name(application, index);
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
            let kind = "application/apply-patch+yaml";
            self.api
                .send(Method::PATCH, &path, kind, Some(&body))
                .await?;
        }
        for index in shards.len()..stored.shards.len() {
            let name = Self::shard_name(application, index);
            let path = format!("{}/{name}", self.config_maps());
            match self
                .api
                .send(Method::DELETE, &path, "application/json", None)
                .await
            {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        stored.shards = shards.iter().map(|data| Some(digest(data))).collect();
        stored.inventory = inventory.clone();
        stored.trusted = true;
        Ok(())
    }

    /// Takes the record of an application away that has no objects any more.
    pub(crate) async fn drop_inventory(&self, application: &str) -> Result<(), Error> {
        let mut stored = self.read_inventory(application).await?;
        if !stored.trusted || !stored.inventory.is_empty() {
            return Ok(());
        }
        for index in 0..stored.shards.len() {
            let name = Self::shard_name(application, index);
            let path = format!("{}/{name}", self.config_maps());
            self.api
                .send(Method::DELETE, &path, "application/json", None)
                .await?;
        }
        stored.shards.clear();
        Ok(())
    }
}

/// The data of each shard.
fn render(inventory: &Inventory) -> Vec<BTreeMap<&'static str, String>> {
    let entries: Vec<&Entry> = inventory.entries().collect();
    let shards: Vec<&[&Entry]> = match entries.is_empty() {
        true => vec![&[]],
        false => entries.chunks(SHARD).collect(),
    };
    let total = shards.len().to_string();
    let mut all: Vec<BTreeMap<&'static str, String>> = shards
        .iter()
        .map(|shard| {
            let text = serde_json::to_string(shard).unwrap_or_default();
            [("entries", text), ("shards", total.clone())].into()
        })
        .collect();
    if let (false, Some(first)) = (inventory.finished_hooks.is_empty(), all.first_mut()) {
        let hooks = serde_json::to_string(&inventory.finished_hooks).unwrap_or_default();
        first.insert("finishedHooks", hooks);
    }
    all
}

fn digest(data: &BTreeMap<&'static str, String>) -> Digest {
    Digest::of_parts(data.iter().flat_map(|(k, v)| [k.as_bytes(), v.as_bytes()]))
}
