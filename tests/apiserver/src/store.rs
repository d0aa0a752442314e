//! Objects, their history, and the kinds that are served; persisted if there is a data file.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::{self, Kind};

/// How many changes a watch may lag behind before it gets 410.
const HISTORY: usize = 20_000;

/// The key of an object: group, plural, namespace, name.
pub(crate) type Key = (String, String, String, String);

#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// None: this change created it.
    pub(crate) before: Option<Arc<Value>>,
    /// The object after the change; for a deletion, the last object with the version of the deletion.
    pub(crate) object: Arc<Value>,
    pub(crate) is_delete: bool,
}

/// A snapshot of all objects.
#[derive(Clone)]
pub(crate) struct Backup {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    kinds: Arc<Vec<Kind>>,
    given: u64,
}

pub(crate) struct Store {
    pub(crate) version: u64,
    pub(crate) objects: BTreeMap<Key, Arc<Value>>,
    pub(crate) history: VecDeque<Change>,
    /// The history up to this version has been compacted.
    pub(crate) forgotten: u64,
    pub(crate) kinds: Arc<Vec<Kind>>,
    /// Counters for allocation: addresses and ports of services.
    pub(crate) given: u64,
    /// Set by changes that may create garbage: an object was deleted or marked for deletion, or has an owner.
    pub(crate) has_garbage: bool,
    journal: Option<std::fs::File>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            version: 1,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            forgotten: 0,
            kinds: Arc::new(kinds::builtins()),
            given: 0,
            has_garbage: true,
            journal: None,
        }
    }

    /// Reads the data file, compacts it, and appends to it from then on.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let mut store = Self::new();
        if path.try_exists()? {
            let file = std::io::BufReader::new(std::fs::File::open(path)?);
            for line in file.lines() {
                // A crash may have truncated the last line.
                let Ok(entry) = serde_json::from_str::<Value>(&line?) else {
                    break;
                };
                store.replay(&entry);
            }
        }
        let mut text = format!("{}\n", entry(store.version, &Key::default(), None));
        for (key, object) in &store.objects {
            text += &format!("{}\n", entry(store.version, key, Some(object)));
        }
        flotilla_disk::replace(path, text.as_bytes())?;
        store.journal = Some(std::fs::OpenOptions::new().append(true).open(path)?);
        store.forgotten = store.version;
        let definitions: Vec<Arc<Value>> = store
            .range("apiextensions.k8s.io", "customresourcedefinitions", "")
            .map(|(_, object)| Arc::clone(object))
            .collect();
        for definition in definitions {
            store.serve(&definition);
        }
        Ok(store)
    }

    fn replay(&mut self, entry: &Value) {
        let part = |index: usize| {
            let text = entry.pointer(&format!("/key/{index}"));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let key = (part(0), part(1), part(2), part(3));
        let version = entry.get("version").and_then(Value::as_u64).unwrap_or(0);
        self.version = self.version.max(version);
        match entry.get("object") {
            Some(object) if !object.is_null() => {
                self.objects.insert(key, Arc::new(object.clone()));
            }
            _ => {
                self.objects.remove(&key);
            }
        }
    }

    pub(crate) fn backup(&self) -> Backup {
        Backup {
            version: self.version,
            objects: self.objects.clone(),
            kinds: Arc::clone(&self.kinds),
            given: self.given,
        }
    }

    /// In memory only: the data file does not record it, and continues with the writes that follow.
    pub(crate) fn restore(&mut self, backup: &Backup) {
        self.version = backup.version;
        self.objects.clone_from(&backup.objects);
        self.kinds = Arc::clone(&backup.kinds);
        self.given = backup.given;
        self.history.clear();
        self.forgotten = self.version;
        self.has_garbage = true;
    }

    /// Serves the kind of a definition, in place of its former version.
    pub(crate) fn serve(&mut self, definition: &Value) {
        let kind = kinds::custom(definition);
        let kinds = Arc::make_mut(&mut self.kinds);
        kinds.retain(|have| {
            !(have.custom && have.group == kind.group && have.plural == kind.plural)
        });
        kinds.push(kind);
    }

    /// Stops serving a kind.
    pub(crate) fn withdraw(&mut self, group: &str, plural: &str) {
        Arc::make_mut(&mut self.kinds)
            .retain(|have| !(have.custom && have.group == group && have.plural == plural));
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| {
            kind.group == group && kind.plural == plural && kind.versions.contains_key(version)
        })
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Stores an object and records the change; sets its resourceVersion.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.version += 1;
        set_version(&mut object, self.version);
        self.has_garbage |= may_go(&object);
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        self.write(&key, Some(&object));
        self.remember(Change {
            version: self.version,
            key,
            before,
            object: Arc::clone(&object),
            is_delete: false,
        });
        object
    }

    /// Removes an object and records the change.
    pub(crate) fn delete(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.has_garbage = true;
        self.version += 1;
        let mut object = (*before).clone();
        set_version(&mut object, self.version);
        let object = Arc::new(object);
        self.write(key, None);
        self.remember(Change {
            version: self.version,
            key: key.clone(),
            before: Some(before),
            object: Arc::clone(&object),
            is_delete: true,
        });
        Some(object)
    }

    fn write(&mut self, key: &Key, object: Option<&Value>) {
        if let Some(file) = &mut self.journal {
            let line = format!("{}\n", entry(self.version, key, object));
            // The server continues in memory; a full disk shows when the file is read at the next start.
            let _ = file.write_all(line.as_bytes());
        }
    }

    fn remember(&mut self, change: Change) {
        self.history.push_back(change);
        while self.history.len() > HISTORY {
            if let Some(old) = self.history.pop_front() {
                self.forgotten = old.version;
            }
        }
    }

    /// Compacts the whole history, like etcd.
    pub(crate) fn compact(&mut self) {
        self.history.clear();
        self.forgotten = self.version;
    }

    /// Objects of a kind in a namespace (empty: all), sorted by key.
    pub(crate) fn range<'s>(
        &'s self,
        group: &str,
        plural: &str,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s Key, &'s Arc<Value>)> + use<'s> {
        let from: Key = (
            group.to_owned(),
            plural.to_owned(),
            namespace.to_owned(),
            String::new(),
        );
        let (group, plural, namespace) =
            (group.to_owned(), plural.to_owned(), namespace.to_owned());
        self.objects
            .range(from..)
            .take_while(move |((g, p, n, _), _)| {
                *g == group && *p == plural && (namespace.is_empty() || *n == namespace)
            })
    }

    /// The same at an older version.
    pub(crate) fn range_at(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        version: u64,
    ) -> BTreeMap<Key, Arc<Value>> {
        let mut found: BTreeMap<Key, Arc<Value>> = self
            .range(group, plural, namespace)
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect();
        for change in self.history.iter().rev() {
            if change.version <= version {
                break;
            }
            let (g, p, n, _) = &change.key;
            if g == group && p == plural && (namespace.is_empty() || n == namespace) {
                match &change.before {
                    Some(before) => found.insert(change.key.clone(), Arc::clone(before)),
                    None => found.remove(&change.key),
                };
            }
        }
        found
    }
}

fn entry(version: u64, key: &Key, object: Option<&Value>) -> Value {
    json!({ "version": version, "key": [key.0, key.1, key.2, key.3], "object": object })
}

/// Whether an object is marked for deletion, or has an owner.
fn may_go(object: &Value) -> bool {
    let Some(metadata) = object.get("metadata") else {
        return false;
    };
    metadata.get("deletionTimestamp").is_some() || metadata.get("ownerReferences").is_some()
}

fn set_version(object: &mut Value, version: u64) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert(
            "resourceVersion".to_owned(),
            Value::String(version.to_string()),
        );
    }
}

/// A random UID (RFC 9562 version 4).
pub(crate) fn uid() -> String {
    let (a, b) = (rand::random::<u64>(), rand::random::<u64>());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | ((b >> 48) & 0x3fff),
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_can_be_seen_as_it_was_and_the_file_brings_everything_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let mut store = Store::open(&path).unwrap();
        let key = |name: &str| -> Key { (String::new(), "x".into(), "n".into(), name.to_owned()) };
        let object = json!({"metadata": {"name": "a"}});
        store.put(key("a"), object.clone());
        let then = store.version;
        store.put(key("b"), object);
        store.delete(&key("a"));
        let was = store.range_at("", "x", "n", then);
        assert_eq!(was.keys().cloned().collect::<Vec<_>>(), [key("a")]);
        let version = store.version;
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(
            store.objects.keys().cloned().collect::<Vec<_>>(),
            [key("b")]
        );
        assert_eq!(store.version, version);
    }
}
