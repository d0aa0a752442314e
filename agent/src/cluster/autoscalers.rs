//! Which objects an autoscaler currently targets. Read only for objects whose number of replicas differs from
//! Git.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use serde_json::Value;

use super::desired::{SCALERS, scale_target};
use super::pass::Pass;
use crate::observe::facts::Fact;

impl Pass<'_> {
    /// Determines, for every object whose number of replicas is in question, whether an autoscaler sets it.
    pub(super) async fn find_autoscaled(&mut self) {
        let asked: BTreeSet<ObjectRef> = self
            .facts
            .iter()
            .filter(|(_, fact)| fact.replicas_differ || fact.was_autoscaled)
            .map(|(object, _)| object.clone())
            .collect();
        if asked.is_empty() {
            return;
        }
        let namespaces: BTreeSet<&str> = asked.iter().map(|o| o.namespace.as_str()).collect();
        let mut targets: BTreeMap<&str, Option<BTreeSet<ObjectRef>>> = BTreeMap::new();
        for namespace in namespaces {
            targets.insert(namespace, self.targets(namespace).await);
        }
        for object in &asked {
            let Some(fact) = self.facts.get_mut(object) else {
                continue;
            };
            let is_target = match targets.get(object.namespace.as_str()) {
                Some(Some(targets)) => targets.contains(object),
                // The autoscalers could not be read, so a count that an autoscaler once set may still be its
                // own.
                Some(None) | None => fact.was_autoscaled,
            };
            let fact: &mut Fact = Arc::make_mut(fact);
            match is_target {
                true => fact.leave_replicas(),
                false => fact.compare_replicas(),
            }
        }
    }

    /// Returns the targets of a namespace's autoscalers; none: they cannot be read.
    async fn targets(&self, namespace: &str) -> Option<BTreeSet<ObjectRef>> {
        let mut targets = BTreeSet::new();
        for (group, kind) in SCALERS {
            let resource = {
                let discovery = self.cluster.discovery.lock().await;
                discovery.find(group, "", kind).cloned()
            };
            let Some(resource) = resource else {
                continue;
            };
            match self.cluster.api.get(&resource.collection(namespace)).await {
                Ok(list) => {
                    let items = list.get("items").and_then(Value::as_array);
                    let items = items.into_iter().flatten();
                    targets.extend(items.filter_map(|item| scale_target(group, namespace, item)));
                }
                // KEDA scales through a HorizontalPodAutoscaler, which was read already.
                Err(error) if error.reason == Reason::Forbidden && group == "keda.sh" => {}
                Err(error) => {
                    tracing::warn!(kind, namespace, %error, "cannot read autoscalers");
                    return None;
                }
            }
        }
        Some(targets)
    }
}
