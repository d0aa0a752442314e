//! A resource during the render: its value, its earlier identities, and the steps still to come.

use std::rc::Rc;

use super::failure::{Failure, Outcome};
use super::identity::{Gvk, ResId};
use super::node::{Map, Node};
use super::schema::Schema;
use crate::Origin;

/// What happens if a generator meets an object of the same identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Behavior {
    /// None may be there.
    #[default]
    Create,
    /// Its metadata is kept, its data replaced.
    Replace,
    /// Its metadata is kept, its data overlaid.
    Merge,
}

/// The identity of a resource before a step renamed it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PreviousId {
    name: String,
    namespace: String,
    kind: String,
}

/// What Kustomize stores in internal annotations.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    previous: Vec<PreviousId>,
    /// Prefixes that were put in front of the name, innermost first.
    pub(crate) prefixes: Vec<String>,
    /// Suffixes that were appended to the name, innermost first.
    pub(crate) suffixes: Vec<String>,
    /// Whether the name gets the hash of the content.
    pub(crate) needs_hash: bool,
    pub(crate) behavior: Behavior,
    /// Whether anything was noted that Kustomize would note in an annotation.
    pub(crate) noted: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    /// The object; an empty mapping once a patch deleted it.
    pub(crate) node: Node,
    pub(crate) history: History,
    /// Variables that take their value from it.
    pub(crate) vars: Vec<String>,
    /// Where it came from.
    pub(crate) origin: Origin,
    schema: Rc<Schema>,
}

/// Where internal annotations of Kustomize live.
const INTERNAL: &str = "internal.config.kubernetes.io/";
/// Internal annotations that Kustomize removes in the end (`resource.BuildAnnotations`).
const BUILD_ANNOTATIONS: [&str; 19] = [
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "internal.config.kubernetes.io/helm-generated",
];

impl Resource {
    /// A resource as it was read or generated.
    pub(crate) fn new(node: Node, origin: Origin, schema: &Rc<Schema>) -> Self {
        let mut resource = Self {
            node,
            history: History::default(),
            vars: Vec::new(),
            origin,
            schema: Rc::clone(schema),
        };
        resource.adopt_annotations();
        resource
    }

    /// Takes over the internal annotations of a file, which may be the output of another build.
    fn adopt_annotations(&mut self) {
        let Some(annotations) = self
            .node
            .field_mut("metadata")
            .and_then(|metadata| metadata.field_mut("annotations"))
            .and_then(Node::as_map_mut)
        else {
            return;
        };
        if !annotations.iter().any(|(key, _)| key.starts_with(INTERNAL)) {
            return;
        }
        let read = |name: &str| {
            annotations
                .get(&format!("{INTERNAL}{name}"))
                .map(|value| value.scalar_text().to_owned())
                .unwrap_or_default()
        };
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        };
        self.history.needs_hash = read("needsHashSuffix") == "enabled";
        self.history.behavior = match read("generatorBehavior").as_str() {
            "merge" => Behavior::Merge,
            "replace" => Behavior::Replace,
            _ => Behavior::Create,
        };
        self.history.prefixes = list(&read("prefixes"));
        self.history.suffixes = list(&read("suffixes"));
        self.history.previous = list(&read("previousNames"))
            .into_iter()
            .zip(list(&read("previousNamespaces")))
            .zip(list(&read("previousKinds")))
            .map(|((name, namespace), kind)| PreviousId {
                name,
                namespace,
                kind,
            })
            .collect();
        self.history.noted = true;
    }

    /// The schema of kinds.
    pub(crate) fn schema(&self) -> &Rc<Schema> {
        &self.schema
    }

    /// Whether a patch deleted it.
    pub(crate) fn is_deleted(&self) -> bool {
        self.node.is_empty()
    }

    /// The object's mapping.
    pub(crate) fn map(&self) -> Option<&Map> {
        self.node.as_map()
    }

    pub(crate) fn kind(&self) -> &str {
        self.node.field("kind").map_or("", Node::scalar_text)
    }

    pub(crate) fn api_version(&self) -> &str {
        self.node.field("apiVersion").map_or("", Node::scalar_text)
    }

    fn metadata(&self, field: &str) -> &str {
        self.node
            .field("metadata")
            .and_then(|metadata| metadata.field(field))
            .map_or("", Node::scalar_text)
    }

    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        self.metadata("name")
    }

    /// `metadata.namespace`; empty if there is none.
    pub(crate) fn namespace(&self) -> &str {
        self.metadata("namespace")
    }

    /// Group, version and kind.
    pub(crate) fn gvk(&self) -> Gvk {
        Gvk::new(self.api_version(), self.kind())
    }

    /// Its current identity.
    pub(crate) fn current_id(&self) -> ResId {
        ResId {
            gvk: self.gvk(),
            name: self.name().to_owned(),
            namespace: self.namespace().to_owned(),
            cluster_scoped: self
                .schema
                .is_cluster_scoped(self.api_version(), self.kind()),
        }
    }

    /// Its earlier identities, oldest first.
    pub(crate) fn previous_ids(&self) -> impl Iterator<Item = ResId> {
        let gvk = self.gvk();
        self.history.previous.iter().map(move |previous| ResId {
            gvk: Gvk {
                kind: previous.kind.clone(),
                ..gvk.clone()
            },
            name: previous.name.clone(),
            // The effective namespace was recorded, which implies the scope.
            namespace: previous.namespace.clone(),
            cluster_scoped: false,
        })
    }

    /// Its original identity.
    pub(crate) fn original_id(&self) -> ResId {
        self.previous_ids()
            .next()
            .unwrap_or_else(|| self.current_id())
    }

    /// Its earlier and current identities, the current one last.
    pub(crate) fn all_ids(&self) -> impl Iterator<Item = ResId> {
        self.previous_ids()
            .chain(std::iter::once_with(|| self.current_id()))
    }

    /// Whether it was renamed at all.
    pub(crate) fn was_renamed(&self) -> bool {
        !self.history.previous.is_empty()
    }

    /// Records its identity before it is renamed.
    pub(crate) fn remember_id(&mut self) {
        let id = self.current_id();
        self.history.noted = true;
        self.history.previous.push(PreviousId {
            namespace: id.effective_namespace().to_owned(),
            name: id.name,
            kind: id.gvk.kind,
        });
    }

    /// Sets a field of `metadata` to text; empty text removes the namespace.
    pub(crate) fn set_metadata(&mut self, field: &str, text: &str) {
        let Some(map) = self.node.as_map_mut() else {
            return;
        };
        let metadata = map.entry("metadata", Node::map);
        if metadata.is_null() {
            *metadata = Node::map();
        }
        let Some(metadata) = metadata.as_map_mut() else {
            return;
        };
        if text.is_empty() && field == "namespace" {
            metadata.remove(field);
        } else {
            metadata.insert(field, Node::text(text));
        }
    }

    pub(crate) fn set_kind(&mut self, kind: &str) {
        if let Some(map) = self.node.as_map_mut() {
            map.insert("kind", Node::text(kind));
        }
    }

    /// Labels or annotations as text; scalars of any kind count by their text, as Kustomize reads them.
    pub(crate) fn text_map(&self, field: &str) -> Vec<(&str, &str)> {
        self.node
            .field("metadata")
            .and_then(|metadata| metadata.field(field))
            .and_then(Node::as_map)
            .map(|map| {
                map.iter()
                    .map(|(key, value)| (&**key, value.scalar_text()))
                    .collect()
            })
            .unwrap_or_default()
    }

    /// An annotation's text.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.node
            .field("metadata")?
            .field("annotations")?
            .field(name)
            .map(Node::scalar_text)
    }

    /// Rewrites labels or annotations as text, and removes them if they are empty: a side effect of
    /// Kustomize's `SetLabels` and `SetAnnotations`.
    pub(crate) fn normalize(&mut self, field: &str) {
        let Some(metadata) = self
            .node
            .as_map_mut()
            .map(|map| map.entry("metadata", Node::map))
            .and_then(Node::as_map_mut)
        else {
            return;
        };
        let Some(value) = metadata.get_mut(field) else {
            return;
        };
        match value {
            Node::Map(map) if !map.is_empty() => {
                for (_, value) in map.iter_mut() {
                    let text = Node::text(value.scalar_text());
                    *value = text;
                }
            }
            _ => {
                metadata.remove(field);
            }
        }
    }

    /// Sets an annotation, without looking at the others.
    pub(crate) fn set_annotation(&mut self, name: &str, text: &str) {
        self.set_text("annotations", name, text);
    }

    /// Sets a label, without looking at the others.
    pub(crate) fn set_label(&mut self, name: &str, text: &str) {
        self.set_text("labels", name, text);
    }

    fn set_text(&mut self, field: &'static str, name: &str, text: &str) {
        let Some(map) = self.node.as_map_mut() else {
            return;
        };
        let metadata = map.entry("metadata", Node::map);
        if metadata.is_null() {
            *metadata = Node::map();
        }
        if let Some(metadata) = metadata.as_map_mut() {
            let texts = metadata.entry(field, Node::map);
            if texts.as_map().is_none() {
                *texts = Node::map();
            }
            if let Some(texts) = texts.as_map_mut() {
                texts.insert(name, Node::text(text));
            }
        }
    }

    /// Removes an annotation.
    pub(crate) fn remove_annotation(&mut self, name: &str) {
        if let Some(annotations) = self
            .node
            .field_mut("metadata")
            .and_then(|metadata| metadata.field_mut("annotations"))
            .and_then(Node::as_map_mut)
        {
            annotations.remove(name);
        }
    }

    /// Removes annotations that are internal to a build.
    pub(crate) fn remove_build_annotations(&mut self) {
        for name in BUILD_ANNOTATIONS {
            self.remove_annotation(name);
        }
    }

    /// Takes over an older object's metadata; this one's own labels and annotations win
    /// (`CopyMergeMetaDataFieldsFrom`).
    ///
    /// # Errors
    /// When `metadata` is not a mapping.
    pub(crate) fn take_metadata_of(&mut self, older: &Self) -> Outcome<()> {
        for field in ["labels", "annotations"] {
            let theirs: Vec<(String, String)> = older
                .text_map(field)
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            self.normalize(field);
            if theirs.is_empty() {
                continue;
            }
            let metadata = self
                .node
                .as_map_mut()
                .map(|map| map.entry("metadata", Node::map))
                .and_then(Node::as_map_mut)
                .ok_or_else(|| Failure::render("metadata is not a mapping"))?;
            if let Some(mine) = metadata.entry(field, Node::map).as_map_mut() {
                for (key, value) in theirs {
                    mine.entry(&key, || Node::text(&value));
                }
            }
        }
        let (name, namespace) = (older.name().to_owned(), older.namespace().to_owned());
        self.set_metadata("name", &name);
        self.set_metadata("namespace", &namespace);
        let needs_hash = self.history.needs_hash && older.history.needs_hash;
        self.history = older.history.clone();
        self.history.needs_hash = needs_hash;
        self.vars.clone_from(&older.vars);
        Ok(())
    }

    /// Whether two resources were prefixed and suffixed on the same way (`PrefixesSuffixesEquals`).
    pub(crate) fn same_affixes(&self, other: &Self) -> bool {
        self.affixes_by(other, same_ending)
    }

    /// As [`Self::same_affixes`], but one that was not prefixed or suffixed at all matches any.
    pub(crate) fn affixes_fit(&self, other: &Self) -> bool {
        self.affixes_by(other, |mine, theirs| {
            mine.is_empty() || theirs.is_empty() || same_ending(mine, theirs)
        })
    }

    fn affixes_by(&self, other: &Self, same: fn(&[String], &[String]) -> bool) -> bool {
        same(&self.history.prefixes, &other.history.prefixes)
            && same(&self.history.suffixes, &other.history.suffixes)
    }
}

/// Whether the longer list ends with the shorter one; an empty one only equals an empty one.
fn same_ending(a: &[String], b: &[String]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() {
        return long.is_empty();
    }
    long.ends_with(short)
}
