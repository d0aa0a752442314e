//! Object count quotas (`ResourceQuota`) as admission enforces them: by the status of the quota, which it increments
//! itself. Nothing else maintains that status, as with a bare kube-apiserver.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::quantity::{billionths, canonical};
use crate::status::{Failure, forbidden};
use crate::store::{Key, Store};

/// Kinds of the core group that are also counted under their plain name.
const BARE: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

/// The resource names under which a creation is counted.
fn names(kind: &Kind) -> Vec<String> {
    let plural = &kind.plural;
    let mut names = vec![match kind.group.as_str() {
        "" => format!("count/{plural}"),
        group => format!("count/{plural}.{group}"),
    }];
    if kind.group.is_empty() && BARE.contains(&plural.as_str()) {
        names.push(plural.clone());
    }
    names
}

/// Checks a creation; returns the quotas to store with it.
///
/// # Errors
/// 403 if a quota is exceeded, or has no usage in its status.
pub(crate) fn admit(
    store: &Store,
    kind: &Kind,
    namespace: &str,
    name: &str,
) -> Result<Vec<(Key, Value)>, Failure> {
    if namespace.is_empty() {
        return Ok(Vec::new());
    }
    let names = names(kind);
    let mut after = Vec::new();
    for (key, quota) in store.range("", "resourcequotas", namespace) {
        let amounts = |pointer: &str| -> BTreeMap<&str, &str> {
            let found = quota.pointer(pointer).and_then(Value::as_object);
            let counted = found.into_iter().flatten().filter_map(|(name, amount)| {
                names
                    .contains(name)
                    .then_some((name.as_str(), amount.as_str()?))
            });
            counted.collect()
        };
        let (hard, used) = (amounts("/status/hard"), amounts("/status/used"));
        let refused = |why: &str| forbidden(&kind.group, &kind.plural, name, why);
        let unknown: Vec<&str> = hard
            .keys()
            .filter(|name| !used.contains_key(*name))
            .copied()
            .collect();
        if !unknown.is_empty() {
            return Err(refused(&format!(
                "status unknown for quota: {}, resources: {}",
                key.3,
                unknown.join(",")
            )));
        }
        let one = billionths("1").unwrap_or_default();
        let exceeded: Vec<(&str, &str)> = hard
            .iter()
            .filter(|(name, limit)| {
                let used = used.get(*name).and_then(|used| billionths(used));
                used.unwrap_or_default() + one > billionths(limit).unwrap_or_default()
            })
            .map(|(name, limit)| (*name, *limit))
            .collect();
        if !exceeded.is_empty() {
            let list = |amount: &dyn Fn(&str, &str) -> String| {
                let all: Vec<String> = exceeded
                    .iter()
                    .map(|(name, limit)| format!("{name}={}", amount(name, limit)))
                    .collect();
                all.join(",")
            };
            return Err(refused(&format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                key.3,
                list(&|_, _| "1".to_owned()),
                list(&|name, _| used.get(name).copied().unwrap_or_default().to_owned()),
                list(&|_, limit| limit.to_owned()),
            )));
        }
        if !hard.is_empty() {
            let mut next = Value::clone(quota);
            for name in hard.keys() {
                let used = used.get(name).and_then(|used| billionths(used));
                let more = (used.unwrap_or_default() + one) / one;
                next["status"]["used"][*name] = json!(canonical(&more.to_string()));
            }
            after.push((key.clone(), next));
        }
    }
    Ok(after)
}
