use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Str, Value, release};

/// A map's Go type, which `typeOf`, `%T` and `%#v` print and some functions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// `map[string]interface {}`
    Any,
    /// `map[string]string`, of `split`
    Str,
    /// `common.Values`, Helm's own name for a map with methods: dot itself and `.Values`
    Values,
}

struct Inner {
    entries: RefCell<BTreeMap<Str, Value>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        release(std::mem::take(self.entries.get_mut()).into_values());
    }
}

/// A shared mutable map with string keys, in the order of their bytes.
///
/// A clone is the same map. Nothing here keeps a borrow beyond a call, so no use of it can panic.
#[derive(Clone)]
pub struct Map {
    kind: MapKind,
    inner: Rc<Inner>,
}

impl Map {
    /// An empty `map[string]interface {}`.
    #[must_use]
    pub fn new() -> Self {
        Self::of(MapKind::Any, BTreeMap::new())
    }

    /// A map of this kind with these entries.
    #[must_use]
    pub fn of(kind: MapKind, entries: BTreeMap<Str, Value>) -> Self {
        Self {
            kind,
            inner: Rc::new(Inner {
                entries: RefCell::new(entries),
            }),
        }
    }

    /// Its Go type.
    #[must_use]
    pub fn kind(&self) -> MapKind {
        self.kind
    }

    /// The same map under another Go type, as when a function's parameter names one.
    #[must_use]
    pub fn with_kind(&self, kind: MapKind) -> Self {
        Self {
            kind,
            inner: self.inner.clone(),
        }
    }

    /// What is at this key; `Some(Value::Nil)` for a `null`.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.inner.entries.borrow().get(key.as_ref()).cloned()
    }

    /// Whether the key is there.
    #[must_use]
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        self.inner.entries.borrow().contains_key(key.as_ref())
    }

    /// Writes an entry, for all holders of this map.
    pub fn insert(&self, key: impl Into<Str>, value: impl Into<Value>) {
        self.inner
            .entries
            .borrow_mut()
            .insert(key.into(), value.into());
    }

    /// Removes an entry, for all holders of this map.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.inner.entries.borrow_mut().remove(key.as_ref())
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.entries.borrow().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys as they are now, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<Str> {
        self.inner.entries.borrow().keys().cloned().collect()
    }

    /// The entries as they are now, sorted by key: safe to keep while the map changes.
    #[must_use]
    pub fn entries(&self) -> Vec<(Str, Value)> {
        let entries = self.inner.entries.borrow();
        entries
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Whether both are the same map, not only equal ones.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }

    /// A number that tells this map from every other that is alive.
    #[must_use]
    pub fn identity(&self) -> usize {
        Rc::as_ptr(&self.inner).addr()
    }

    /// A copy that shares no map with this one; see [`Value::deep_copy`].
    #[must_use]
    pub fn deep_copy(&self) -> Self {
        match Value::Map(self.clone()).deep_copy() {
            Value::Map(copy) => copy,
            _ => self.clone(),
        }
    }

    /// Takes the entries if this is their only holder.
    pub(super) fn take_own(&mut self) -> Option<BTreeMap<Str, Value>> {
        let inner = Rc::get_mut(&mut self.inner)?;
        Some(std::mem::take(inner.entries.get_mut()))
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<(Str, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Str, Value)>>(entries: I) -> Self {
        Self::of(MapKind::Any, entries.into_iter().collect())
    }
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.entries()).finish()
    }
}
