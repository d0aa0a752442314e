//! Values as the YAML had them: scalars keep their text, because Kustomize copies, splits and joins
//! the text (`1.10` stays `1.10` in an annotation), and mapping keys are sorted, because their order
//! means nothing to Kubernetes.

mod json;
mod scalar;

use std::sync::Arc;

pub(crate) use scalar::plain_tag;

/// A mapping key; shared, since documents repeat a few keys thousands of times.
pub(crate) type Key = Arc<str>;

/// The type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool,
    /// An integer in any notation.
    Integer,
    /// A float in any notation.
    Float,
    /// A date or time, which Go's YAML reads as such.
    Time,
    Text,
}

/// Text with its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) tag: Tag,
    /// As written, without quotes.
    pub(crate) text: Box<str>,
    /// Whether it was written in quotes or as a block: a replacement by a patch is text as well, since
    /// Kustomize keeps the style of the field.
    pub(crate) quoted: bool,
}

/// A mapping, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Map(Vec<(Key, Node)>);

/// A YAML value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// Null, a flag, a number or text.
    Scalar(Scalar),
    Map(Map),
    Sequence(Vec<Node>),
}

// === impl Map ===

impl Map {
    /// From entries in any order; a duplicate key is returned.
    pub(crate) fn from_entries(mut entries: Vec<(Key, Node)>) -> Result<Self, Key> {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for pair in entries.windows(2) {
            if let [a, b] = pair
                && a.0 == b.0
            {
                return Err(Arc::clone(&a.0));
            }
        }
        Ok(Self(entries))
    }

    /// From entries that are sorted and distinct already.
    pub(crate) fn from_sorted(entries: Vec<(Key, Node)>) -> Self {
        debug_assert!(
            entries
                .windows(2)
                .all(|pair| matches!(pair, [a, b] if a.0 < b.0))
        );
        Self(entries)
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| (*entry.0).cmp(key))
    }

    /// The value at a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let at = self.position(key).ok()?;
        self.0.get(at).map(|entry| &entry.1)
    }

    /// The value at a key, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let at = self.position(key).ok()?;
        self.0.get_mut(at).map(|entry| &mut entry.1)
    }

    /// Sets a key.
    pub(crate) fn insert(&mut self, key: &str, value: Node) {
        match self.position(key) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (Arc::from(key), value)),
        }
    }

    /// Takes a key away.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.position(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The value at a key; created if it is missing.
    pub(crate) fn entry(&mut self, key: &str, missing: impl FnOnce() -> Node) -> &mut Node {
        let at = match self.position(key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (Arc::from(key), missing()));
                at
            }
        };
        // `at` is a valid index by construction.
        &mut self.0[at].1
    }

    /// Entries by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Node)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Entries by key, values to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Node)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Entries by key.
    pub(crate) fn into_entries(self) -> Vec<(Key, Node)> {
        self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no entries.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl Scalar ===

impl Scalar {
    /// Text, whatever it looks like.
    pub(crate) fn text(text: &str) -> Self {
        Self {
            tag: Tag::Text,
            text: text.into(),
            quoted: false,
        }
    }

    /// An unquoted scalar, as go.yaml.in/yaml/v3 resolves it (`resolve.go`): YAML 1.2 words, 1.1
    /// numbers, dates.
    pub(crate) fn plain(text: &str) -> Self {
        Self {
            tag: plain_tag(text),
            text: text.into(),
            quoted: false,
        }
    }
}

// === impl Node ===

impl Node {
    /// Text, whatever it looks like.
    pub(crate) fn text(text: &str) -> Self {
        Self::Scalar(Scalar::text(text))
    }

    /// An unquoted scalar.
    pub(crate) fn plain(text: &str) -> Self {
        Self::Scalar(Scalar::plain(text))
    }

    /// An explicit null.
    pub(crate) fn null() -> Self {
        Self::plain("null")
    }

    /// An empty mapping.
    pub(crate) fn map() -> Self {
        Self::Map(Map::default())
    }

    /// Whether it is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(Scalar { tag: Tag::Null, .. }))
    }

    /// Whether it is null or a collection without members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.tag == Tag::Null,
            Self::Map(map) => map.is_empty(),
            Self::Sequence(items) => items.is_empty(),
        }
    }

    /// A scalar's text, whatever its type; empty for collections, as with yaml/v3's `Node.Value`.
    pub(crate) fn scalar_text(&self) -> &str {
        match self {
            Self::Scalar(scalar) => &scalar.text,
            Self::Map(_) | Self::Sequence(_) => "",
        }
    }

    /// As a mapping.
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// As a mapping, to change it.
    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// A mapping's field.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.as_map()?.get(name)
    }

    /// A mapping's field, to change it.
    pub(crate) fn field_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(name)
    }

    /// What kind of node, for messages.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "a scalar",
            Self::Map(_) => "a mapping",
            Self::Sequence(_) => "a sequence",
        }
    }

    /// Whether two nodes are of one shape: both scalars, mappings or sequences.
    pub(crate) fn same_shape(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// The number of bytes and members that a copy of it costs.
    pub(crate) fn weight(&self) -> usize {
        // The size of a node with its key and allocations.
        const NODE: usize = 64;
        match self {
            Self::Scalar(scalar) => NODE + scalar.text.len(),
            Self::Map(map) => map
                .iter()
                .map(|(key, value)| key.len() + value.weight())
                .fold(NODE, usize::saturating_add),
            Self::Sequence(items) => items
                .iter()
                .map(Self::weight)
                .fold(NODE, usize::saturating_add),
        }
    }
}
