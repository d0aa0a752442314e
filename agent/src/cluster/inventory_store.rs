//! Inventories in the agent's namespace: ConfigMaps of readable JSON, sharded below etcd's limit.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use http::Method;
use serde_json::{Value, json};

use super::Cluster;
use super::seal::SealKey;
use crate::api::Error;
use crate::inventory::{Entry, Inventory};

/// Entries of one ConfigMap: about 300 bytes each, far below 1 MiB.
const SHARD: usize = 1500;
const LABEL: &str = "flotilla.dev/inventory";
/// Key of a shard's seal.
const SEAL: &str = "seal";
/// On the first shard, set by a person: `confirmed` lets a removal go over the delete budget.
pub(super) const REMOVE_ANNOTATION: &str = "flotilla.dev/remove";

/// An inventory as it is stored.
#[derive(Debug, Clone, Default)]
pub(super) struct StoredInventory {
    pub(super) inventory: Inventory,
    /// Why the record is not as this agent wrote it. None: it is. Nothing is pruned from a changed
    /// record, and it is written again (P15).
    pub(super) changed: Option<&'static str>,
    /// Whether it was written by an older agent without seals. Its entries count no more than those of a
    /// changed one, but it is not reported.
    pub(super) is_older: bool,
    /// The cluster's own people let a removal go over the delete budget.
    pub(super) confirmed: bool,
    /// Digest of each shard; none: the shard has to be written again.
    shards: Vec<Option<Digest>>,
}

impl Cluster {
    fn shard_name(application: &str, index: usize) -> String {
        format!("flotilla-inventory-{application}-{index}")
    }

    fn config_maps(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.options.namespace)
    }

    /// Returns the applications that have an inventory.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn recorded(&self) -> Result<BTreeSet<ApplicationName>, Error> {
        let path = format!(
            "{}?labelSelector=flotilla.dev%2Finventory",
            self.config_maps()
        );
        let list = self.api.get(&path).await?;
        let items = list.get("items").and_then(Value::as_array);
        let label = |item: &Value| {
            item.pointer("/metadata/labels")?
                .get(LABEL)?
                .as_str()?
                .parse()
                .ok()
        };
        Ok(items.into_iter().flatten().filter_map(label).collect())
    }

    pub(super) async fn read_inventory(&self, application: &str) -> Result<StoredInventory, Error> {
        let path = format!(
            "{}?labelSelector=flotilla.dev%2Finventory%3D{application}",
            self.config_maps()
        );
        let list = self.api.get(&path).await?;
        let items = list.get("items").and_then(Value::as_array);
        let items: Vec<&Value> = items.into_iter().flatten().collect();
        if items.is_empty() {
            return Ok(StoredInventory::default());
        }
        let key = self.seal_key().await?;
        let mut entries = Vec::new();
        let mut stored = StoredInventory::default();
        let mut finished_hooks = BTreeSet::new();
        let mut total = None;
        for item in &items {
            let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
            match text("/data/entries").map(serde_json::from_str::<Vec<Entry>>) {
                Some(Ok(shard)) => entries.extend(shard),
                _ => stored.changed = Some("part of it cannot be read"),
            }
            if let Some(text) = text("/data/finishedHooks") {
                match serde_json::from_str::<BTreeSet<ObjectRef>>(text) {
                    Ok(hooks) => finished_hooks = hooks,
                    Err(_) => stored.changed = Some("part of it cannot be read"),
                }
            }
            let data: BTreeMap<&str, &str> = item
                .get("data")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter(|(key, _)| *key != SEAL)
                .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
                .collect();
            let made = key.as_ref().map(|key| seal(key, application, &data));
            if made.is_none() || made.as_deref() != text("/data/seal") {
                let why = "it differs from what this agent wrote: changed by hand, or by an \
                     older agent";
                stored.changed = stored.changed.or(Some(why));
            }
            let annotations = item.pointer("/metadata/annotations");
            stored.confirmed |= annotations
                .and_then(|all| all.get(REMOVE_ANNOTATION))
                .is_some_and(|word| word == "confirmed");
            total = text("/data/shards")
                .and_then(|text| text.parse::<usize>().ok())
                .or(total);
        }
        // A shard that was deleted by hand took its entries with it; the objects still exist.
        if total.unwrap_or(0) != items.len() {
            stored.changed = Some("part of it is missing");
        }
        let is_sealed = |item: &&Value| item.pointer("/data/seal").is_some();
        stored.is_older = key.is_none() && !items.iter().any(is_sealed);
        stored.inventory = Inventory::new(entries);
        stored.inventory.finished_hooks = finished_hooks;
        stored.shards = match (stored.changed, key) {
            // The shards are exactly as this agent writes them.
            (None, Some(key)) => {
                let shards = render(&stored.inventory, application, &key);
                shards.iter().map(|s| Some(digest(s))).collect()
            }
            _ => vec![None; items.len()],
        };
        Ok(stored)
    }

    /// Stores `inventory`: writes the shards that differ, then deletes superfluous ones.
    pub(super) async fn keep(
        &self,
        application: &str,
        inventory: &Inventory,
        stored: &mut StoredInventory,
    ) -> Result<(), Error> {
        let is_same =
            stored.changed.is_none() && stored.inventory == *inventory && !stored.shards.is_empty();
        if is_same || (stored.shards.is_empty() && inventory.is_empty()) {
            return Ok(());
        }
        let key = self.make_seal_key().await?;
        let shards = render(inventory, application, &key);
        // Each shard holds the number of shards, so that a new number changes all of them.
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
        stored.changed = None;
        Ok(())
    }

    /// Removes a confirmation by the owners of the cluster: it was for the removal that they saw, and not
    /// for the next one.
    pub(super) async fn forget_confirmation(
        &self,
        application: &str,
        stored: &mut StoredInventory,
    ) -> Result<(), Error> {
        let body = json!({"metadata": {"annotations": {REMOVE_ANNOTATION: null}}});
        for index in 0..stored.shards.len() {
            let name = Self::shard_name(application, index);
            let path = format!("{}/{name}", self.config_maps());
            let kind = "application/merge-patch+json";
            match self.api.send(Method::PATCH, &path, kind, Some(&body)).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        stored.confirmed = false;
        Ok(())
    }

    /// Deletes the inventory of an application without objects.
    pub(crate) async fn drop_inventory(&self, application: &str) -> Result<(), Error> {
        let mut stored = self.read_inventory(application).await?;
        if !stored.inventory.is_empty() {
            return Err(Error::new(
                0,
                Reason::InventoryChanged,
                "objects were added to the inventory by another client",
            ));
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
fn render(
    inventory: &Inventory,
    application: &str,
    key: &SealKey,
) -> Vec<BTreeMap<&'static str, String>> {
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
    for data in &mut all {
        let parts = data.iter().map(|(key, text)| (*key, text.as_str()));
        let made = seal(key, application, &parts.collect());
        data.insert(SEAL, made);
    }
    all
}

/// Returns the seal, which covers the application's name, so that an inventory cannot be copied to another
/// application.
fn seal(key: &SealKey, application: &str, data: &BTreeMap<&str, &str>) -> String {
    let parts = data.iter().flat_map(|(k, v)| [k.as_bytes(), v.as_bytes()]);
    key.seal(std::iter::once(application.as_bytes()).chain(parts))
}

fn digest(data: &BTreeMap<&'static str, String>) -> Digest {
    Digest::of_parts(data.iter().flat_map(|(k, v)| [k.as_bytes(), v.as_bytes()]))
}
