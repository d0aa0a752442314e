//! The objects that this agent applied for an application. Only these may ever be pruned. Pure; the
//! `cluster` module reads and writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::object::ObjectRef;
use serde::{Deserialize, Serialize};

/// One object of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    #[serde(flatten)]
    pub object: ObjectRef,
    /// The API version it was applied at.
    pub version: String,
    /// Its UID once it was applied; empty: the inventory was written before the apply, and the outcome
    /// is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Start of the digest of the last apply. Empty: that apply failed, or was made by an older
    /// agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub applied: String,
}

/// An application's inventory.
///
/// *Absent* (no record) means that nothing is known; *empty* means that nothing was applied. Neither is
/// ever a reason to delete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// Shared, since several versions of an inventory are held while it changes.
    entries: BTreeMap<ObjectRef, Arc<Entry>>,
    /// Finished hooks of the newest content; their Jobs may be deleted already.
    pub finished_hooks: BTreeSet<ObjectRef>,
}

impl Inventory {
    /// Creates an inventory from entries; of two entries for one object, the one with a UID is kept.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut inventory = Self::default();
        for entry in entries {
            inventory.insert(entry);
        }
        inventory
    }

    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(AsRef::as_ref)
    }

    /// The entry of an object.
    #[must_use]
    pub fn get(&self, object: &ObjectRef) -> Option<&Entry> {
        self.entries.get(object).map(AsRef::as_ref)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds or replaces an entry; a known UID is not replaced by an unknown one.
    pub fn insert(&mut self, entry: Entry) {
        let known = self
            .entries
            .get(&entry.object)
            .is_some_and(|before| !before.uid.is_empty());
        if !(known && entry.uid.is_empty()) {
            self.entries.insert(entry.object.clone(), Arc::new(entry));
        }
    }

    /// Removes an object that was deleted or belongs to another owner.
    pub fn remove(&mut self, object: &ObjectRef) {
        self.entries.remove(object);
    }

    /// This inventory with `desired` added: written before the first apply, so that a crash can
    /// never leave an object that is not remembered.
    #[must_use]
    pub fn superset(&self, desired: impl IntoIterator<Item = Entry>) -> Self {
        let mut all = self.clone();
        for entry in desired {
            all.insert(entry);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::object::ObjectNames;

    use super::*;

    fn entry(name: &str, uid: &str) -> Entry {
        Entry {
            object: ObjectRef::from(ObjectNames {
                group: String::new(),
                kind: "ConfigMap".to_owned(),
                namespace: "web".to_owned(),
                name: name.to_owned(),
            }),
            version: "v1".to_owned(),
            uid: uid.to_owned(),
            applied: String::new(),
        }
    }

    #[test]
    fn a_superset_forgets_nothing() {
        let inventory = Inventory::new([entry("a", "1"), entry("b", "2")]);
        let superset = inventory.superset([entry("b", ""), entry("c", "")]);
        let uids: Vec<&str> = superset.entries().map(|entry| entry.uid.as_str()).collect();
        assert_eq!(uids, ["1", "2", ""]);
    }

    #[test]
    fn entries_go_round() {
        let text = serde_json::to_string(&entry("a", "1")).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"ConfigMap","namespace":"web","name":"a","version":"v1","uid":"1"}"#
        );
        assert_eq!(
            serde_json::from_str::<Entry>(&text).unwrap(),
            entry("a", "1")
        );
    }
}
