//! Objects, their history, and the kinds that are served.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use crate::kinds::{self, Kind};

/// How many changes a watch may be behind before it gets 410.
const HISTORY: usize = 20_000;

/// Where an object is: group, plural, namespace, name.
pub(crate) type Key = (String, String, String, String);

/// A change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) kind: &'static str,
    pub(crate) key: Key,
    pub(crate) object: Value,
}

/// Everything.
pub(crate) struct Store {
    pub(crate) version: u64,
    pub(crate) objects: BTreeMap<Key, Value>,
    pub(crate) history: VecDeque<Change>,
    pub(crate) kinds: Vec<Kind>,
    uids: u64,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            version: 100,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            kinds: kinds::builtin(),
            uids: 0,
        }
    }

    pub(crate) fn uid(&mut self) -> String {
        self.uids += 1;
        let salt: u32 = rand_salt(self.uids);
        format!("{salt:08x}-0000-4000-8000-{:012x}", self.uids)
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| {
            kind.group == group
                && kind.plural == plural
                && kind.versions.iter().any(|have| have == version)
        })
    }

    /// Puts an object in place and remembers the change; sets its resourceVersion.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        set_version(&mut object, self.version);
        let kind = if self.objects.contains_key(&key) {
            "MODIFIED"
        } else {
            "ADDED"
        };
        self.objects.insert(key.clone(), object.clone());
        self.remember(kind, key, object.clone());
        object
    }

    /// Takes an object out and remembers that.
    pub(crate) fn delete(&mut self, key: &Key) -> Option<Value> {
        let mut object = self.objects.remove(key)?;
        self.version += 1;
        set_version(&mut object, self.version);
        self.remember("DELETED", key.clone(), object.clone());
        Some(object)
    }

    fn remember(&mut self, kind: &'static str, key: Key, object: Value) {
        self.history.push_back(Change {
            version: self.version,
            kind,
            key,
            object,
        });
        while self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// The oldest version that a watch may start from.
    pub(crate) fn oldest(&self) -> u64 {
        self.history
            .front()
            .map_or(self.version, |change| change.version.saturating_sub(1))
    }

    /// Objects of a kind in a namespace (empty: all), in order.
    pub(crate) fn range<'s>(
        &'s self,
        group: &str,
        plural: &str,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s Key, &'s Value)> {
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
}

fn set_version(object: &mut Value, version: u64) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert(
            "resourceVersion".to_owned(),
            Value::String(version.to_string()),
        );
    }
}

/// Spreads uids, so that two servers' objects are not taken for each other's.
fn rand_salt(n: u64) -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u64(n);
    u32::try_from(hasher.finish() & 0xffff_ffff).unwrap_or(0)
}
