//! Facts about kinds: which lists merge by which keys, and which kinds are not namespaced.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use flotilla_shared::reason::Reason;

use super::failure::{Failure, Outcome};
use super::node::Node;

/// The generated table; its first lines describe its format.
const MERGE_KEYS: &str = include_str!("merge_keys.txt");
/// The OpenAPI version that a kustomization may name, because it is the one compiled in.
const BUILTIN_VERSION: &str = "v1.21.2";

/// Kinds that certainly have no namespace (kyaml/openapi, `precomputedIsNamespaceScoped`); sorted.
const CLUSTER_SCOPED: [(&str, &str); 38] = [
    ("APIService", "apiregistration.k8s.io/v1"),
    ("APIService", "apiregistration.k8s.io/v1beta1"),
    ("CSIDriver", "storage.k8s.io/v1"),
    ("CSIDriver", "storage.k8s.io/v1beta1"),
    ("CSINode", "storage.k8s.io/v1"),
    ("CSINode", "storage.k8s.io/v1beta1"),
    ("CertificateSigningRequest", "certificates.k8s.io/v1"),
    ("CertificateSigningRequest", "certificates.k8s.io/v1beta1"),
    ("ClusterRole", "rbac.authorization.k8s.io/v1"),
    ("ClusterRole", "rbac.authorization.k8s.io/v1beta1"),
    ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1"),
    ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1beta1"),
    ("ComponentStatus", "v1"),
    ("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
    ("CustomResourceDefinition", "apiextensions.k8s.io/v1beta1"),
    ("FlowSchema", "flowcontrol.apiserver.k8s.io/v1beta1"),
    ("IngressClass", "networking.k8s.io/v1"),
    ("IngressClass", "networking.k8s.io/v1beta1"),
    (
        "MutatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1",
    ),
    (
        "MutatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1beta1",
    ),
    ("Namespace", "v1"),
    ("Node", "v1"),
    ("NodeProxyOptions", "v1"),
    ("PersistentVolume", "v1"),
    ("PodSecurityPolicy", "policy/v1beta1"),
    ("PriorityClass", "scheduling.k8s.io/v1"),
    ("PriorityClass", "scheduling.k8s.io/v1beta1"),
    (
        "PriorityLevelConfiguration",
        "flowcontrol.apiserver.k8s.io/v1beta1",
    ),
    ("RuntimeClass", "node.k8s.io/v1"),
    ("RuntimeClass", "node.k8s.io/v1beta1"),
    ("StorageClass", "storage.k8s.io/v1"),
    ("StorageClass", "storage.k8s.io/v1beta1"),
    (
        "ValidatingAdmissionPolicy",
        "admissionregistration.k8s.io/v1",
    ),
    (
        "ValidatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io/v1",
    ),
    (
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1",
    ),
    (
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1beta1",
    ),
    ("VolumeAttachment", "storage.k8s.io/v1"),
    ("VolumeAttachment", "storage.k8s.io/v1beta1"),
];

/// What a merge needs to know about one value.
#[derive(Debug, Default)]
struct Shape {
    fields: BTreeMap<String, usize>,
    /// For all fields that are not listed (`additionalProperties`).
    others: Option<usize>,
    items: Option<usize>,
    /// A list that is merged, by these keys; by value where there are none.
    merge: Option<Vec<String>>,
}

/// Shapes of types and the kinds they belong to.
#[derive(Debug, Default)]
pub(crate) struct Table {
    shapes: Vec<Shape>,
    kinds: HashMap<String, usize>,
    cluster_scoped: HashMap<String, bool>,
    /// The shape of fields that the table leaves out because nothing in them merges.
    plain: Option<usize>,
}

/// One value's shape.
#[derive(Clone, Copy)]
pub(crate) struct ShapeRef<'s> {
    table: &'s Table,
    shape: &'s Shape,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// A kustomization's own; only the first that is given counts, as with Kustomize.
    custom: OnceCell<Table>,
    version: Cell<bool>,
    builtin_was_used: Cell<bool>,
}

fn kind_key(api_version: &str, kind: &str) -> String {
    format!("{api_version} {kind}")
}

impl Schema {
    /// Whether a kind is known to have no namespace.
    pub(crate) fn is_cluster_scoped(&self, api_version: &str, kind: &str) -> bool {
        if CLUSTER_SCOPED.binary_search(&(kind, api_version)).is_ok() {
            return true;
        }
        self.custom.get().is_some_and(|table| {
            table
                .cluster_scoped
                .get(&kind_key(api_version, kind))
                .is_some_and(|scoped| *scoped)
        })
    }

    /// The shape of a kind's objects.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<ShapeRef<'_>> {
        let key = kind_key(api_version, kind);
        if let Some(custom) = self.custom.get() {
            if let Some(shape) = custom.kind(&key) {
                return Some(shape);
            }
            // A custom schema replaces the built-in one, unless that one was used before.
            if !self.builtin_was_used.get() {
                return None;
            }
        } else {
            self.builtin_was_used.set(true);
        }
        builtin().kind(&key)
    }

    /// Takes a kustomization's `openapi` field, unless an outer or earlier one was taken.
    ///
    /// # Errors
    /// When it names an unknown version, both a version and a path, or the schema is malformed.
    pub(crate) fn choose(
        &self,
        version: Option<&str>,
        custom: impl FnOnce() -> Outcome<Option<Node>>,
    ) -> Outcome<()> {
        if self.custom.get().is_some() || self.version.get() {
            return Ok(());
        }
        let custom = custom()?;
        if version.is_some() && custom.is_some() {
            return Err(Failure::render(
                "openapi: give a version or a path, not both",
            ));
        }
        if let Some(custom) = custom {
            let table = Table::from_openapi(&custom)?;
            // It cannot have been set since the check: a render has one thread.
            let _ = self.custom.set(table);
        } else if let Some(version) = version.filter(|version| !version.is_empty()) {
            if version != BUILTIN_VERSION {
                return Err(Failure::new(
                    Reason::RenderFailed,
                    format!("openapi: version {version:?} is not built in; {BUILTIN_VERSION} is"),
                ));
            }
            self.version.set(true);
        }
        Ok(())
    }
}

impl<'s> ShapeRef<'s> {
    /// The shape of a field.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        let shape = self
            .shape
            .fields
            .get(name)
            .copied()
            .or(self.shape.others)
            .or(self.table.plain)?;
        self.table.at(shape)
    }

    /// The shape of a list's items.
    pub(crate) fn items(self) -> Option<Self> {
        self.table.at(self.shape.items.or(self.table.plain)?)
    }

    /// The keys by which a list merges. None: it is replaced as a whole.
    pub(crate) fn merge_keys(self) -> Option<&'s [String]> {
        self.shape.merge.as_deref()
    }
}

fn builtin() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::from_text(MERGE_KEYS))
}

impl Table {
    fn at(&self, shape: usize) -> Option<ShapeRef<'_>> {
        self.shapes
            .get(shape)
            .map(|shape| ShapeRef { table: self, shape })
    }

    fn kind(&self, key: &str) -> Option<ShapeRef<'_>> {
        self.at(*self.kinds.get(key)?)
    }

    fn push(&mut self, shape: Shape) -> usize {
        self.shapes.push(shape);
        self.shapes.len() - 1
    }

    fn named<'n>(&mut self, names: &mut HashMap<&'n str, usize>, name: &'n str) -> usize {
        match names.get(name) {
            Some(shape) => *shape,
            None => {
                let shape = self.push(Shape::default());
                names.insert(name, shape);
                shape
            }
        }
    }

    /// From the generated table, which is well-formed; a test reads every line of it.
    fn from_text(text: &str) -> Self {
        let mut table = Self::default();
        table.plain = Some(table.push(Shape::default()));
        let mut names = HashMap::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next() {
                Some("type") => {
                    let Some(name) = words.next() else { continue };
                    let id = table.named(&mut names, name);
                    let mut fields = BTreeMap::new();
                    for word in words {
                        let (left, target) = match word.split_once('=') {
                            Some((left, target)) => (left, Some(table.named(&mut names, target))),
                            None => (word, None),
                        };
                        let (left, merge) = match left.split_once('~') {
                            Some((left, keys)) => (
                                left,
                                Some(
                                    keys.split(',')
                                        .filter(|key| !key.is_empty())
                                        .map(str::to_owned)
                                        .collect(),
                                ),
                            ),
                            None => (left, None),
                        };
                        let (field, shape) = if let Some(field) = left.strip_suffix("[]") {
                            let shape = table.push(Shape {
                                items: target,
                                merge,
                                ..Shape::default()
                            });
                            (field, Some(shape))
                        } else if let Some(field) = left.strip_suffix("{}") {
                            let shape = table.push(Shape {
                                others: target,
                                ..Shape::default()
                            });
                            (field, Some(shape))
                        } else {
                            (left.trim_end_matches('.'), target)
                        };
                        if let Some(shape) = shape {
                            fields.insert(field.to_owned(), shape);
                        }
                    }
                    if let Some(shape) = table.shapes.get_mut(id) {
                        shape.fields = fields;
                    }
                }
                Some("kind") => {
                    if let (Some(api_version), Some(kind), Some(name)) =
                        (words.next(), words.next(), words.next())
                    {
                        let shape = table.named(&mut names, name);
                        table.kinds.insert(kind_key(api_version, kind), shape);
                    }
                }
                _ => {}
            }
        }
        table
    }

    /// From an OpenAPI v2 document.
    fn from_openapi(document: &Node) -> Outcome<Self> {
        let mut table = Self::default();
        let Some(definitions) = document.field("definitions").and_then(Node::as_map) else {
            return Err(Failure::render(
                "openapi: the schema has no `definitions`; give an OpenAPI v2 document",
            ));
        };
        let mut names = HashMap::new();
        for (name, _) in definitions.iter() {
            table.named(&mut names, name);
        }
        for (name, definition) in definitions.iter() {
            let shape = table.shape(definition, &names)?;
            let id = table.named(&mut names, name);
            if let Some(place) = table.shapes.get_mut(id) {
                *place = shape;
            }
            let Some(Node::Sequence(kinds)) = definition.field("x-kubernetes-group-version-kind")
            else {
                continue;
            };
            for kind in kinds {
                table.kinds.insert(gvk_key(kind), id);
            }
        }
        let paths = document.field("paths").and_then(Node::as_map);
        for (path, item) in paths.into_iter().flat_map(super::node::Map::iter) {
            let Some(kind) = item
                .field("get")
                .and_then(|get| get.field("x-kubernetes-group-version-kind"))
            else {
                continue;
            };
            let namespaced = path.contains("namespaces/{namespace}");
            let entry = table
                .cluster_scoped
                .entry(gvk_key(kind))
                .or_insert(!namespaced);
            *entry = *entry && !namespaced;
        }
        Ok(table)
    }

    fn shape(&mut self, schema: &Node, names: &HashMap<&str, usize>) -> Outcome<Shape> {
        let mut shape = Shape::default();
        let properties = schema.field("properties").and_then(Node::as_map);
        for (name, property) in properties.into_iter().flat_map(super::node::Map::iter) {
            if let Some(id) = self.shape_id(property, names)? {
                shape.fields.insert(name.to_string(), id);
            }
        }
        if let Some(others) = schema.field("additionalProperties") {
            shape.others = self.shape_id(others, names)?;
        }
        if schema.field("type").map_or("", Node::scalar_text) == "array"
            && let Some(items) = schema.field("items")
        {
            shape.items = self.shape_id(items, names)?;
        }
        let strategy = schema
            .field("x-kubernetes-patch-strategy")
            .map_or("", Node::scalar_text);
        if strategy.split(',').any(|word| word == "merge") {
            let keys = match schema.field("x-kubernetes-list-map-keys") {
                Some(Node::Sequence(keys)) => keys
                    .iter()
                    .map(|key| key.scalar_text().to_owned())
                    .collect(),
                _ => schema
                    .field("x-kubernetes-patch-merge-key")
                    .map(|key| key.scalar_text().to_owned())
                    .into_iter()
                    .collect(),
            };
            shape.merge = Some(keys);
        }
        Ok(shape)
    }

    fn shape_id(&mut self, schema: &Node, names: &HashMap<&str, usize>) -> Outcome<Option<usize>> {
        if let Some(reference) = schema.field("$ref") {
            let name = reference
                .scalar_text()
                .strip_prefix("#/definitions/")
                .unwrap_or_default()
                .replace("~1", "/")
                .replace("~0", "~");
            return Ok(names.get(name.as_str()).copied());
        }
        if schema.as_map().is_none() {
            return Ok(None);
        }
        let shape = self.shape(schema, names)?;
        Ok(Some(self.push(shape)))
    }
}

fn gvk_key(kind: &Node) -> String {
    let part = |name: &str| kind.field(name).map_or("", Node::scalar_text);
    let api_version = match part("group") {
        "" => part("version").to_owned(),
        group => format!("{group}/{}", part("version")),
    };
    kind_key(&api_version, part("kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_table_is_well_formed() {
        for line in MERGE_KEYS.lines() {
            assert!(
                ["# ", "#  ", "type ", "kind "]
                    .iter()
                    .any(|start| line.starts_with(start)),
                "{line}"
            );
        }
        assert!(CLUSTER_SCOPED.windows(2).all(|pair| pair[0] < pair[1]));
        let schema = Schema::default();
        let pod = schema
            .of_kind("apps/v1", "Deployment")
            .and_then(|shape| shape.field("spec"))
            .and_then(|shape| shape.field("template"))
            .and_then(|shape| shape.field("spec"));
        let containers = pod.and_then(|shape| shape.field("containers"));
        assert_eq!(
            containers.and_then(ShapeRef::merge_keys),
            Some(&["name".to_owned()][..])
        );
        let ports = containers
            .and_then(ShapeRef::items)
            .and_then(|shape| shape.field("ports"));
        assert_eq!(
            ports.and_then(ShapeRef::merge_keys),
            Some(&["containerPort".to_owned(), "protocol".to_owned()][..])
        );
        let arguments = containers
            .and_then(ShapeRef::items)
            .and_then(|shape| shape.field("args"));
        assert_eq!(arguments.and_then(ShapeRef::merge_keys), None);
        assert!(schema.of_kind("example.com/v1", "Deployment").is_none());
        let finalizers = schema
            .of_kind("v1", "ConfigMap")
            .and_then(|shape| shape.field("metadata"))
            .and_then(|shape| shape.field("finalizers"));
        assert_eq!(finalizers.and_then(ShapeRef::merge_keys), Some(&[][..]));
    }
}
