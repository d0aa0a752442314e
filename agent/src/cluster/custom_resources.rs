//! How many custom resources would go with a definition (P11). Asked only for definitions that left the commit,
//! and only said: nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use serde_json::Value;

use super::pass::{Pass, monotonic};
use crate::plan::{Intent, forbids};

/// Longest that a pass waits for all numbers together: nothing depends on them.
const PATIENCE: Duration = Duration::from_secs(2);

impl Pass<'_> {
    /// The numbers of custom resources of definitions that exist, are in the inventory, are no longer desired, and
    /// whose deletion waits for a confirmation. One that cannot be counted is left out.
    pub(super) async fn count_custom_resources(&mut self) -> BTreeMap<ObjectRef, usize> {
        let now = monotonic();
        let held = self.held_definitions();
        let due = self.memory.custom_resources.due(&held, now);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for definition in due {
            let asked = tokio::time::timeout_at(deadline, self.custom_resources(&definition));
            let count = asked.await.unwrap_or_else(|_| {
                tracing::debug!(%definition, "its custom resources were not counted in time");
                None
            });
            self.memory.custom_resources.note(definition, count, now);
        }
        self.memory.custom_resources.numbers()
    }

    /// The definitions that left the commit and stay until a person confirms their deletion.
    fn held_definitions(&self) -> BTreeSet<ObjectRef> {
        if !matches!(self.input.intent, Intent::Run | Intent::Remove) {
            return BTreeSet::new();
        }
        let desired: BTreeSet<&ObjectRef> = self.desired.iter().map(|d| &d.object).collect();
        let remembered = self.inventory.entries().map(|entry| &entry.object);
        remembered
            .filter(|object| {
                object.kind == "CustomResourceDefinition"
                    && object.group == "apiextensions.k8s.io"
                    && !desired.contains(*object)
                    && self.waits_for_confirmation(object)
            })
            .cloned()
            .collect()
    }

    fn waits_for_confirmation(&self, object: &ObjectRef) -> bool {
        let Some(fact) = self.facts.get(object).filter(|fact| !fact.terminating) else {
            return false;
        };
        let forbidden = forbids(&fact.prune, &self.input.policy, object);
        forbidden.is_some_and(|(reason, _)| reason != Reason::PruneDisabled)
    }

    /// How many objects of a definition there are; none: it cannot be known.
    async fn custom_resources(&self, definition: &ObjectRef) -> Option<usize> {
        let (plural, group) = definition.name.split_once('.')?;
        let resource = {
            let discovery = self.cluster.discovery.lock().await;
            discovery.find_plural(group, plural).cloned()
        }?;
        // A list limited to one object still says how many remain.
        let path = format!("{}?limit=1", resource.collection(""));
        let list = match self.api.get_once(&path).await {
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
