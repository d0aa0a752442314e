//! How many custom resources would go with a definition (P11). Asked only for definitions that left the commit,
//! and only said: nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::object::ObjectRef;
use serde_json::Value;

use super::pass::Pass;

impl Pass<'_> {
    /// The numbers of custom resources of the definitions that are there, remembered and not desired any more.
    /// One that cannot be counted is left out.
    pub(super) async fn count_custom_resources(&self) -> BTreeMap<ObjectRef, usize> {
        let desired: BTreeSet<&ObjectRef> = self.desired.iter().map(|d| &d.object).collect();
        let leaving: Vec<&ObjectRef> = self
            .inventory
            .entries()
            .map(|entry| &entry.object)
            .filter(|object| {
                object.kind == "CustomResourceDefinition"
                    && object.group == "apiextensions.k8s.io"
                    && !desired.contains(*object)
                    && self.facts.contains_key(*object)
            })
            .collect();
        let mut counts = BTreeMap::new();
        for definition in leaving {
            if let Some(count) = self.custom_resources(definition).await {
                counts.insert(definition.clone(), count);
            }
        }
        counts
    }

    /// How many objects of a definition there are; none: it cannot be known.
    async fn custom_resources(&self, definition: &ObjectRef) -> Option<usize> {
        let (plural, group) = definition.name.split_once('.')?;
        let resource = {
            let discovery = self.cluster.discovery.lock().await;
            discovery.find_plural(group, plural).cloned()
        }?;
        // One object tells how many more there are.
        let path = format!("{}?limit=1", resource.collection(""));
        let list = match self.api.get(&path).await {
            Ok(list) => list,
            Err(error) => {
                tracing::debug!(%definition, %error, "cannot count its custom resources");
                return None;
            }
        };
        let first = list.get("items").and_then(Value::as_array)?.len();
        let next = list.pointer("/metadata/continue").and_then(Value::as_str);
        let rest = match next {
            None | Some("") => 0,
            Some(_) => list
                .pointer("/metadata/remainingItemCount")
                .and_then(Value::as_u64)?,
        };
        Some(first.saturating_add(usize::try_from(rest).unwrap_or(usize::MAX)))
    }
}
